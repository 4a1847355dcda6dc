// Scanner: finds the events of a text/event-stream in bytes that arrive in any split.
//
// Pure (WHATWG HTML, section 9.2.6: LF, CRLF and CR end a line; an empty line ends an event; a BOM
// may stand at the very start; lines that begin with ':' are comments).
// It never changes and never owns the stream: it tells where events begin and end so that the relay
// can pass, hold or cut them. An event whose bytes lie in one run is looked at in place; one that
// is split over runs is gathered up to limits::sse_event_bytes_max, beyond which only its end is
// found (`oversized`).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/base/limits.h"

namespace sluice::sse {

struct Event {
    // Offset just behind the event (its empty line included) in the run given to next().
    std::size_t end = 0;
    // Its data: the value of the data line; several lines are joined with '\n' (then it is gathered).
    // Valid until the next call. Empty for comments.
    std::string_view data;
    // The value of its `event:` line, or empty.
    std::string_view name;
    // Only comments, or nothing but an empty line: carries no event for a client.
    bool comment_only = false;
    // Too long to be gathered: `data` is empty.
    bool oversized = false;
};

class Scanner {
public:
    // The next event that ends in `run`, searching from `from`; false when no further one ends in
    // it, and then the rest of `run` has been taken into account as the begin of the next event.
    //     for (std::size_t at = 0; scanner.next(run, at, event); at = event.end) { ... }
    bool next(std::string_view run, std::size_t from, Event& event);

    // Whether the stream stands at an event boundary: nothing of an event is pending.
    bool at_boundary() const;

private:
};

}  // namespace sluice::sse
