// Doubts: when failures that may be the requests' own are the server's after all.
//
// A server that answers 500 may be broken, or may have been asked something wrong. One caller,
// whatever it sends and however often, is no proof; nor is one request that several callers send.
// Two callers that failed with two requests, and nobody who was served in between, are: from then
// on each such failure counts, until somebody is served, or nothing of the kind has happened for
// `memory`.
//
// Pure; a few words of state for each backend of each model, on each shard. Remembers the last
// failures of `callers_max` callers.
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

    // A doubtful failure of `caller` with a request of that digest. True: others are witnesses that
    // it is the server's.
    bool add(std::uint64_t caller, std::uint64_t request, Instant now);
    // Somebody was served well.
    void clear() { used_ = 0; }

private:
    struct Failure {
        std::uint64_t caller = 0;
        std::uint64_t request = 0;
        Instant at;
    };

    std::array<Failure, callers_max> failures_{};  // one a caller, its last; the oldest makes room
    std::size_t used_ = 0;
};

}  // namespace sluice::policy
