// A pool of backends with their states, for the tests of balancing.
#pragma once

#include "sluice/policy/balance.h"
#include "sluice/policy/hash.h"

#include <doctest/doctest.h>

#include <deque>
#include <string>
#include <vector>

namespace sluice::policy::test {

class PoolRig {
public:
    PoolRig() = default;
    explicit PoolRig(const std::vector<std::uint32_t>& weights) {
        for (const std::uint32_t weight : weights)
            add({.weight = weight});
    }

    Candidate& add(Candidate candidate) {
        const auto number = static_cast<std::uint32_t>(candidates.size());
        states_.emplace_back();
        candidate.backend = number + 3;
        candidate.identity = hash_text("http://127.0.0.1:" + std::to_string(8081 + number));
        candidate.state = &states_.back();
        return candidates.emplace_back(candidate);
    }

    Choice ask(const BalanceRequest& request) { return choose(request, candidates, prng); }
    // Where there must be one.
    std::size_t index(const BalanceRequest& request) {
        const Choice choice = ask(request);
        REQUIRE(choice.chosen());
        REQUIRE(choice.index < candidates.size());
        CHECK(candidates[choice.index].usable);
        CHECK_FALSE(candidates[choice.index].full());
        return choice.index;
    }

    std::vector<Candidate> candidates;
    Prng prng{1};

private:
    std::deque<BalanceState> states_;
};

}  // namespace sluice::policy::test
