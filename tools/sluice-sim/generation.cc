#include "generation.h"

#include "append.h"
#include "faults.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::model_sim {
namespace {

// More than a stream will ever have, so that it ends short of it.
constexpr std::uint64_t promised_length = 1 << 30;
constexpr std::uint64_t missing_bytes = 100;
constexpr std::size_t giant_head_bytes = 256 * 1024;

constexpr std::string_view broken_json = R"({"choices":[{"index":0,"delta":{"content":"bro)";
constexpr std::string_view unasked_response =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nunasked";

bool breaks_midway(Failure failure) {
    switch (failure) {
        case Failure::reset:
        case Failure::stall:
        case Failure::malformed_chunk:
        case Failure::malformed_json:
        case Failure::close:
        case Failure::error_event:
            return true;
        default:
            return false;
    }
}

std::string giant_fields() {
    std::string out;
    const std::string filler(1000, 'x');
    for (int i = 0; out.size() < giant_head_bytes; ++i)
        append(out, "X-Filler-", i, ": ", filler, "\r\n");
    return out;
}

}  // namespace

void Generation::take(Job&& job, const ResponseHead& head, std::string origin) {
    job_ = std::move(job);
    origin_ = std::move(origin);
    head_ = head;
    head_.origin = origin_;
    head_.stream = job_.stream;
    shape_ = shape_of(job_);
    frames_.clear();
    texts_.clear();
    events_.clear();
    events_count_ = 0;
    made_ = 0;
    ending_ = Ending::none;
    begun_ = opened_ = struck_ = false;
    if (!job_.stream) return;
    for (std::uint32_t choice = 0; choice < job_.choices; ++choice) {
        frames_.push_back(shape_.frame(job_, choice));
        texts_.push_back(job_.text.of_choice(choice));
    }
}

void Generation::start(Instant now) {
    started_ = first_token_ = last_token_ = due_ = now;
}

void Generation::produce(Instant now, std::size_t room, std::string& out) {
    if (!begun_) begin(out);
    if (ending_ != Ending::none || due_ > now) return;
    if (!job_.stream) return answer_whole(now, out);
    while (ending_ == Ending::none && due_ <= now && out.size() < room)
        step(now, out);
}

// The head leaves at once, as llama-server's does when a slot takes the request up; an answer that
// is not streamed leaves as a whole.
void Generation::begin(std::string& out) {
    begun_ = true;
    const auto& script = job_.script;
    due_ = started_ + script.ttft;
    if (script.failure == Failure::refuse) {
        ending_ = Ending::reset;
        return;
    }
    if (script.fail_after == 0) {
        switch (script.failure) {
            case Failure::reset:
                ending_ = Ending::reset;
                return;
            case Failure::close:
                ending_ = Ending::cut;
                return;
            case Failure::stall:
                ending_ = Ending::stall;
                return;
            // An error before the first token is an answer of its own.
            case Failure::error_event:
                job_.stream = false;
                break;
            default:
                break;
        }
    }
    if (job_.stream) {
        write_head(out, 200, shape_.stream_type, promised_length);
    } else if (job_.tokens > 0) {
        due_ = due_ + script.itl * static_cast<std::int64_t>(job_.tokens - 1);
    }
}

void Generation::write_head(std::string& out, int status, std::string_view type,
                            std::uint64_t length) {
    head_.status = status;
    head_.content_type = type;
    head_.length = length;
    const auto failure = job_.script.failure;
    const bool chunks = job_.stream || failure == Failure::malformed_chunk;
    head_.framing = chunks && failure != Failure::short_length ? Framing::chunked : Framing::length;
    head_.stream = job_.stream;
    const auto fields = failure == Failure::headers ? giant_fields() : std::string();
    head_.fields = fields;
    append_head(out, head_);
    head_.fields = {};
}

// --- streamed -------------------------------------------------------------------------------

void Generation::step(Instant now, std::string& out) {
    if (strikes_now()) return strike_stream(out);
    if (made_ == job_.tokens) return end_stream(now, out);
    if (made_ == 0) first_token_ = now;
    last_token_ = now;
    const fmt::format_int number(frames_.front().count_from + made_);
    for (std::uint32_t choice = 0; choice < job_.choices; ++choice)
        add_event(out, {number.data(), number.size()}, choice);
    ++made_;
    if (made_ < job_.tokens) due_ = due_ + job_.script.itl;
}

void Generation::add_event(std::string& out, std::string_view counter, std::uint32_t choice) {
    const Frame& frame = frames_[choice];
    if (made_ == 0 && !frame.opening.empty()) {
        events_ += frame.opening;
        if (shape_.opening_apart) flush(out);
    }
    opened_ = true;
    events_ += frame.prefix;
    texts_[choice].append_escaped(events_, job_.first + made_);
    events_ += frame.suffix;
    if (!frame.counted_tail.empty()) append(events_, counter, frame.counted_tail);
    if (++events_count_ >= job_.script.events_per_chunk) flush(out);
}

// A text without a token has its opening events nevertheless.
void Generation::open_choices(std::string& out) {
    if (opened_) return;
    for (const auto& frame : frames_) {
        events_ += frame.opening;
        flush(out);
    }
    opened_ = true;
}

void Generation::flush(std::string& out) {
    events_count_ = 0;
    if (events_.empty()) return;
    put(out, events_);
    events_.clear();
}

void Generation::put(std::string& out, std::string_view data) {
    if (head_.framing == Framing::chunked)
        append_chunk(out, data);
    else
        out += data;
}

void Generation::end_stream(Instant now, std::string& out) {
    if (made_ == 0) first_token_ = last_token_ = now;
    flush(out);
    open_choices(out);
    auto closing = shape_.closing(job_, totals());
    const bool with_last = job_.script.failure != Failure::no_done;
    if (with_last && !closing.last_apart && !closing.chunks.empty())
        closing.chunks.back() += closing.last;
    for (const auto& chunk : closing.chunks)
        put(out, chunk);
    if (with_last && closing.last_apart) put(out, closing.last);
    if (head_.framing == Framing::chunked) out += last_chunk;
    ending_ = proper_ending();
    if (job_.script.failure == Failure::extra) out += unasked_response;
}

Ending Generation::proper_ending() const {
    if (job_.script.failure == Failure::short_length) return Ending::cut;
    // llama-server closes after every stream, whatever its head says.
    const bool closes = !head_.keep_alive || (job_.stream && job_.api == Api::llama);
    return closes ? Ending::close : Ending::keep_alive;
}

Totals Generation::totals() const {
    return {.tokens = job_.tokens,
            .prompt = first_token_ - started_,
            .predicted = last_token_ - first_token_};
}

// --- what goes wrong ------------------------------------------------------------------------

bool Generation::strikes_now() const {
    if (struck_ || !breaks_midway(job_.script.failure)) return false;
    // A short text breaks at its end rather than not at all.
    return made_ == std::min<std::uint64_t>(job_.script.fail_after, job_.tokens);
}

void Generation::strike_stream(std::string& out) {
    struck_ = true;
    flush(out);
    switch (job_.script.failure) {
        case Failure::reset:
            ending_ = Ending::reset;
            return;
        case Failure::stall:
            ending_ = Ending::stall;
            return;
        case Failure::close:
            ending_ = Ending::cut;
            return;
        case Failure::malformed_chunk:
            out += "not-a-size\r\ndata: {}\n\n\r\n";
            ending_ = Ending::cut;
            return;
        case Failure::malformed_json:  // and then it goes on
            put(out, joined(shape_.stream_type == "text/event-stream" ? "data: " : "", broken_json,
                            shape_.stream_type == "text/event-stream" ? "\n\n" : "\n"));
            return;
        case Failure::error_event:
            put(out, shape_.error_event(job_));
            if (head_.framing == Framing::chunked) out += last_chunk;
            ending_ = proper_ending();
            return;
        default:
            SLUICE_ASSERT(false);
    }
}

// --- not streamed ---------------------------------------------------------------------------

void Generation::answer_whole(Instant now, std::string& out) {
    first_token_ = started_ + job_.script.ttft;
    last_token_ = std::max(first_token_, now);
    made_ = job_.tokens;
    const auto failure = job_.script.failure;
    if (failure == Failure::error_event) {
        const auto body = fault_body(job_.api, job_.kind, broken());
        write_head(out, broken().status, json_type, body.size());
        out += body;
        ending_ = proper_ending();
        return;
    }
    const auto body = shape_.body(job_, totals());
    if (breaks_midway(failure)) return cut_whole(body, out);
    const auto type = job_.kind == Kind::document ? job_.document.content_type : json_type;
    write_head(out, 200, type,
               body.size() + (failure == Failure::short_length ? missing_bytes : 0));
    out += body;
    ending_ = proper_ending();
    if (failure == Failure::extra) out += unasked_response;
}

// Breaks off in the middle of the body.
void Generation::cut_whole(const std::string& body, std::string& out) {
    const auto half = std::string_view(body).substr(0, body.size() / 2);
    const auto failure = job_.script.failure;
    const bool complete = failure == Failure::malformed_json;
    write_head(out, 200, json_type, complete ? half.size() : body.size());
    if (!half.empty()) put(out, half);
    switch (failure) {
        case Failure::malformed_json:
            ending_ = proper_ending();
            return;
        case Failure::malformed_chunk:
            out += "not-a-size\r\n";
            break;
        case Failure::reset:
            ending_ = Ending::reset;
            return;
        case Failure::stall:
            ending_ = Ending::stall;
            return;
        default:
            break;
    }
    ending_ = Ending::cut;
}

}  // namespace sluice::model_sim
