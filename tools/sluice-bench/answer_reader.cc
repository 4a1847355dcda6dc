#include "answer_reader.h"

#include "json_members.h"
#include "text.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace sluice::bench {
namespace {

// Usage stands at the end of a document; what servers put behind it (timings) fits in here too.
constexpr std::size_t tail_bytes = 2048;
constexpr std::size_t shown_bytes = 200;

// The end marks of OpenAI's chat and completions, of Anthropic's messages, of OpenAI's responses.
bool is_end_mark(const sse::Event& event) {
    return event.data == "[DONE]" || event.name == "message_stop" ||
           event.name == "response.completed";
}

bool has_text(std::string_view data, std::string_view name_end) {
    return any_member(data, name_end, [](std::string_view value) {
        return value.size() > 1 && value[0] == '"' && value[1] != '"';
    });
}

// An event that carries generated text, in the dialects there are.
bool carries_text(std::string_view data) {
    return has_text(data, "content\"") || has_text(data, "text\"") || has_text(data, "delta\"");
}

bool has_member(std::string_view data, std::string_view name_end, char begin) {
    return any_member(data, name_end,
                      [begin](std::string_view value) { return value.front() == begin; });
}

// {"error": ...
bool reports_error(std::string_view data) {
    data = skip_json_space(data);
    if (!data.starts_with('{')) return false;
    data = skip_json_space(data.substr(1));
    constexpr std::string_view name = "\"error\"";
    return data.starts_with(name) && !value_behind_name(data.substr(name.size())).empty();
}

std::uint64_t number_at(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::uint64_t tokens_of(std::string_view text) {
    const auto tokens = number_at(last_member(text, "\"completion_tokens\""));
    return tokens != 0 ? tokens : number_at(last_member(text, "\"output_tokens\""));
}

std::string shown(std::string_view text) {
    return shown_text(text, shown_bytes);
}

}  // namespace

void AnswerReader::begin(const Expectation& expectation, Instant from) {
    expectation_ = expectation;
    from_ = last_event_ = from;
    parser_ = http::Parser(http::Parser::Side::response);
    head_.clear();
    tail_.clear();
    if (expectation.stream) scanner_ = sse::Scanner();
    json_.reset();
    events_ = text_events_ = 0;
    status_ = 0;
    any_ = in_body_ = keep_alive_ = ended_ = finished_ = false;
}

AnswerReader::State AnswerReader::read(std::string_view run, Instant now) {
    any_ = any_ || !run.empty();
    while (!in_body_) {
        if (run.empty()) return State::more;
        if (const auto state = read_head(run); state != State::more) return state;
    }
    return read_body(run, now);
}

// Takes the head off the run. `more` with an empty run: it is not complete.
AnswerReader::State AnswerReader::read_head(std::string_view& run) {
    const std::size_t before = head_.size();
    if (before > 0) head_ += run;
    const std::string_view text = before > 0 ? std::string_view(head_) : run;
    http::Head head;
    switch (parser_.parse_head(text, head)) {
        case http::Progress::incomplete:
            if (before == 0) head_ = run;
            run = {};
            return State::more;
        case http::Progress::failed:
            return fail(Failure::bad_http, parser_.error().message);
        case http::Progress::complete:
            break;
    }
    run.remove_prefix(head.bytes - before);
    const auto state = head.status >= 200 ? judge_head(head) : State::more;
    head_.clear();
    return state;
}

AnswerReader::State AnswerReader::judge_head(const http::Head& head) {
    in_body_ = true;
    keep_alive_ = head.keep_alive;
    status_ = head.status;
    ++tally_.statuses[head.status];
    if (status_ < 200 || status_ > 299) return State::more;  // told with the begin of its body
    const bool events = head.find("content-type").starts_with("text/event-stream");
    if (events != expectation_.stream)
        return fail(Failure::bad_http,
                    fmt::format("content type '{}' where {} was asked for",
                                shown(head.find("content-type")),
                                expectation_.stream ? "a stream" : "a document"));
    return State::more;
}

AnswerReader::State AnswerReader::read_body(std::string_view run, Instant now) {
    pieces_.clear();
    std::size_t consumed = 0;
    const auto progress = parser_.parse_body(run, pieces_, consumed);
    for (const auto& piece : pieces_)
        if (!read_piece(run.substr(piece.begin, piece.end - piece.begin), now))
            return State::failed;
    if (progress == http::Progress::failed) return fail(Failure::bad_http, parser_.error().message);
    if (progress == http::Progress::incomplete) return State::more;
    if (consumed < run.size())
        return fail(Failure::bad_http, "bytes behind the answer: " + shown(run.substr(consumed)));
    return finish(now);
}

bool AnswerReader::read_piece(std::string_view bytes, Instant now) {
    if (expectation_.stream && status_ < 300) return read_events(bytes, now);
    if (expectation_.json && status_ < 300 && !json_.feed(bytes)) {
        fail(Failure::bad_json, "not JSON: " + shown(bytes));
        return false;
    }
    if (bytes.size() < tail_bytes && tail_.size() + bytes.size() > 2 * tail_bytes)
        tail_.erase(0, tail_.size() - tail_bytes);
    if (bytes.size() >= tail_bytes) tail_.clear();
    tail_ += bytes.substr(bytes.size() - std::min(bytes.size(), tail_bytes));
    return true;
}

bool AnswerReader::read_events(std::string_view bytes, Instant now) {
    sse::Event event;
    for (std::size_t at = 0; scanner_.next(bytes, at, event); at = event.end)
        if (!event.comment_only && !read_event(event, now)) return false;
    return true;
}

bool AnswerReader::read_event(const sse::Event& event, Instant now) {
    const auto refuse = [&](Failure failure, const char* what) {
        fail(failure, what + shown(event.data));
        return false;
    };
    if (ended_) return refuse(Failure::bad_order, "an event behind the last one: ");
    if (is_end_mark(event)) {
        ended_ = true;
        return true;
    }
    if (event.oversized) return true;
    if (expectation_.json && !JsonCheck::valid(event.data))
        return refuse(Failure::bad_json, "an event that is not JSON: ");
    if (reports_error(event.data) || event.name == "error")
        return refuse(Failure::error_event, "an error in the stream: ");
    const bool text = carries_text(event.data);
    if (text && finished_) return refuse(Failure::bad_order, "text behind the finish reason: ");
    finished_ = finished_ || has_member(event.data, "\"finish_reason\"", '"');
    if (expectation_.stamped && !finished_ && !read_stamp(event.data, now))
        return refuse(Failure::bad_order, "an event out of sequence: ");
    if (has_member(event.data, "\"usage\"", '{'))
        tail_.assign(
            event.data.substr(event.data.size() - std::min(event.data.size(), tail_bytes)));
    time_event(event.data, now);
    if (text) ++tally_.tokens, ++text_events_;
    return true;
}

// {"t":<nanoseconds + 10^18>,"n":<number of the event>, ...
bool AnswerReader::read_stamp(std::string_view data, Instant now) {
    constexpr std::string_view mark = "{\"t\":";
    if (!data.starts_with(mark)) return false;
    constexpr std::int64_t stamp_base = 1'000'000'000'000'000'000;
    const auto sent = static_cast<std::int64_t>(number_at(data.substr(mark.size()))) - stamp_base;
    if (number_at(last_member(data.substr(0, 48), "\"n\"")) != 1'000'000 + events_) return false;
    if (now.ns < sent) return false;
    tally_.delay.record(static_cast<std::uint64_t>(now.ns - sent));
    return true;
}

void AnswerReader::time_event(std::string_view data, Instant now) {
    ++tally_.events;
    ++events_;
    if (events_ > 1) {
        const Duration gap = now - last_event_;
        tally_.gap.record(static_cast<std::uint64_t>(gap.ns));
        if (gap > stall_) ++tally_.stalls;
    }
    last_event_ = now;
    // The first events of a chat are often empty: they name the role.
    if (text_events_ == 0 && carries_text(data))
        tally_.first_token.record(static_cast<std::uint64_t>((now - from_).ns));
}

AnswerReader::State AnswerReader::end(Instant now) {
    if (in_body_ && parser_.finish() == http::Progress::complete) return finish(now);
    return fail(Failure::cut_short, any_ ? "the connection was closed within the answer"
                                         : "the connection was closed without an answer");
}

AnswerReader::State AnswerReader::finish(Instant now) {
    if (status_ < 200 || status_ > 299)
        return fail(Failure::status, fmt::format("status {}: {}", status_, shown(tail_)));
    if (expectation_.stream && !ended_)
        return fail(Failure::no_end, "the stream ended without its end mark");
    if (!expectation_.stream && expectation_.json && !json_.complete())
        return fail(Failure::bad_json, "a document that ends early: ..." + shown(tail_));
    // What the server counted, where it says so; events were counted as they came.
    const auto tokens = tokens_of(tail_);
    if (tokens > text_events_) tally_.tokens += tokens - text_events_;
    tally_.latency.record(static_cast<std::uint64_t>((now - from_).ns));
    ++tally_.requests;
    return State::complete;
}

AnswerReader::State AnswerReader::fail(Failure failure, std::string what) {
    failure_ = failure;
    what_ = std::move(what);
    return State::failed;
}

}  // namespace sluice::bench
