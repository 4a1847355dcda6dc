// Scanner: finds the events of a stream in bytes that arrive in any split.
//
// Pure. Of a text/event-stream (WHATWG HTML, section 9.2.6: LF, CRLF and CR end a line; an empty
// line ends an event; a BOM may stand at the very start; lines that begin with ':' are comments),
// or of JSON lines (application/x-ndjson: LF ends a line, and each line is an event). It never
// changes and never owns the stream: it tells where events begin and end so that the relay can
// pass, hold or cut them. An event whose bytes lie in one run is looked at in place; one that is
// split over runs is gathered. An event of more than limits::sse_event_bytes_max bytes is only
// delimited (`oversized`), however it was split: the same stream gives the same events in any
// split.
//
// An empty line that ends with CR ends its event at once, also when the CR is the run's last byte.
// An LF that then begins the next run is the other half of a CRLF: it is counted to the bytes of
// the next event, where it is harmless (an empty line between events says nothing), so every `end`
// is a place to cut or to put something in.
#pragma once

#include "sluice/base/limits.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::sse {

enum class Form : std::uint8_t { event_stream, json_lines };

struct Event {
    // Offset just behind the event (its empty line included) in the run given to next().
    std::size_t end = 0;
    // Its data: the value of the data line; several lines are joined with '\n' (then it is
    // gathered); of JSON lines the line; of an event with an `error:` line and no data, that
    // line's. Valid until the next call. Empty for comments.
    std::string_view data;
    // The value of its `event:` line, or empty. Valid until the next call. "error" in that case.
    std::string_view name;
    // Only comments, or nothing but an empty line: carries no event for a client.
    bool comment_only = false;
    // Too long to be looked at: `data` and `name` are empty.
    bool oversized = false;
};

class Scanner {
public:
    explicit Scanner(Form form = Form::event_stream) : form_(form) {}

    // The next event that ends in `run`, searching from `from`; false when no further one ends in
    // it, and then the rest of `run` has been taken into account as the begin of the next event.
    //     for (std::size_t at = 0; scanner.next(run, at, event); at = event.end) { ... }
    bool next(std::string_view run, std::size_t from, Event& event);

    // The stream has ended: true when something was begun, which is then told as it is: the last of
    // JSON lines, or an event without its empty line. (By section 9.2.6 that is none; but servers
    // end so, and many clients read it.) `event.end` means nothing then.
    bool finish(Event& event);

    // Whether the stream stands at an event boundary: nothing of an event is pending.
    bool at_boundary() const { return !in_event_ && (bom_matched_ == 0 || bom_matched_ == 3); }

private:
    bool next_line(std::string_view run, std::size_t from, Event& event);
    void take_line(std::string_view line, Event& event);
    const char* skip_bom(const char* p, const char* end);
    const char* find_end_of_event(const char* p, const char* end, const char*& body_end);
    void gather(const char* begin, const char* end);
    void release();

    std::string gathered_;  // the begin of an event that is split over runs
    std::string joined_;    // the data lines of the last event, if it had several
    Form form_;
    std::uint8_t bom_matched_ = 0;  // bytes of a BOM seen at the stream's start; 3: settled
    bool in_event_ = false;         // an event has begun in an earlier run
    bool line_is_empty_ = true;     // of that event's last line nothing has come yet
    bool after_cr_ = false;         // the last run ended with the CR of a line end
    bool oversized_ = false;        // the event in `gathered_` was too long and is dropped
    bool borrowed_ = false;         // the last event points into `gathered_` or `joined_`
};

// Whether `text`, the last bytes of a stream (four will do), ends an event: by an empty line, or a
// line of JSON.
bool ends_event(std::string_view text, Form form);

}  // namespace sluice::sse
