// End: how an answer ended for whoever asked for it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::answer {

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

}  // namespace sluice::answer
