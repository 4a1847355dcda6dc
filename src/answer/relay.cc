#include "sluice/answer/relay.h"

#include "sluice/base/limits.h"
#include "sluice/llm/failure_body.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::answer {
namespace {

constexpr std::string_view crlf = "\r\n";
constexpr std::string_view last_chunk = "0\r\n\r\n";

// A document that has not said by then that it is an error is none; and one that is longer than
// this is not held back.
constexpr std::size_t error_sign_bytes_max = 1 * limits::KiB;
constexpr std::size_t error_document_bytes_max = 64 * limits::KiB;

bool is_chunked(http::Framing framing) {
    return framing == http::Framing::chunked;
}

}  // namespace

http::Framing choose_framing(http::Framing in, int client_minor, bool length_changes) {
    switch (in) {
        case http::Framing::none:
            return http::Framing::none;
        case http::Framing::length:
            if (!length_changes) return http::Framing::length;
            [[fallthrough]];
        // HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
        case http::Framing::chunked:
        case http::Framing::until_close:
            return client_minor == 0 ? http::Framing::until_close : http::Framing::chunked;
    }
    return http::Framing::none;
}

void Relay::begin(const RelayPlan& plan) {
    held_.clear();
    *this = Relay(std::move(held_));
    plan_ = plan;
    scanner_ = sse::Scanner(plan.guessed ? sse::Form::event_stream : plan.form);
    if (plan.responses) place_ = std::make_unique<llm::ResponsesPlace>();
}

const llm::Usage& Relay::usage() const {
    return reader_.usage().known ? reader_.usage() : usage_;
}

http::Progress Relay::take(const mem::Slice& slice, http::Parser& parser, RelayScratch& scratch,
                           mem::BufferPool& buffers, mem::Chain& out, std::size_t& leftover) {
    if (plan_.raw) {
        const auto progress = watch(slice.text(), parser, scratch, leftover);
        if (progress != http::Progress::failed) out.append(slice.share(0, slice.size() - leftover));
        return progress;
    }
    if (plan_.resumed != nullptr)
        return take_resumed(slice, parser, scratch, buffers, out, leftover);
    scratch.pieces.clear();
    std::size_t consumed = 0;
    const auto progress = parser.parse_body(slice.text(), scratch.pieces, consumed);
    leftover = slice.size() - consumed;
    if (progress == http::Progress::failed) return progress;
    const bool complete = progress == http::Progress::complete;

    Reading reading = read_pieces(slice.text(), scratch);
    if (complete && read_end()) {
        if (!reading.release_held) held_.clear();
        scratch.waiting.clear();
        reading.cut = true;
    }
    const bool broken = malformed_ || erred_ || passed_error_ || (complete && unfinished());
    if (broken) {
        // What is whole leaves, but not what would look like an end.
        scratch.waiting.clear();
        reading.cut = true;
    }
    const bool untouched = held_.empty() && scratch.waiting.empty() && !reading.cut;
    if (untouched && emit_raw(slice, scratch, consumed, complete, out)) return progress;

    give_up_long_event(scratch, reading);
    mem::Chain body = held_.empty_like();
    if (reading.release_held) body.append(std::exchange(held_, held_.empty_like()));
    for (const auto& span : scratch.released)
        body.append(slice.share(span.begin, span.end));
    if (!emit(std::move(body), buffers, out) || broken) return http::Progress::failed;
    mem::Chain waiting = held_.empty_like();
    for (const auto& span : scratch.waiting)
        waiting.append(slice.share(span.begin, span.end));
    held_.append_compact(buffers, std::move(waiting));
    return complete && !end(buffers, out) ? http::Progress::failed : progress;
}

http::Progress Relay::watch(std::string_view text, http::Parser& parser, RelayScratch& scratch,
                            std::size_t& leftover) {
    SLUICE_ASSERT(plan_.raw && plan_.event_stream);
    SLUICE_ASSERT(plan_.in == plan_.out && !plan_.hide_usage_event);
    scratch.pieces.clear();
    std::size_t consumed = 0;
    const auto progress = parser.parse_body(text, scratch.pieces, consumed);
    leftover = text.size() - consumed;
    between_chunks_ = parser.between_chunks();
    if (progress == http::Progress::failed) return progress;
    read_pieces(text, scratch);
    if (progress == http::Progress::complete) read_end();
    return progress;
}

// Another stream's rest: every event is written anew, and what was not asked for left out.
http::Progress Relay::take_resumed(const mem::Slice& slice, http::Parser& parser,
                                   RelayScratch& scratch, mem::BufferPool& buffers, mem::Chain& out,
                                   std::size_t& leftover) {
    scratch.pieces.clear();
    std::size_t consumed = 0;
    const auto progress = parser.parse_body(slice.text(), scratch.pieces, consumed);
    leftover = slice.size() - consumed;
    if (progress == http::Progress::failed) return progress;
    std::string rewritten;
    for (const auto& piece : scratch.pieces)
        rewrite_events(slice.text().substr(piece.begin, piece.end - piece.begin), rewritten);
    const bool complete = progress == http::Progress::complete;
    mem::Chain body = held_.empty_like();
    if (!body.append_copy(buffers, rewritten)) {
        out_of_buffers_ = true;
        return http::Progress::failed;
    }
    if (!emit(std::move(body), buffers, out)) return http::Progress::failed;
    if (malformed_ || erred_ || (complete && unfinished())) return http::Progress::failed;
    return complete && !end(buffers, out) ? http::Progress::failed : progress;
}

void Relay::rewrite_events(std::string_view run, std::string& rewritten) {
    sse::Event event;
    for (std::size_t at = 0; !malformed_ && !erred_ && scanner_.next(run, at, event);
         at = event.end) {
        if (event.comment_only) {
            rewritten += ":\n\n";
            continue;
        }
        const auto facts = event.oversized ? llm::EventFacts{} : read_event(event);
        if (facts.silent) {
            rewritten += ":\n\n";
            continue;
        }
        if (facts.error) {
            erred_ = true;
            return;
        }
        const auto result = plan_.resumed->take(event.oversized ? std::string_view() : event.data);
        using Action = llm::ResumedStream::Action;
        malformed_ |= result.action == Action::broken || facts.malformed;
        const bool hidden = facts.usage_only && plan_.hide_usage_event;
        if (malformed_ || hidden || result.action == Action::drop) continue;
        if (result.action == Action::replace)
            rewritten += result.event;
        else
            rewritten.append("data: ").append(event.data).append("\n\n");
    }
}

// For another backend to go on with. False: it is an error, which must not reach the client.
bool Relay::keep(const sse::Event& event, const llm::EventFacts& facts) {
    if (plan_.journal == nullptr) return true;
    erred_ |= facts.error;
    if (!erred_) plan_.journal->take(event.data);
    return !erred_;
}

// An event that is longer than may be held passes in parts from here on.
void Relay::give_up_long_event(RelayScratch& scratch, Reading& reading) {
    std::size_t waiting = reading.release_held ? 0 : held_.size();
    for (const auto& span : scratch.waiting)
        waiting += span.end - span.begin;
    if (waiting == 0) return;
    if (!oversized_ && waiting <= limits::sse_event_bytes_max) return;
    oversized_ = true;
    release_waiting(scratch, reading);
}

// What was taken for the begin of an event leaves as it is.
void Relay::release_waiting(RelayScratch& scratch, Reading& reading) {
    reading.release_held = true;
    scratch.released.insert(scratch.released.end(), scratch.waiting.begin(), scratch.waiting.end());
    scratch.waiting.clear();
}

Relay::Reading Relay::read_pieces(std::string_view text, RelayScratch& scratch) {
    Reading reading;
    scratch.released.clear();
    scratch.waiting.clear();
    for (const auto& piece : scratch.pieces) {
        if (plan_.guessed) [[unlikely]] {
            settle_guess(text.substr(piece.begin, piece.end - piece.begin));
            if (!plan_.event_stream) release_waiting(scratch, reading);
        }
        if (plan_.event_stream) {
            scan_events(text, piece, scratch, reading);
            continue;
        }
        if (plan_.readable) read_document(text.substr(piece.begin, piece.end - piece.begin));
        scratch.released.push_back({piece.begin, piece.end});
    }
    return reading;
}

// A document in one piece, which small answers are, is searched for its usage like an event: a
// fifth of the work of reading it through (see bench/micro/proxy). One in several pieces is read
// through.
void Relay::read_document(std::string_view part) {
    if (tail_ != nullptr)
        tail_->append(part);
    else if (plan_.in == http::Framing::length && part.size() == plan_.length)
        read_whole_document(part);
    else
        reader_.feed(part);
    if (plan_.examined && document_ == Document::undecided) examine(part);
}

void Relay::read_whole_document(std::string_view part) {
    const auto facts = llm::read_event({}, part, usage_);
    content_bytes_ += facts.content_bytes;
    if (!plan_.examined) return;
    document_ = facts.error && !facts.answers ? Document::error : Document::answer;
    if (document_ == Document::error) error_text_ = part.substr(0, error_document_bytes_max);
}

// A document in several pieces: what it is may show in any of them.
void Relay::examine(std::string_view part) {
    SLUICE_ASSERT(document_ == Document::undecided);
    const std::size_t most = reader_.error() ? error_document_bytes_max : error_sign_bytes_max;
    if (reader_.answers() || error_text_.size() + part.size() > most)
        document_ = Document::answer;
    else if (reader_.complete())
        document_ = reader_.error() ? Document::error : Document::answer;
    if (document_ == Document::answer)
        std::string().swap(error_text_);
    else
        error_text_ += part;
}

// The first byte of a body that may be events tells whether it is something else: those begin with
// the name of a field, the colon of a comment, or a BOM.
void Relay::settle_guess(std::string_view text) {
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    const std::size_t begin = text.starts_with(mark) ? mark.size() : 0;
    const std::size_t at = text.find_first_not_of(" \t\r\n", begin);
    if (at == text.npos) return;
    plan_.guessed = false;
    constexpr std::string_view begins = ":deir\xEF";
    if (begins.find(text[at]) != begins.npos) {
        plan_.form = sse::Form::event_stream;
        return;
    }
    const bool is_json = text[at] == '{' || text[at] == '[';
    if (is_json && plan_.form == sse::Form::json_lines) {
        scanner_ = sse::Scanner(plan_.form);
        return;
    }
    plan_.event_stream = plan_.must_finish = plan_.hide_usage_event = false;
    plan_.readable = plan_.examined = is_json;
    if (!is_json) document_ = Document::answer;
}

void Relay::scan_events(std::string_view text, const http::BodyPiece& piece, RelayScratch& scratch,
                        Reading& reading) {
    if (passed_error_ && !plan_.raw) return;
    const std::string_view run = text.substr(piece.begin, piece.end - piece.begin);
    std::size_t at = 0;
    sse::Event event;
    for (; scanner_.next(run, at, event); at = event.end) {
        bool hidden = false;
        bool ends_in_error = false;
        if (event.oversized && plan_.journal != nullptr) plan_.journal->take({});
        if (!event.comment_only && !event.oversized) {
            const auto facts = read_event(event);
            hidden = facts.usage_only && plan_.hide_usage_event;
            // Of a stream that has shown that it speaks JSON; others may mean something else.
            malformed_ |= facts.malformed && plan_.must_finish && content_events_ > 0;
            if (malformed_ || !(facts.silent || keep(event, facts))) return;
            if (place_ != nullptr && !facts.silent) place_->take(event.data, facts.number);
            ends_in_error = facts.error && plan_.must_finish && plan_.journal == nullptr;
        }
        if (hidden && !oversized_) {
            reading.cut = true;
            if (!reading.release_held) held_.clear();
            scratch.waiting.clear();
        } else {
            if (!held_.empty()) reading.release_held = true;
            for (const auto& span : scratch.waiting)
                scratch.released.push_back(span);
            scratch.waiting.clear();
            scratch.released.push_back({static_cast<std::uint32_t>(piece.begin + at),
                                        static_cast<std::uint32_t>(piece.begin + event.end)});
        }
        oversized_ = false;
        // The client is told in the backend's own words; what is behind it could look like an end.
        if (ends_in_error) {
            passed_error_ = true;
            if (!plan_.raw) return;
        }
    }
    if (at < run.size())
        scratch.waiting.push_back({static_cast<std::uint32_t>(piece.begin + at), piece.end});
}

llm::EventFacts Relay::read_event(const sse::Event& event) {
    const auto facts = llm::read_event(event.name, event.data, usage_);
    // The mark is of other dialects: a response says its end by an event of its own.
    saw_done_ |= facts.done && (facts.finished || !plan_.responses);
    saw_error_ |= facts.error;
    saw_finish_ |= facts.finished;
    notable_ |= facts.notable;
    spoke_ |= facts.speaks;
    events_ += facts.silent ? 0 : 1;
    content_events_ += facts.content ? 1 : 0;
    content_bytes_ += facts.content_bytes;
    textless_events_ += facts.content && facts.content_bytes == 0 ? 1 : 0;
    // What is said behind a choice's end needs another one.
    open_choices_ |= (facts.choices.named & ~ended_choices_) | facts.choices.said;
    open_choices_ &= ~facts.choices.ended;
    ended_choices_ |= facts.choices.ended;
    if (facts.error && error_text_.empty())
        error_text_ = event.data.substr(0, llm::failure_body_bytes_max);
    return facts;
}

// What still waits for its end when the stream ends. By the standard (WHATWG HTML, section 9.2.6)
// an event without its empty line is thrown away, and so do the official SDKs; but servers forget
// that line, and what else reads SSE (curl, Go, whatever goes by lines) reads it. So it is judged
// by what it says: a finish reason ends the answer, whose text has all come by then, and to tell
// the client that it broke would be untrue. Half an event is none. The bytes leave as they came.
// True: what waits is not for the client.
bool Relay::read_end() {
    if (plan_.examined && document_ == Document::undecided) document_ = Document::answer;
    if (tail_ != nullptr) llm::read_tail(*tail_, usage_);
    sse::Event event;
    ended_inside_ |= plan_.event_stream && !scanner_.at_boundary();
    if (!plan_.event_stream || !scanner_.finish(event) || event.comment_only) return false;
    const bool counts = plan_.must_finish && (content_events_ > 0 || saw_finish_) && !saw_done_;
    // Of another stream's rest only what is written anew is passed on, which this is not.
    if (event.oversized || plan_.resumed != nullptr) {
        saw_done_ |= llm::is_done_mark(event.data);
        cut_ = counts && !saw_done_ && plan_.form == sse::Form::event_stream;
        return false;
    }
    const auto facts = read_event(event);
    cut_ = counts && facts.malformed;
    // Who does not see it would be told nothing; what passed through pipes has left already.
    erred_ |= facts.error && plan_.must_finish && !plan_.raw;
    passed_error_ |= facts.error && plan_.must_finish && plan_.raw;
    return erred_ || (facts.usage_only && plan_.hide_usage_event);
}

// The lane that touches nothing: the slice leaves as it came, its chunk framing included.
bool Relay::emit_raw(const mem::Slice& slice, const RelayScratch& scratch, std::size_t consumed,
                     bool complete, mem::Chain& out) {
    if (plan_.in != plan_.out) return false;
    if (!is_chunked(plan_.in)) {
        out.append(slice.share(0, consumed));
        return true;
    }
    std::size_t begin = 0;
    std::size_t end = 0;
    if (!scratch.pieces.empty()) {
        for (const auto& piece : scratch.pieces)
            if (!piece.intact) return false;
        begin = scratch.pieces.front().raw_begin;
        end = scratch.pieces.back().raw_end;
    }
    if (!complete) {
        out.append(slice.share(begin, end));
        return true;
    }
    if (slice.text().substr(end, consumed - end) == last_chunk) {
        out.append(slice.share(begin, consumed));
    } else {  // trailers, or the last chunk came in parts
        out.append(slice.share(begin, end));
        out.append(mem::Slice::of_static(last_chunk));
    }
    return true;
}

// Frames body bytes anew: one chunk for what one slice released. False: no buffer, nothing left.
bool Relay::emit(mem::Chain&& body, mem::BufferPool& buffers, mem::Chain& out) {
    if (body.empty()) return true;
    if (!is_chunked(plan_.out)) {
        out.append(std::move(body));
        return true;
    }
    if (!emit_size_line(body.size(), buffers, out)) return false;
    out.append(std::move(body));
    out.append(mem::Slice::of_static(crlf));
    return true;
}

bool Relay::emit_size_line(std::uint64_t size, mem::BufferPool& buffers, mem::Chain& out) {
    char line[18];
    const auto [digits_end, code] = std::to_chars(line, line + 16, size, 16);
    SLUICE_ASSERT(code == std::errc{});
    digits_end[0] = '\r';
    digits_end[1] = '\n';
    mem::Slice size_line = buffers.write({line, static_cast<std::size_t>(digits_end + 2 - line)});
    if (size_line.empty()) {
        out_of_buffers_ = true;
        return false;
    }
    out.append(std::move(size_line));
    return true;
}

bool Relay::begin_run(std::uint64_t bytes, mem::BufferPool& buffers, mem::Chain& out) {
    SLUICE_ASSERT(held_.empty());
    if (plan_.readable) {
        tail_ = std::make_unique<std::string>();
        content_bytes_ += bytes;  // as if all of it were text
    }
    return !is_chunked(plan_.out) || emit_size_line(bytes, buffers, out);
}

void Relay::end_run(mem::Chain& out) {
    if (is_chunked(plan_.out)) out.append(mem::Slice::of_static(crlf));
}

bool Relay::end(mem::BufferPool& buffers, mem::Chain& out) {
    // What is still held is an event without its empty line: the client's to judge.
    if (!emit(std::exchange(held_, held_.empty_like()), buffers, out)) return false;
    if (is_chunked(plan_.out)) out.append(mem::Slice::of_static(last_chunk));
    return true;
}

bool Relay::pass(std::string_view bytes, mem::BufferPool& buffers, mem::Chain& out) {
    SLUICE_ASSERT(!bytes.empty() && !plan_.raw);
    mem::Chain body = held_.empty_like();
    if (!body.append_copy(buffers, bytes) || !emit(std::move(body), buffers, out)) return false;
    if (!plan_.event_stream) return true;
    constexpr std::size_t longest_end = 4;  // CR LF CR LF
    passed_end_ += bytes.substr(bytes.size() - std::min(bytes.size(), longest_end));
    if (passed_end_.size() > longest_end) passed_end_.erase(0, passed_end_.size() - longest_end);
    oversized_ = !sse::ends_event(passed_end_, plan_.form);
    return true;
}

bool Relay::insert(std::string_view event, mem::BufferPool& buffers, mem::Chain& out) {
    if (oversized_ || (plan_.raw && !(between_chunks_ && scanner_.at_boundary()))) return false;
    mem::Chain body = held_.empty_like();
    return body.append_copy(buffers, event) && emit(std::move(body), buffers, out);
}

std::string Relay::error_failure() const {
    const std::string said = llm::read_failure_body(error_text_).message;
    return "ended its stream with an error: " + (said.empty() ? error_text_ : said);
}

std::string Relay::failure(const http::Parser& parser) const {
    if (plan_.resumed != nullptr && plan_.resumed->obstacle() != llm::ResumeObstacle::none)
        return "did not go on: " + std::string(llm::describe(plan_.resumed->obstacle())) + ".";
    if (erred_ || passed_error_) return error_failure();
    if (malformed_) return "sent an event that is not JSON.";
    if (cut_) return "ended its stream in the middle of an event.";
    if (unfinished()) return "ended its stream without a finish reason.";
    return "broke its framing: " + parser.error().message;
}

Break Relay::failure_kind() const {
    if (erred_ || passed_error_) return Break::error_event;
    if (malformed_) return Break::malformed;
    return unfinished() ? Break::unfinished : Break::framing;
}

bool Relay::break_off(std::string_view event, bool properly, mem::BufferPool& buffers,
                      mem::Chain& out) {
    held_.clear();
    if (!plan_.event_stream || plan_.out == http::Framing::length) return false;
    const bool between_events = !ended_inside_ && scanner_.at_boundary();
    if (plan_.raw && !(between_chunks_ && between_events)) return false;
    mem::Chain body = held_.empty_like();
    // Part of an event that was too long to be held is out already: end it first.
    if (oversized_)
        body.append(mem::Slice::of_static(plan_.form == sse::Form::json_lines ? "\n" : "\n\n"));
    if (!body.append_copy(buffers, event) || !emit(std::move(body), buffers, out)) return false;
    if (properly && is_chunked(plan_.out)) out.append(mem::Slice::of_static(last_chunk));
    return true;
}

}  // namespace sluice::answer
