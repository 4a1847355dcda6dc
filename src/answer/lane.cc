#include "sluice/answer/lane.h"

#include "sluice/base/limits.h"

namespace sluice::answer {
namespace {

// A body of unknown length is large when that much of it has come.
constexpr std::uint64_t large_reads = 2 * limits::spliced_bytes_min;

LaneChoice large(config::RelayMode mode) {
    return {Lane::splice, mode == config::RelayMode::splice ? "asked for" : "large"};
}

}  // namespace

std::string_view lane_name(Lane lane) {
    switch (lane) {
        case Lane::buffer:
            return "buffer";
        case Lane::splice:
            return "splice";
        case Lane::copy:
            return "copy";
    }
    return "";
}

std::uint64_t spliced_bytes_min(config::RelayMode mode) {
    return mode == config::RelayMode::splice ? limits::buffer_bytes : limits::spliced_bytes_min;
}

LaneChoice choose_lane(const LaneFacts& facts) {
    using config::RelayMode;
    using http::Framing;
    if (facts.events_taken_out) return {Lane::copy, "an event is taken out"};
    if (facts.in == Framing::none) return {Lane::buffer, "no body"};
    if (facts.in != facts.out) return {Lane::copy, "framed anew"};
    // Each one is read, and cut off honestly where it breaks. Spliced, for comparison, a copy is
    // read behind what leaves, and what broke in the middle of an event can only be cut off.
    if (facts.event_stream && facts.mode != RelayMode::splice) return {Lane::buffer, "events"};
    if (facts.event_stream)
        return facts.pipe_refused ? LaneChoice{Lane::buffer, "no pipe"}
                                  : LaneChoice{Lane::splice, "asked for"};
    if (facts.mode == RelayMode::buffer) return {Lane::buffer, "asked for"};
    const bool ends_anywhere = facts.in == Framing::until_close;
    if (ends_anywhere && (facts.bytes_passed < large_reads || facts.bytes_ahead == 0))
        return {Lane::buffer, "unknown length"};
    // Asked for once: also what is left of the body is there for want of a pipe.
    if (facts.pipe_refused) return {Lane::buffer, "no pipe"};
    if (facts.bytes_ahead < spliced_bytes_min(facts.mode)) return {Lane::buffer, "small"};
    return large(facts.mode);
}

LaneChoice choose_lane(const RequestLaneFacts& facts) {
    using http::Framing;
    if (facts.in == Framing::none) return {Lane::buffer, "no body"};
    if (facts.mode == config::RelayMode::buffer) return {Lane::buffer, "asked for"};
    if (facts.in != Framing::length) return {Lane::buffer, "unknown length"};
    // Nothing of it comes before the client is told to send it.
    if (facts.expects_continue) return {Lane::buffer, "waits for 100"};
    if (facts.pipe_refused) return {Lane::buffer, "no pipe"};
    if (facts.bytes_ahead < spliced_bytes_min(facts.mode)) return {Lane::buffer, "small"};
    return large(facts.mode);
}

}  // namespace sluice::answer
