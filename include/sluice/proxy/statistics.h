// Statistics of one shard: plain integers, written by its thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::proxy {

// How an exchange ended; each one ends in exactly one of these ways.
enum class End : std::uint8_t {
    ok,             // the answer went out whole, whatever its status
    refused,        // the gateway answered by itself that it would not (4xx)
    unavailable,    // the gateway could not: no room, no backend that answers (5xx of its own)
    client_gone,    // the client left before its answer was whole
    backend_error,  // the backend broke the answer, or sent none that could be used
    timeout,        // a deadline of ours fired
    drained,        // the gateway stopped before the answer was whole
};
inline constexpr std::size_t ends = 7;
const char* end_name(End end);

struct Statistics {
    std::uint64_t connections = 0;
    std::uint64_t exchanges_begun = 0;
    std::array<std::uint64_t, ends> exchanges_ended{};  // by End
    std::uint64_t prompt_tokens = 0;
    std::uint64_t completion_tokens = 0;
    std::uint64_t cached_tokens = 0;
    std::uint64_t retries = 0;       // a request went out a second time
    std::uint64_t refused_clients = 0;  // connections over a cap

    std::uint64_t settled() const {
        std::uint64_t sum = 0;
        for (const auto n : exchanges_ended) sum += n;
        return sum;
    }
};

}  // namespace sluice::proxy
