// Tally: all that is counted during a run; plain numbers of one thread, summed up at the end.
#pragma once

#include "histogram.h"
#include "sluice/base/assert.h"
#include "sluice/base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sluice::bench {

// Why a request did not succeed. Each failed request is counted under one of them.
enum class Failure : std::uint8_t {
    connect,      // no connection
    timeout,      // no complete answer in time
    reset,        // the connection broke
    cut_short,    // the answer ended before its end
    bad_http,     // not HTTP/1.1 as it should be, or bytes behind the answer
    status,       // not 2xx
    bad_json,     // a document or an event that is no JSON
    error_event,  // a stream that reported an error
    bad_order,    // events out of sequence, or behind the last one
    no_end,       // a stream without its end mark ([DONE])
};
inline constexpr std::size_t failures_count = 10;

constexpr std::string_view to_text(Failure failure) {
    constexpr std::string_view names[failures_count] = {
        "connect", "timeout",  "reset",       "cut short", "bad HTTP",
        "status",  "bad JSON", "error event", "bad order", "no end mark",
    };
    return names[static_cast<std::size_t>(failure)];
}

struct Tally {
    std::uint64_t requests = 0;        // answered in full and found right
    std::uint64_t events = 0;          // of streams, the end mark not counted
    std::uint64_t tokens = 0;          // as the server counts them, else events with text
    std::uint64_t stalls = 0;          // gaps between events above the bound
    std::uint64_t connections = 0;     // opened
    std::uint64_t reconnects = 0;      // a kept-alive connection was closed under a request
    std::uint64_t cut = 0;             // still running when the time was over; no failure
    std::uint64_t due = 0;             // open loop: requests that were due within the time
    std::uint64_t due_unanswered = 0;  // of those, not answered when it was over, or not even sent
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::array<std::uint64_t, failures_count> failures{};
    std::map<int, std::uint64_t> statuses;  // of all answers
    std::string first_failure;              // what exactly was wrong

    // Nanoseconds.
    // Request to last byte. In open loop from when it was due, and with those that are not
    // answered: how long they have waited, which is less than their latency will be.
    Histogram latency;
    Histogram first_token;  // request to the first event with text
    Histogram gap;          // between two events of a stream
    Histogram delay;        // an event's way from the bench's own backend to its client
    Histogram lag;          // how late a request left that had a connection waiting for it

    std::uint64_t failed() const {
        std::uint64_t sum = 0;
        for (const auto n : failures)
            sum += n;
        return sum;
    }
    void count(Failure failure, std::string_view what) {
        ++failures[static_cast<std::size_t>(failure)];
        if (first_failure.empty()) first_failure = what;
    }
    // A request that was due so long ago is not answered.
    void count_unanswered(Duration waited) {
        SLUICE_ASSERT(waited.ns >= 0);
        ++due_unanswered;
        latency.record(static_cast<std::uint64_t>(waited.ns));
    }
    // In open loop: the server did not keep up with the rate that was asked for, noticeably.
    bool rate_missed() const { return (requests + failed()) * 100 < due * 95; }
    void add(const Tally& other);
    void clear();
};

}  // namespace sluice::bench
