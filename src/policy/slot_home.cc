#include "sluice/policy/slot_ledger.h"

#include <algorithm>

namespace sluice::policy {

SlotHome::SlotHome(std::uint16_t own_shard, std::uint16_t shards, std::uint32_t capacity,
                   SlotSender& sender)
    : own_(own_shard), capacity_(capacity), others_(shards), sender_(sender) {
    SLUICE_ASSERT(own_shard < shards);
    if (shards > 1) line_.reserve(std::size_t{shards} * slot_demand_max);
}

bool SlotHome::try_acquire() {
    if (free() == 0) return false;
    if (!line_.empty()) {
        if (line_.front() != own_) return false;
        line_.erase(line_.begin());
        --others_[own_].waiting;
    }
    ++in_use_;
    settle();
    return true;
}

void SlotHome::release() {
    SLUICE_ASSERT(in_use_ > 0);
    --in_use_;
    settle();
}

void SlotHome::demand(std::size_t waiting) {
    if (others_.size() == 1) return;  // whoever releases a slot sees its own queue
    set_waiting(own_, static_cast<std::uint32_t>(std::min<std::size_t>(waiting, slot_demand_max)));
    settle();
}

void SlotHome::set_capacity(std::uint32_t capacity) {
    capacity_ = capacity;
    settle();
}

void SlotHome::receive(const SlotMessage& message) {
    SLUICE_ASSERT(message.shard < others_.size() && message.shard != own_);
    Other& other = others_[message.shard];
    if (message.kind == SlotMessage::Kind::give_back) {
        SLUICE_ASSERT(message.count <= other.lent);
        other.lent -= message.count;
        lent_ -= message.count;
        other.returned += message.count;
        other.recalled -= std::min(other.recalled, message.count);
    } else {
        SLUICE_ASSERT(message.kind == SlotMessage::Kind::want);
        const std::uint32_t under_way = other.granted - message.seen;
        const std::uint32_t count = std::min(message.count, slot_demand_max);
        set_waiting(message.shard, count - std::min(count, under_way));
    }
    settle();
}

// More stand in the line from now on, or fewer. The newest of the shard leave: if the oldest did,
// clients that come and go would push those behind them to the end.
void SlotHome::set_waiting(std::uint16_t shard, std::uint32_t count) {
    Other& other = others_[shard];
    for (; other.waiting < count; ++other.waiting)
        line_.push_back(shard);
    for (auto at = line_.end(); other.waiting > count;) {
        SLUICE_ASSERT(at != line_.begin());
        if (*--at != shard) continue;
        at = line_.erase(at);
        --other.waiting;
    }
    SLUICE_ASSERT(line_.size() <= others_.size() * slot_demand_max);
}

void SlotHome::settle() {
    if (others_.size() == 1) return;
    hand_out();
    call_back();
}

// Free slots go to those who wait, up to the first that is this shard's own: its owner takes it.
void SlotHome::hand_out() {
    std::size_t served = 0;
    for (; served < line_.size() && free() > 0 && line_[served] != own_; ++served) {
        Other& other = others_[line_[served]];
        --other.waiting;
        ++other.granted_now;
        ++other.lent;
        ++lent_;
    }
    if (served == 0) return;
    line_.erase(line_.begin(), line_.begin() + static_cast<std::ptrdiff_t>(served));
    for (std::uint16_t shard = 0; shard < others_.size(); ++shard) {
        Other& other = others_[shard];
        if (other.granted_now == 0) continue;
        other.granted += other.granted_now;
        const std::uint32_t count = other.granted_now;
        other.granted_now = 0;
        sender_.send({SlotMessage::Kind::grant, shard, count, 0});
    }
}

// How many slots must be handed out until nobody else than `shard` waits: its own requests that
// have waited longer than some of the others' come with them.
std::uint32_t SlotHome::needed_beside(std::uint16_t shard) const {
    if (others_[shard].waiting == line_.size()) return 0;
    std::size_t count = line_.size();
    while (line_[count - 1] == shard)
        --count;
    return static_cast<std::uint32_t>(count);
}

// Each shard is asked for as much as the others lack, not for its part of it: which one has a slot
// to spare, or will have it first, only time tells.
void SlotHome::call_back() {
    const std::uint32_t too_many = allotted() > capacity_ ? allotted() - capacity_ : 0;
    for (std::uint16_t shard = 0; shard < others_.size(); ++shard) {
        Other& other = others_[shard];
        if (shard == own_ || (other.lent == 0 && other.recalled == 0)) continue;
        const std::uint32_t needed = needed_beside(shard);
        // With a capacity of zero nobody can be served.
        const std::uint32_t lacking = capacity_ == 0 ? 0 : needed - std::min(needed, free());
        const std::uint32_t recalled = std::min(other.lent, lacking + too_many);
        if (recalled == other.recalled) continue;
        other.recalled = recalled;
        sender_.send({SlotMessage::Kind::recall, shard, recalled, other.returned});
    }
}

}  // namespace sluice::policy
