#include "sluice/policy/slot_ledger.h"

#include <algorithm>

namespace sluice::policy {

bool SlotShare::try_acquire() {
    if (idle() == 0 || draining_) return false;
    ++in_use_;
    idle_least_ = std::min(idle_least_, idle());
    return true;
}

void SlotShare::release() {
    SLUICE_ASSERT(in_use_ > 0 && in_use_ <= borrowed_);
    --in_use_;
    if (owed_ > 0 || draining_) give_back(1);
}

void SlotShare::demand(std::size_t waiting) {
    const auto told = static_cast<std::uint32_t>(std::min<std::size_t>(waiting, slot_demand_max));
    // What came for a waiter that has left meanwhile.
    give_back(std::min(owed_, idle()));
    const std::uint32_t wanted = draining_ ? 0 : told;
    if (wanted == wanted_) return;
    wanted_ = wanted;
    sender_.send({SlotMessage::Kind::want, own_, wanted_, granted_});
}

void SlotShare::receive(const SlotMessage& message) {
    SLUICE_ASSERT(message.shard == own_);
    if (message.kind == SlotMessage::Kind::grant) {
        granted_ += message.count;
        borrowed_ += message.count;
        wanted_ -= std::min(wanted_, message.count);
        // Also where slots are owed: these are for the requests whose turn it is here.
        if (draining_) give_back(message.count);
        return;
    }
    SLUICE_ASSERT(message.kind == SlotMessage::Kind::recall);
    const std::uint32_t under_way = returned_ - message.seen;
    owed_ = message.count - std::min(message.count, under_way);
    SLUICE_ASSERT(owed_ <= borrowed_);
    give_back(std::min(owed_, idle()));
}

void SlotShare::give_back(std::uint32_t count) {
    SLUICE_ASSERT(count <= idle());
    if (count == 0) return;
    borrowed_ -= count;
    returned_ += count;
    owed_ -= std::min(owed_, count);
    idle_least_ = std::min(idle_least_, idle());
    sender_.send({SlotMessage::Kind::give_back, own_, count, 0});
}

void SlotShare::tick() {
    give_back(std::min(idle_least_, idle()));
    idle_least_ = idle();
}

void SlotShare::drain() {
    draining_ = true;
    give_back(idle());
    demand(0);
}

}  // namespace sluice::policy
