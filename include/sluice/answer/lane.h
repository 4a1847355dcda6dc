// choose_lane: by which way the bytes of a body go: of an answer from the backend to the client, of
// a request the other way.
//
// Pure. Figures are in docs/decisions/0004: a received buffer that is sent again costs the least
// for events and small bodies, splicing for large bodies that nobody has to read.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/http/head.h"

#include <cstdint>
#include <string_view>

namespace sluice::answer {

enum class Lane : std::uint8_t {
    buffer,  // received into a buffer, read in place, sent from there
    splice,  // moved by the kernel; the gateway sees how many bytes, and of events a copy
    copy,    // as buffer, but some bytes are written anew
};
std::string_view lane_name(Lane lane);

struct LaneFacts {
    config::RelayMode mode = config::RelayMode::automatic;
    http::Framing in = http::Framing::none;
    http::Framing out = http::Framing::none;
    bool event_stream = false;
    bool events_taken_out = false;
    std::uint64_t bytes_ahead = 0;   // that are certain to come and need no look
    std::uint64_t bytes_passed = 0;  // of this body, so far
    bool pipe_refused = false;
};

struct LaneChoice {
    Lane lane = Lane::buffer;
    const char* reason = nullptr;  // for the access log; a literal of plain letters
};

// Shorter runs are not worth a pipe; or, where splicing was asked for, a buffer is all they fill.
std::uint64_t spliced_bytes_min(config::RelayMode mode);

LaneChoice choose_lane(const LaneFacts& facts);

// Of a request's body that nothing has to be read of. One that is spliced is not kept, so it cannot
// go to a second backend.
struct RequestLaneFacts {
    config::RelayMode mode = config::RelayMode::automatic;
    http::Framing in = http::Framing::none;
    bool expects_continue = false;  // the client waits to be asked for it
    std::uint64_t bytes_ahead = 0;  // that have not been received yet
    bool pipe_refused = false;
};

LaneChoice choose_lane(const RequestLaneFacts& facts);

}  // namespace sluice::answer
