// Looks on the disk, at the home of a key: for what memory has no more, or never had since the
// start.
#include "sluice/proxy/flights.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {
namespace {

// A disk that sleeps or hangs holds up nobody for longer; then its answers are no hits.
constexpr Duration disk_patience = Duration::seconds(2);

}  // namespace

// False: nothing is waited for.
bool Flights::ask_disk(const FlightQuestion& question, std::uint16_t from, std::uint64_t ticket) {
    if (disk_ == nullptr || store_ == nullptr) return false;
    if (!question.reads || question.directives.no_cache) return false;
    // What is to go is found nowhere any more, though the disk has not heard of it.
    if (!clearings_.empty()) return false;
    // What is on disk is no newer than what is here; and what is under way was looked for.
    if (store_->holds(question.key.key)) return false;
    if (question.joins && homes_.contains(question.key)) return false;
    const Instant now = monotonic_now();
    auto look = std::ranges::find(looks_, question.key.key, &Look::key);
    if (look == looks_.end()) {
        // Behind one that takes too long it would take too long, too.
        if (!looks_.empty() && now - looks_.front().since >= disk_patience) return false;
        if (!disk_->find(question.key.key, last_look_ + 1)) return false;
        looks_.push_back({.number = ++last_look_,
                          .key = question.key.key,
                          .ttl = question.ttl,
                          .since = now,
                          .waiters = {}});
        look = std::prev(looks_.end());
    }
    if (look->given_up || look->outdated) return false;
    look->waiters.push_back({question, from, ticket});
    if (!patience_.armed()) loop_.timers().arm(patience_, look->since + disk_patience);
    return true;
}

void Flights::found(std::uint64_t number, state::KeptAnswer&& kept) {
    const auto look = std::ranges::find(looks_, number, &Look::number);
    SLUICE_ASSERT(look != looks_.end() && store_ != nullptr);
    // The settings may say less now than when it was written.
    const Duration ttl = std::min(kept.ttl, look->ttl);
    if (kept.answer != nullptr && !look->outdated && !store_->holds(look->key))
        store_->insert(look->key, std::move(kept.answer), monotonic_now(), ttl, kept.age);
    auto waiters = std::move(look->waiters);
    looks_.erase(look);
    tell_waiters(std::move(waiters));
}

void Flights::give_up_looks() {
    const Instant now = loop_.now();
    std::vector<Look::Waiter> waiters;
    for (Look& look : looks_) {
        if (look.given_up) continue;
        if (now - look.since < disk_patience) {
            loop_.timers().arm(patience_, look.since + disk_patience);
            break;
        }
        look.given_up = true;
        std::ranges::move(std::exchange(look.waiters, {}), std::back_inserter(waiters));
    }
    tell_waiters(std::move(waiters));
}

void Flights::tell_waiters(std::vector<Look::Waiter>&& waiters) {
    for (const auto& waiter : waiters)
        tell(waiter.from, waiter.ticket, decide(waiter.question, waiter.from));
}

}  // namespace sluice::proxy
