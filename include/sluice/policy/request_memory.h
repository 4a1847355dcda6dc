// RequestMemory: what requests are known for, by their digests, for a minute.
//
// A client whose request failed sends it again, and so does the next one that asks the same: what
// was learned of it at the cost of servers must not be learned at that cost again. One shard's own:
// what one notes it tells the others (policy/lesson.h).
//
// Bounded: 256 requests, in sets of four. Where a set is full the one that is forgotten soonest
// makes room, those that end servers last. Nothing is allocated, and while nothing is known asking
// costs a comparison:
//
//     if (memory.any(now) && memory.knows(digest, KnownFor::ending_servers, now)) ...
#pragma once

#include "sluice/base/clock.h"
#include "sluice/policy/suspicion.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::policy {

enum class KnownFor : std::uint8_t {
    ending_servers,  // servers ended under it, one after the other: none gets it any more
    failing,         // servers that are well answer it with a failure of their own
    being_there,  // servers ended while they had it, and it was not served since: see deaths_of()
};

// What is to be known from now on: of a digest, see policy/request_digest.h.
struct RequestNote {
    std::uint64_t digest = 0;
    KnownFor what = KnownFor::failing;
    PastDeaths deaths;     // being_there: the most that one sending of it has met
    bool acquits = false;  // it was served: it is not known for ending servers, nor for being there
};

class RequestMemory {
public:
    static constexpr std::size_t requests_max = 256;
    static constexpr Duration kept = Duration::seconds(60);

    // Something is known of some request: only then a digest is worth making.
    bool any(Instant now) const { return now < all_forgotten_at_; }
    bool knows(std::uint64_t digest, KnownFor what, Instant now) const;
    // None, where it is not known for being there.
    PastDeaths deaths_of(std::uint64_t digest, Instant now) const;
    // For as long as it is kept, what was known of it before included.
    void note(const RequestNote& note, Instant now);

private:
    static constexpr std::size_t set_size = 4;
    static constexpr std::size_t sets = requests_max / set_size;

    struct Entry {
        std::uint64_t digest = 0;  // 0: free
        Instant forgotten_at;
        PastDeaths deaths;
        std::uint8_t known_for = 0;  // a bit each
    };
    using Set = std::array<Entry, set_size>;

    const Entry* find(std::uint64_t digest, Instant now) const;

    std::array<Set, sets> sets_{};
    Instant all_forgotten_at_;
};

}  // namespace sluice::policy
