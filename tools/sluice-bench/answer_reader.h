// AnswerReader: reads one answer, checks all that can be checked of it, and records it.
//
// Pure: bytes and the time they came go in. Checked are the framing, the status, that documents and
// events are JSON, that no event comes behind the last one or out of sequence, that no stream ends
// without its end mark, and that no byte follows the answer. Nothing that failed is recorded as a
// success. Events and the time between them are recorded as they come, the request when it is over.
#pragma once

#include "json_check.h"
#include "sluice/base/clock.h"
#include "sluice/http/parser.h"
#include "sluice/sse/scanner.h"
#include "tally.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

struct Expectation {
    bool stream = false;   // text/event-stream; a document otherwise
    bool json = true;      // the document, or each event, is JSON
    bool stamped = false;  // events of the bench's own backend: each says when it was sent
};

class AnswerReader {
public:
    enum class State : std::uint8_t { more, complete, failed };

    // Gaps longer than `stall` are counted as stalls.
    AnswerReader(Tally& tally, Duration stall) : tally_(tally), stall_(stall) {}

    // The next answer; its times count from `from`.
    void begin(const Expectation& expectation, Instant from);
    // Bytes that came at `now`. After `complete` or `failed` it wants no more of this answer.
    State read(std::string_view run, Instant now);
    // The peer closed at `now`.
    State end(Instant now);

    bool silent() const { return !any_; }            // nothing has come yet
    bool keep_alive() const { return keep_alive_; }  // after `complete`
    std::uint32_t events() const { return events_; }
    // After `failed`.
    Failure failure() const { return failure_; }
    const std::string& what() const { return what_; }

private:
    State read_head(std::string_view& run);
    State judge_head(const http::Head& head);
    State read_body(std::string_view run, Instant now);
    bool read_piece(std::string_view bytes, Instant now);
    bool read_events(std::string_view bytes, Instant now);
    bool read_event(const sse::Event& event, Instant now);
    bool read_stamp(std::string_view data, Instant now);
    void time_event(std::string_view data, Instant now);
    State finish(Instant now);
    State fail(Failure failure, std::string what);

    Tally& tally_;
    Duration stall_;
    Expectation expectation_;
    Instant from_;
    http::Parser parser_{http::Parser::Side::response};
    std::vector<http::BodyPiece> pieces_;
    std::string head_;  // of a head that comes in parts
    std::string tail_;  // the body's last bytes: where usage stands
    sse::Scanner scanner_;
    JsonCheck json_;
    Instant last_event_;
    std::uint32_t events_ = 0;
    std::uint32_t text_events_ = 0;
    int status_ = 0;
    bool any_ = false;
    bool in_body_ = false;
    bool keep_alive_ = false;
    bool ended_ = false;     // the end mark was seen
    bool finished_ = false;  // a finish reason was seen
    Failure failure_ = Failure::bad_http;
    std::string what_;
};

}  // namespace sluice::bench
