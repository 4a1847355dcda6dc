// Ghosts: which keys were evicted lately, without their answers.
//
// Pure. As in the S3-FIFO paper (see store.h), section 4.2: no queue, but a table of fingerprints
// with the time of eviction, counted in evictions; a fingerprint that is older than the queue would
// be long is not there. Four places share a home, of which the oldest is taken. Two keys with one
// fingerprint are one ghost, which costs nothing but a better place for an entry.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::cache {

class Ghosts {
public:
    explicit Ghosts(std::size_t entries_max) : homes_(homes_for(entries_max)) {}

    static std::size_t bytes_for(std::size_t entries_max) {
        return homes_for(entries_max) * sizeof(Home);
    }

    void remember(std::uint64_t hash) {
        if (++clock_ == 0) ++clock_;
        Home& home = home_of(hash);
        const auto oldest = std::ranges::max_element(home, {}, [this, hash](const Ghost& ghost) {
            const bool free = ghost.time == 0 || ghost.fingerprint == fingerprint_of(hash);
            return free ? ~std::uint32_t{0} : clock_ - ghost.time;
        });
        *oldest = {fingerprint_of(hash), clock_};
    }
    // Whether it is among the last `length`; then it is no more.
    bool take(std::uint64_t hash, std::size_t length) {
        for (Ghost& ghost : home_of(hash)) {
            if (ghost.time == 0 || ghost.fingerprint != fingerprint_of(hash)) continue;
            const bool there = clock_ - ghost.time < length;
            ghost = {};
            return there;
        }
        return false;
    }

private:
    struct Ghost {
        std::uint32_t fingerprint = 0;
        std::uint32_t time = 0;  // 0: none
    };
    using Home = std::array<Ghost, 4>;

    static std::size_t homes_for(std::size_t entries_max) {
        return std::bit_ceil(entries_max / std::tuple_size_v<Home> + 1);
    }
    static std::uint32_t fingerprint_of(std::uint64_t hash) {
        return static_cast<std::uint32_t>(hash >> 32);
    }
    Home& home_of(std::uint64_t hash) { return homes_[(hash >> 12) & (homes_.size() - 1)]; }

    std::vector<Home> homes_;
    std::uint32_t clock_ = 0;
};

}  // namespace sluice::cache
