// Doubts: when failures that may be the requests' own are the server's after all.
//
// A server that answers 500 may be broken, or may have been asked something wrong. One caller,
// whatever it sends and however often, is no proof; nor is one request that several callers send.
// Two callers that failed with two requests, and nobody who was served in between, are: from then
// on each such failure counts, until somebody is served, or nothing of the kind has happened for
// `memory`.
//
// Pure; a few words of state for each backend of each model, on each shard: what happens on one is
// told to the others (policy/lesson.h). Remembers the last failures of `callers_max` callers.
#pragma once

#include "sluice/base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::policy {

class Doubts {
public:
    static constexpr std::size_t callers_max = 4;
    static constexpr Duration memory = Duration::seconds(30);

    // Of a caller, with a request of that digest.
    struct Failure {
        std::uint64_t caller = 0;
        std::uint64_t request = 0;
        Instant at;
    };

    // A doubtful failure. True: others are witnesses that it is the server's.
    bool add(const Failure& failure);
    // Somebody was served well. True: that has taken doubts away.
    bool served(Instant now);

    // The same, of another shard. When somebody was served here behind that failure, which the
    // others may not know; zero: nobody was.
    Instant learn(const Failure& failure);
    void learn_served(Instant at);

private:
    std::array<Failure, callers_max> failures_{};  // one a caller, its last; the oldest makes room
    std::size_t used_ = 0;
    Instant served_at_;  // the last time
};

}  // namespace sluice::policy
