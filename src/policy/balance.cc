#include "sluice/policy/balance.h"

#include "balance_set.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace sluice::policy {

namespace {

// What is chosen from: the usable ones of one priority that are not full.
struct Tier {
    CandidateSet open;
    bool any_usable = false;
};

Tier find_tier(Candidates candidates, bool spill) {
    Tier tier;
    std::uint64_t from = 0;  // priorities below it were full
    for (;;) {
        std::uint64_t priority = std::numeric_limits<std::uint64_t>::max();
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            const Candidate& candidate = candidates[i];
            if (!candidate.usable || candidate.priority < from) continue;
            if (candidate.priority > priority) continue;
            if (candidate.priority < priority) tier.open = {};
            priority = candidate.priority;
            tier.any_usable = true;
            if (!candidate.full()) tier.open.add(i);
        }
        const bool more = priority != std::numeric_limits<std::uint64_t>::max();
        if (!tier.open.empty() || !more || !spill) return tier;
        from = priority + 1;
    }
}

std::size_t choose_least_busy(Candidates candidates, CandidateSet set) {
    const CandidateSet least = least_busy_of(candidates, set);
    return least.size() == 1 ? least.first() : rotate(candidates, least);
}

double latency_cost(const Candidate& candidate, Instant now) {
    SLUICE_ASSERT(candidate.state != nullptr);
    const PeakEwma& latency = candidate.state->latency;
    if (!latency.measured()) {
        // Longer than any measurement, but for the first request.
        constexpr double never = 1e18;
        return candidate.in_flight == 0 ? 0 : never * candidate.in_flight / candidate.weight;
    }
    return latency.at(now) * (candidate.in_flight + 1.0) / candidate.weight;
}

std::size_t nth(CandidateSet set, std::size_t n) {
    auto at = set.begin();
    for (; n > 0; --n)
        ++at;
    return *at;
}

std::size_t choose_least_latency(Candidates candidates, CandidateSet set, Instant now, Prng& prng) {
    const std::size_t count = set.size();
    if (count == 1) return set.first();
    const std::size_t first = prng.below(count);
    std::size_t second = prng.below(count - 1);
    if (second >= first) ++second;
    const std::size_t a = nth(set, first);
    const std::size_t b = nth(set, second);
    return latency_cost(candidates[b], now) < latency_cost(candidates[a], now) ? b : a;
}

// Exponentially distributed with the weight as its rate: the least of several is each one's with a
// probability in proportion to its weight, whichever others there are.
double rendezvous_cost(const Candidate& candidate, std::uint64_t key) {
    const std::uint64_t hash = mix(mix(key) ^ candidate.identity);
    const double uniform = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;
    return -std::log(uniform) / candidate.weight;
}

std::size_t choose_by_hash(Candidates candidates, CandidateSet set, std::uint64_t key) {
    std::uint64_t in_flight = 1;  // with this one
    std::uint64_t weight = 0;
    for (const std::size_t i : set) {
        in_flight += candidates[i].in_flight;
        weight += candidates[i].weight;
    }
    const Candidate* best = nullptr;
    double best_cost = 0;
    for (const std::size_t i : set) {
        const Candidate& candidate = candidates[i];
        const std::uint64_t bound =
            (5 * in_flight * candidate.weight + 4 * weight - 1) / (4 * weight);
        if (candidate.in_flight + 1 > bound) continue;
        const double cost = rendezvous_cost(candidate, key);
        if (best != nullptr && cost >= best_cost) continue;
        best = &candidate;
        best_cost = cost;
    }
    // Were all at their bounds, there would be more in flight than there are.
    SLUICE_ASSERT(best != nullptr);
    return static_cast<std::size_t>(best - candidates.data());
}

}  // namespace

void PeakEwma::observe(Duration measured, Instant now) {
    const auto value = static_cast<double>(std::max<std::int64_t>(measured.ns, 0));
    const double kept =
        std::exp(-static_cast<double>(std::max<std::int64_t>((now - stamp_).ns, 0)) / memory.ns);
    const bool peak = !measured_ || value > value_;
    value_ = peak ? value : value_ * kept + value * (1 - kept);
    stamp_ = now;
    measured_ = true;
}

double PeakEwma::at(Instant now) const {
    const auto age = static_cast<double>(std::max<std::int64_t>((now - stamp_).ns, 0));
    return value_ * std::exp(-age / memory.ns);
}

CandidateSet least_busy_of(Candidates candidates, CandidateSet set) {
    CandidateSet least;
    for (const std::size_t i : set) {
        if (!least.empty()) {
            const Candidate& best = candidates[least.first()];
            if (busier(candidates[i], best)) continue;
            if (busier(best, candidates[i])) least = {};
        }
        least.add(i);
    }
    return least;
}

// Each gains its weight, and the richest pays what all have gained: the sum stays, and over as many
// turns as the weights add up to each comes as often as its weight says, spread as evenly as can
// be.
std::size_t rotate(Candidates candidates, CandidateSet set) {
    SLUICE_ASSERT(!set.empty());
    std::int64_t total = 0;
    const Candidate* best = nullptr;
    for (const std::size_t i : set) {
        const Candidate& candidate = candidates[i];
        SLUICE_ASSERT(candidate.state != nullptr);
        total += candidate.weight;
        candidate.state->current_weight += candidate.weight;
        if (best == nullptr || candidate.state->current_weight > best->state->current_weight) {
            best = &candidate;
        }
    }
    best->state->current_weight -= total;
    return static_cast<std::size_t>(best - candidates.data());
}

Choice choose(const BalanceRequest& request, Candidates candidates, Prng& prng) {
    SLUICE_ASSERT(candidates.size() <= candidates_max);
    for (const Candidate& candidate : candidates)
        SLUICE_ASSERT(candidate.weight > 0);
    const Tier tier = find_tier(candidates, request.spill);
    if (tier.open.empty()) {
        return {tier.any_usable ? Choice::Outcome::full : Choice::Outcome::none};
    }
    const auto chosen = [](std::size_t index) { return Choice{Choice::Outcome::chosen, index}; };
    switch (request.kind) {
        case BalanceKind::round_robin:
            return chosen(rotate(candidates, tier.open));
        case BalanceKind::least_busy:
            break;
        case BalanceKind::least_latency:
            return chosen(choose_least_latency(candidates, tier.open, request.now, prng));
        case BalanceKind::hash:
            return chosen(choose_by_hash(candidates, tier.open, request.key));
        case BalanceKind::prefix:
            if (request.match == nullptr) break;
            return chosen(choose_by_prefix(candidates, tier.open, *request.match));
    }
    return chosen(choose_least_busy(candidates, tier.open));
}

}  // namespace sluice::policy
