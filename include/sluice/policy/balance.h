// choose(): which backend of a pool a request goes to.
//
// Pure but for the states that the candidates point to. Only usable candidates of the lowest
// priority are looked at. Where all of these are full (as many requests in flight as slots), the
// answer is "full" and the caller queues, or the next priority is looked at, if the caller says so.
// Takes at most candidates_max candidates; allocates nothing.
//
// - round_robin: smooth weighted rotation, as nginx has it.
// - least_busy: fewest requests in flight by slot (by weight where slots are not bounded); equals
//   rotate.
// - least_latency: the better one of two drawn at random, by peak EWMA of the time to first token,
//   times the requests it would have, by weight. One that was never measured is tried with one
//   request at a time.
// - hash: rendezvous hashing of a key, by weight: when a backend leaves, only its keys move. The
//   load is bounded (Mirrokni et al. 2016): none takes a request that brings it above 1.25 times
//   its share of those in flight, rounded up.
// - prefix: where the conversation's KV cache is; see src/policy/balance_prefix.cc for the rule.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/prng.h"
#include "sluice/policy/candidate.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::policy {

struct PrefixMatch;

enum class BalanceKind : std::uint8_t { round_robin, least_busy, least_latency, hash, prefix };

struct BalanceRequest {
    BalanceKind kind = BalanceKind::least_busy;
    bool spill = false;     // from a full priority to the next one
    std::uint64_t key = 0;  // hash: of what stays together
    // prefix: PrefixIndex::lookup() with the same candidates; null (there is no prompt): the least
    // busy one.
    const PrefixMatch* match = nullptr;
    Instant now;  // least_latency
};

struct Choice {
    enum class Outcome : std::uint8_t {
        chosen,
        full,  // there are usable ones, which all have as much as they may
        none,  // none is usable
    };
    Outcome outcome = Outcome::none;
    std::size_t index = 0;  // into the candidates, where one was chosen

    bool chosen() const { return outcome == Outcome::chosen; }
};

Choice choose(const BalanceRequest& request, std::span<const Candidate> candidates, Prng& prng);

}  // namespace sluice::policy
