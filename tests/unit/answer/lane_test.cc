#include "sluice/answer/lane.h"

#include "sluice/base/limits.h"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::answer;
using config::RelayMode;
using http::Framing;

namespace {

constexpr std::uint64_t large = limits::spliced_bytes_min;
constexpr std::uint64_t endless = UINT64_MAX;

struct Row {
    LaneFacts facts;
    Lane lane;
    std::string_view reason;
};

const Row table[] = {
    // --- nothing, and events ---
    {{.in = Framing::none, .out = Framing::none}, Lane::buffer, "no body"},
    {{.in = Framing::chunked, .out = Framing::chunked, .event_stream = true},
     Lane::buffer,
     "events"},
    {{.in = Framing::chunked, .out = Framing::chunked, .event_stream = true, .bytes_ahead = large},
     Lane::buffer,
     "events"},
    {{.mode = RelayMode::buffer,
      .in = Framing::chunked,
      .out = Framing::chunked,
      .event_stream = true},
     Lane::buffer,
     "events"},
    // --- events through pipes, where that was asked for and nothing is rewritten ---
    {{.mode = RelayMode::splice,
      .in = Framing::chunked,
      .out = Framing::chunked,
      .event_stream = true},
     Lane::splice,
     "asked for"},
    {{.mode = RelayMode::splice,
      .in = Framing::until_close,
      .out = Framing::until_close,
      .event_stream = true,
      .bytes_ahead = endless},
     Lane::splice,
     "asked for"},
    {{.mode = RelayMode::splice,
      .in = Framing::chunked,
      .out = Framing::chunked,
      .event_stream = true,
      .pipe_refused = true},
     Lane::buffer,
     "no pipe"},
    {{.mode = RelayMode::splice,
      .in = Framing::chunked,
      .out = Framing::chunked,
      .event_stream = true,
      .events_taken_out = true},
     Lane::copy,
     "an event is taken out"},
    {{.mode = RelayMode::splice,
      .in = Framing::chunked,
      .out = Framing::until_close,
      .event_stream = true},
     Lane::copy,
     "framed anew"},
    {{.mode = RelayMode::splice,
      .in = Framing::length,
      .out = Framing::chunked,
      .event_stream = true},
     Lane::copy,
     "framed anew"},
    // --- events of another shape ---
    {{.in = Framing::chunked,
      .out = Framing::chunked,
      .event_stream = true,
      .events_taken_out = true},
     Lane::copy,
     "an event is taken out"},
    {{.in = Framing::length, .out = Framing::chunked, .event_stream = true},
     Lane::copy,
     "framed anew"},
    // --- by size ---
    {{.in = Framing::length, .out = Framing::length, .bytes_ahead = large - 1},
     Lane::buffer,
     "small"},
    {{.in = Framing::length, .out = Framing::length, .bytes_ahead = large}, Lane::splice, "large"},
    {{.in = Framing::chunked, .out = Framing::chunked, .bytes_ahead = large},
     Lane::splice,
     "large"},
    {{.in = Framing::chunked, .out = Framing::chunked, .bytes_ahead = 0}, Lane::buffer, "small"},
    // --- of unknown length ---
    {{.in = Framing::until_close, .out = Framing::chunked, .bytes_ahead = endless},
     Lane::copy,
     "framed anew"},
    {{.in = Framing::until_close,
      .out = Framing::until_close,
      .bytes_ahead = endless,
      .bytes_passed = 2 * large - 1},
     Lane::buffer,
     "unknown length"},
    {{.in = Framing::until_close,
      .out = Framing::until_close,
      .bytes_ahead = endless,
      .bytes_passed = 2 * large},
     Lane::splice,
     "large"},
    {{.in = Framing::chunked, .out = Framing::until_close, .bytes_ahead = large},
     Lane::copy,
     "framed anew"},
    // --- what was asked for, and what is to be had ---
    {{.mode = RelayMode::buffer,
      .in = Framing::length,
      .out = Framing::length,
      .bytes_ahead = 10 * large},
     Lane::buffer,
     "asked for"},
    {{.mode = RelayMode::splice,
      .in = Framing::length,
      .out = Framing::length,
      .bytes_ahead = limits::buffer_bytes},
     Lane::splice,
     "asked for"},
    {{.mode = RelayMode::splice,
      .in = Framing::length,
      .out = Framing::length,
      .bytes_ahead = limits::buffer_bytes - 1},
     Lane::buffer,
     "small"},
    {{.in = Framing::length, .out = Framing::length, .bytes_ahead = large, .pipe_refused = true},
     Lane::buffer,
     "no pipe"},
    {{.in = Framing::length, .out = Framing::length, .bytes_ahead = 1, .pipe_refused = true},
     Lane::buffer,
     "no pipe"},
};

struct RequestRow {
    RequestLaneFacts facts;
    Lane lane;
    std::string_view reason;
};

const RequestRow request_table[] = {
    {{.in = Framing::none}, Lane::buffer, "no body"},
    {{.mode = RelayMode::splice, .in = Framing::none}, Lane::buffer, "no body"},
    // --- by size: of what is still to come ---
    {{.in = Framing::length, .bytes_ahead = 0}, Lane::buffer, "small"},
    {{.in = Framing::length, .bytes_ahead = large - 1}, Lane::buffer, "small"},
    {{.in = Framing::length, .bytes_ahead = large}, Lane::splice, "large"},
    {{.in = Framing::length, .bytes_ahead = 100 * large}, Lane::splice, "large"},
    // --- of unknown length, whatever is asked for ---
    {{.in = Framing::chunked, .bytes_ahead = large}, Lane::buffer, "unknown length"},
    {{.mode = RelayMode::splice, .in = Framing::chunked, .bytes_ahead = large},
     Lane::buffer,
     "unknown length"},
    // --- the client waits to be asked ---
    {{.in = Framing::length, .expects_continue = true, .bytes_ahead = large},
     Lane::buffer,
     "waits for 100"},
    {{.mode = RelayMode::splice,
      .in = Framing::length,
      .expects_continue = true,
      .bytes_ahead = large},
     Lane::buffer,
     "waits for 100"},
    // --- what was asked for, and what is to be had ---
    {{.mode = RelayMode::buffer, .in = Framing::length, .bytes_ahead = 10 * large},
     Lane::buffer,
     "asked for"},
    {{.mode = RelayMode::buffer, .in = Framing::chunked}, Lane::buffer, "asked for"},
    {{.mode = RelayMode::splice, .in = Framing::length, .bytes_ahead = limits::buffer_bytes},
     Lane::splice,
     "asked for"},
    {{.mode = RelayMode::splice, .in = Framing::length, .bytes_ahead = limits::buffer_bytes - 1},
     Lane::buffer,
     "small"},
    {{.in = Framing::length, .bytes_ahead = large, .pipe_refused = true}, Lane::buffer, "no pipe"},
    {{.mode = RelayMode::splice, .in = Framing::length, .bytes_ahead = large, .pipe_refused = true},
     Lane::buffer,
     "no pipe"},
};

template <class Table>
void check_table(const Table& rows) {
    for (const auto& row : rows) {
        const LaneChoice choice = choose_lane(row.facts);
        CAPTURE(row.reason);
        CAPTURE(lane_name(row.lane));
        CHECK(choice.lane == row.lane);
        CHECK(choice.reason == row.reason);
    }
}

}  // namespace

TEST_CASE("the lane of an answer") {
    check_table(table);
}

TEST_CASE("the lane of a request's body") {
    check_table(request_table);
}
