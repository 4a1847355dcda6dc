// Pace: how long a model's answers take, learned from those that were complete.
//
// For one question: how long a server is likely to go on computing an answer that nobody waits for
// any more. Answers mostly end by themselves, long before their bound of tokens; so it is twice the
// usual length at the usual speed, or what the bound leaves, and at most left_max.
//
// Pure; one for each backend of each model, on each shard.
#pragma once

#include "sluice/base/clock.h"

#include <cstdint>
#include <optional>

namespace sluice::policy {

class Pace {
public:
    static constexpr Duration left_min = Duration::seconds(1);
    static constexpr Duration left_max = Duration::seconds(120);

    // An answer of so many tokens took that long, its prompt included.
    void observe(Duration took, std::uint64_t tokens);
    // Of an answer that was begun `elapsed` ago and may have `tokens_max` tokens; none: unknown.
    Duration left(std::optional<std::uint64_t> tokens_max, Duration elapsed) const;

private:
    // Before anything was learned: a quick model and a short answer.
    double token_ns_ = 25e6;
    double tokens_ = 100;
    bool learned_ = false;
};

}  // namespace sluice::policy
