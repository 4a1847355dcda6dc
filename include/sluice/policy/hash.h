// Hashes of 64 bits for tables and for spreading: fast, well mixed, not against an adversary.
//
// Who can choose the text can make two of them meet. Users of this header must be harmless then:
// a wrong guess of where a prompt is cached, an uneven spread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice::policy {

// Spreads every bit over all (the finaliser of splitmix64). One to one: 0 stays 0.
constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

// Both halves of the product; the step of wyhash.
constexpr std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// One step over a long text.
inline constexpr std::size_t hash_step_bytes = 16;
inline std::uint64_t hash_stepped(std::uint64_t state, const char* step) {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    std::memcpy(&first, step, sizeof first);
    std::memcpy(&second, step + sizeof first, sizeof second);
    return multiply_fold(first ^ 0xa0761d6478bd642f, second ^ state);
}

// Of a short text: a backend's name, a header's value, a client's address.
constexpr std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0) {
    std::uint64_t hash = seed ^ 0xa0761d6478bd642f;
    for (const char c : text)
        hash = multiply_fold(hash ^ static_cast<std::uint8_t>(c), 0xe7037ed1a0b428db);
    return mix(hash ^ text.size());
}

}  // namespace sluice::policy
