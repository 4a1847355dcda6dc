// Purges: on all shards and the disk.
#include "sluice/proxy/flights.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {
namespace {

// The disk works on what its channel is full of.
constexpr Duration clear_again_gap = Duration::millis(10);

std::uint64_t purge_store(cache::Store& store, const state::Purge& what) {
    switch (what.by) {
        case state::Purge::By::key:
            return store.purge(what.key);
        case state::Purge::By::model:
            return store.purge_model(what.name);
        case state::Purge::By::consumer:
            return store.purge_consumer(what.name);
        case state::Purge::By::scope:
            return store.purge_scope({what.scope, what.name});
        case state::Purge::By::everything:
            return store.purge_all();
    }
    return 0;
}

}  // namespace

void Flights::purge(const state::Purge& what, FlightAsker& asker, std::uint64_t& ticket) {
    ticket = ++last_ticket_;
    asked_.emplace(ticket, Asked{&asker, {}});
    purgings_.push_back({.ticket = ticket, .awaited = shards_, .gone = {}});
    const Instant since = monotonic_now();
    for (std::uint16_t shard = 0; shard < shards_; ++shard) {
        if (shard == shard_) continue;
        auto message = std::make_unique<FlightMessage>();
        message->kind = FlightMessage::Kind::purge;
        message->from = shard_;
        message->ticket = ticket;
        message->purge = what;
        message->since = since;
        peers_->send(shard, std::move(message));
    }
    purge_here(what, since, shard_, ticket);
}

void Flights::purge_here(const state::Purge& what, Instant since, std::uint16_t from,
                         std::uint64_t ticket) {
    purged_at_ = std::max(purged_at_, since);
    for (Look& look : looks_)
        look.outdated = true;
    PurgedAnswers gone;
    if (store_ != nullptr) gone.memory = purge_store(*store_, what);
    if (disk_ == nullptr) return tell_purged(from, ticket, gone);
    clearings_.push_back({++last_clearing_, from, ticket, what, gone});
    ask_to_clear();
}

void Flights::ask_to_clear() {
    for (Clearing& each : clearings_) {
        if (each.asked) continue;
        each.asked = disk_->purge(each.what, each.number);
        if (!each.asked) return loop_.timers().arm(clear_again_, loop_.now() + clear_again_gap);
    }
}

void Flights::cleared(std::uint64_t number, std::uint64_t gone) {
    const auto found = std::ranges::find(clearings_, number, &Clearing::number);
    SLUICE_ASSERT(found != clearings_.end() && found->asked);
    Clearing done = std::move(*found);
    clearings_.erase(found);
    done.gone.disk = gone;
    tell_purged(done.from, done.ticket, done.gone);
}

void Flights::tell_purged(std::uint16_t shard, std::uint64_t ticket, const PurgedAnswers& gone) {
    if (shard == shard_) return purged(ticket, gone);
    auto message = std::make_unique<FlightMessage>();
    message->kind = FlightMessage::Kind::purged;
    message->from = shard_;
    message->ticket = ticket;
    message->answer.purged = gone;
    peers_->send(shard, std::move(message));
}

// By one of the shards.
void Flights::purged(std::uint64_t ticket, const PurgedAnswers& gone) {
    const auto found = std::ranges::find(purgings_, ticket, &Purging::ticket);
    SLUICE_ASSERT(found != purgings_.end());
    found->gone.memory += gone.memory;
    found->gone.disk += gone.disk;
    if (--found->awaited > 0) return;
    FlightAnswer answer;
    answer.kind = FlightAnswer::Kind::purged;
    answer.purged = found->gone;
    purgings_.erase(found);
    told(ticket, std::move(answer));
}

}  // namespace sluice::proxy
