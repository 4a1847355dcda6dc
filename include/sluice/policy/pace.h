// Pace: how long a model's answers take, learned from those that were complete.
//
// For one question: how long a server is likely to go on computing an answer that nobody waits for
// any more. Answers mostly end by themselves, long before their bound of tokens; so it is the usual
// time and as much more as answers usually differ from it, or what the bound takes at the usual
// speed, and at most left_max. What should be over may still be going on: a quarter of that is the
// least, or a second where it is more. Where answers are all alike that is their time; where they
// differ most, one in five or six takes longer
// (docs/decisions/0009-how-long-a-left-slot-is-taken.md).
//
// Pure; one for each backend of each model, on each shard.
#pragma once

#include "sluice/base/clock.h"

#include <cstdint>
#include <optional>

namespace sluice::policy {

class Pace {
public:
    // The least, of answers that take four times of that or longer.
    static constexpr Duration left_min = Duration::seconds(1);
    static constexpr Duration left_max = Duration::seconds(120);

    // An answer of so many tokens took that long, its prompt included.
    void observe(Duration took, std::uint64_t tokens);
    // Of an answer that was begun `elapsed` ago and may have `tokens_max` tokens; none: unknown.
    Duration left(std::optional<std::uint64_t> tokens_max, Duration elapsed) const;

private:
    // Before anything was learned: a quick model and a short answer.
    double took_ns_ = 25e8;
    double deviation_ns_ = 25e8;  // from that, usually
    double tokens_ = 100;
    bool learned_ = false;
};

}  // namespace sluice::policy
