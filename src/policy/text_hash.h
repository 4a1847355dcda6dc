// A hash of short texts that stays the same from build to build and from shard to shard.
//
// Not against somebody who looks for collisions: whoever chooses the key chooses where it goes.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::policy {

// The finaliser of splitmix64: every bit of the result depends on every bit of x.
constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

// FNV-1a, mixed.
constexpr std::uint64_t hash_text(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return mix(hash);
}

}  // namespace sluice::policy
