// Break: how an answer that had begun came to an end that is none.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::answer {

// What broke an answer of a backend behind its head.
enum class Break : std::uint8_t {
    connection,   // it was reset, or ended too early
    framing,      // what came is not HTTP
    unfinished,   // a generation that did not say how it ended
    malformed,    // an event that is not JSON
    error_event,  // an error among the events
    silence,      // the gap timeout
};
inline constexpr std::size_t breaks = 6;
const char* break_name(Break cause);

}  // namespace sluice::answer
