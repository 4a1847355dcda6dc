// Prng: a small seeded generator (xoshiro256**, Blackman and Vigna 2018).
//
// For jitter, request ids and the simulator; never for secrets. Same seed, same sequence.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "sluice/base/assert.h"

namespace sluice {

class Prng {
public:
    explicit Prng(std::uint64_t seed) {
        for (auto& word : state_) word = split_mix(seed);
    }

    std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // Uniform in [0, bound).
    std::uint64_t below(std::uint64_t bound) {
        SLUICE_ASSERT(bound > 0);
        return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
    }

    // Uniform in [low, high].
    std::uint64_t between(std::uint64_t low, std::uint64_t high) {
        SLUICE_ASSERT(low <= high);
        return low + below(high - low + 1);
    }

    // True `numerator` times out of `denominator`.
    bool chance(std::uint64_t numerator, std::uint64_t denominator) {
        return below(denominator) < numerator;
    }

private:
    // Spreads a small seed over the whole state.
    static std::uint64_t split_mix(std::uint64_t& x) {
        std::uint64_t z = (x += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    std::array<std::uint64_t, 4> state_{};
};

}  // namespace sluice
