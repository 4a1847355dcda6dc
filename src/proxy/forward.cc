#include "forward.h"

#include "body_edits.h"
#include "sluice/base/limits.h"
#include "sluice/http/writer.h"
#include "sluice/llm/edits.h"
#include "sluice/llm/errors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sluice::proxy {
namespace {

// A client that takes nothing holds at most this much of its stream; at half of it the backend is
// listened to again.
constexpr std::size_t unsent_bytes_max = 32 * limits::KiB;
// From here on a client is behind, and what waits for it is packed into few buffers.
constexpr std::size_t unsent_slices_behind = 4;

// English text and JSON around it; only where a backend did not count.
constexpr std::uint64_t bytes_a_token = 4;

// Fields of an answer that are ours to say.
constexpr std::string_view not_forwarded[] = {
    "x-request-id",
    "x-sluice-backend",
    // A backend's own word on which pages may read its answers is not the gateway's.
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
    "access-control-allow-private-network",
};

bool is_type(std::string_view value, std::string_view type) {
    value = value.substr(0, value.find(';'));
    while (value.ends_with(' '))
        value.remove_suffix(1);
    return http::same_name(value, type);
}

}  // namespace

Forward::Forward(Service& service, Exchange& exchange, io::Actor& owner, net::Stream& client)
    : service_(service),
      exchange_(exchange),
      owner_(owner),
      client_(client),
      relay_(service.loop.nodes()),
      run_(service.pipes) {}

Forward::~Forward() {
    SLUICE_ASSERT(link_ == nullptr);
}

void Forward::enter(Phase phase) {
    phase_ = phase;
    phase_begun_ = service_.loop.now();
}

// --- choosing and connecting ----------------------------------------------------------------

const upstream::Target* Forward::next_target() {
    const auto& targets = exchange_.model->targets;
    const std::size_t count = std::min<std::size_t>(targets.size(), 64);
    const std::size_t first = service_.next_target++ % count;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = (first + i) % count;
        if ((exchange_.request->tried & (std::uint64_t{1} << at)) != 0) continue;
        exchange_.request->tried |= std::uint64_t{1} << at;
        return &targets[at];
    }
    return nullptr;
}

void Forward::start() {
    exchange_.target = next_target();
    SLUICE_ASSERT(exchange_.target != nullptr);
    try_target(upstream::Pool::Freshness::any);
}

bool Forward::try_next_target() {
    const auto* next = next_target();
    if (next == nullptr) return false;
    count_retry();
    exchange_.target = next;
    try_target(upstream::Pool::Freshness::any);
    return true;
}

void Forward::count_retry() {
    ++exchange_.retries;
    ++service_.statistics.retries;
}

void Forward::try_target(upstream::Pool::Freshness freshness) {
    SLUICE_ASSERT(link_ == nullptr);
    pool_ = &service_.pools.of(exchange_.target->endpoint);
    link_ = pool_->lease(owner_, freshness);
    link_bytes_before_ = link_ != nullptr ? link_->stream.bytes_received() : 0;
    if (link_ == nullptr)
        return fail({Source::gateway, Retry::yes, 503,
                     "The gateway has too many connections to backends open. Try again later."});
    enter(Phase::connecting);
    head_reader_.reset();
    if (!send_request()) {
        drop_link(false);
        return fail({Source::gateway, Retry::yes, 503, out_of_memory});
    }
    exchange_.overhead = exchange_.overhead + (monotonic_now() - service_.loop.now());
    // The first look at the link happens in this turn: a pooled one is open already.
    service_.loop.make_ready(owner_);
}

bool Forward::send_request() {
    const upstream::Target& target = *exchange_.target;
    const RequestState& request = *exchange_.request;
    usage_injected_ = exchange_.usage_asked && target.kind != upstream::Kind::llama_server;
    const auto kind = request.multipart != nullptr ? llm::BodyKind::multipart : llm::BodyKind::json;
    const auto edits = llm::plan_edits(
        kind, request.facts, {.model = target.upstream_name, .include_usage = usage_injected_});

    std::string& head = service_.text;
    head.clear();
    head += request.method;
    head += ' ';
    head += target.endpoint->target.path;
    head += request.target;
    head += " HTTP/1.1\r\nHost: ";
    head += target.endpoint->target.host;
    head += "\r\nContent-Length: ";
    head += std::to_string(edits.edited_size(request.body.size()));
    head += "\r\n";
    head += request.fields;
    head += "\r\n";

    mem::Chain message(service_.loop.nodes());
    if (!message.append_copy(service_.loop.buffers(), head)) return false;
    if (!append_edited(message, request.body, edits, service_.loop.buffers())) return false;
    link_->stream.send(std::move(message));
    return true;
}

// --- events of the link ---------------------------------------------------------------------

Forward::Outcome Forward::advance() {
    if (link_ == nullptr) return outcome_;
    net::Stream& stream = link_->stream;
    if (phase_ == Phase::connecting && stream.open()) {
        enter(Phase::waiting);
        listen();
    }
    // What came before an end or a failure counts.
    relay_received();
    if (link_ == nullptr) return outcome_;
    if (const int code = link_->stream.receive_error(); code != 0)
        on_link_lost(std::strerror(code));
    else if (link_->stream.ended())
        on_link_ended();
    return outcome_;
}

void Forward::flush() {
    if (link_ != nullptr) link_->stream.flush();
}

// No connection, or a reset. What may be tried again depends on what was already said.
void Forward::on_link_lost(std::string cause) {
    const bool connecting = phase_ == Phase::connecting && link_->stream.connecting();
    const bool silent = link_->stream.bytes_received() == link_bytes_before_;
    const bool reused = link_->reused();
    const std::string where = exchange_.target->endpoint->url;
    drop_link(false);
    if (phase_ == Phase::relaying) {
        if (event_stream_ && relay_.saw_done()) return end_answer(false);
        return break_off("The backend " + where + " broke off: " + cause, End::backend_error);
    }
    if (connecting) {
        if (try_next_target()) return;
        return fail(Error::backend(502, Retry::yes,
                                   "The backend " + where + " does not answer: " + cause +
                                       ". Is the model server running?"));
    }
    if (silent && reused) {
        // The server closed the kept-alive connection while the request was on its way.
        count_retry();
        return try_target(upstream::Pool::Freshness::fresh);
    }
    fail(Error::backend(
        502, Retry::no,
        "The backend " + where + " closed the connection before its answer: " + cause + "."));
}

void Forward::on_link_ended() {
    if (phase_ != Phase::relaying) return on_link_lost("the connection ended");
    const bool allowed = link_->parser.finish() == http::Progress::complete;
    drop_link(false);
    relay_.see_end();
    // A stream whose own last event is out is whole, however its framing ends; one that only the
    // connection's end delimits is not whole without it.
    if (event_stream_ ? relay_.saw_done() : allowed) return end_answer(false);
    break_off("The backend " + exchange_.target->endpoint->url +
                  " ended the answer before it was complete.",
              End::backend_error);
}

// Nothing more comes: the client gets the end of its framing.
void Forward::end_answer(bool reusable) {
    mem::Chain out(service_.loop.nodes());
    if (!relay_.end(service_.loop.buffers(), out)) {
        if (link_ != nullptr) drop_link(false);
        return break_off(out_of_memory, End::unavailable);
    }
    exchange_.bytes_out += out.size();
    client_.send(std::move(out));
    finish(reusable);
}

void Forward::relay_received() {
    while (link_ != nullptr && !link_->stream.received().empty()) {
        if (phase_ == Phase::waiting) {
            if (!read_head()) break;
            continue;
        }
        const mem::Slice slice = link_->stream.received().pop_front();
        relay_slice(slice);
    }
    if (link_ == nullptr) return;
    // Behind a part of a head, or an interim one, that was received for itself.
    if (phase_ == Phase::waiting && link_->stream.open()) listen();
    if (!splice_body()) pace();
}

// Back-pressure: while the client does not take what is queued, the backend is not listened to.
void Forward::pace() {
    if (phase_ != Phase::relaying) return;
    service_.watch_buffers();
    const std::size_t unsent = client_.unsent();
    const bool scarce = unsent > 0 && service_.low_on_buffers();
    if (!held_back_ && (unsent >= unsent_bytes_max || scarce)) {
        held_back_ = true;
        link_->stream.hold_receiving();
    } else if (held_back_ && unsent <= unsent_bytes_max / 2 && !scarce) {
        held_back_ = false;
        phase_begun_ = service_.loop.now();  // the silence was ours
    }
    if (!held_back_) listen();
}

// --- the answer -----------------------------------------------------------------------------

// False: the head is not complete yet.
bool Forward::read_head() {
    http::Head& head = service_.head;
    auto& received = link_->stream.received();
    const auto progress = head_reader_.read(received, link_->parser, head);
    if (progress == http::Progress::incomplete) return false;
    if (progress == http::Progress::failed) {
        fail_answer("sent an answer that is not valid HTTP: " + link_->parser.error().message);
        return true;
    }
    if (head.status < 200) {
        // 101 would turn the connection into a tunnel; nobody asked for one.
        if (head.status == 101 || ++interim_answers_ > limits::informational_responses_max)
            fail_answer("sent interim answers only.");
        else
            head_reader_.consume(received, head);
        return true;
    }
    begin_answer(head);
    if (link_ == nullptr) return true;
    head_reader_.consume(received, head);
    if (!body_expected_) end_answer(received.empty() && link_keeps_alive_);
    return true;
}

// An answer that cannot be used: nothing of it has reached the client.
void Forward::fail_answer(const std::string& what) {
    const std::string where = exchange_.target->endpoint->url;
    drop_link(false);
    fail(Error::backend(502, Retry::no, "The backend " + where + " " + what));
}

void Forward::begin_answer(const http::Head& head) {
    const bool encoded = !head.find("content-encoding").empty() &&
                         !http::same_name(head.find("content-encoding"), "identity");
    const std::string_view type = head.find("content-type");
    const bool json_lines = is_type(type, "application/x-ndjson");
    form_ = json_lines ? sse::Form::json_lines : sse::Form::event_stream;
    event_stream_ = !encoded && (json_lines || is_type(type, "text/event-stream"));
    const bool readable = !encoded && is_type(type, "application/json");
    const bool hide = usage_injected_ && event_stream_;
    body_expected_ = head.framing == http::Framing::length ? head.content_length > 0
                                                           : head.framing != http::Framing::none;
    // A stream of declared length could not be ended with an error event: chunks can.
    const auto out = choose_framing(head.framing, exchange_.client_minor, event_stream_);
    // llama-server closes after a stream although it says keep-alive: do not meet the reset.
    const bool closes_silently = event_stream_ && head.find("server") == "llama.cpp";
    link_keeps_alive_ = head.keep_alive && !closes_silently;
    client_must_close_ = out == http::Framing::until_close;

    if (!write_answer_head(head, out)) {
        drop_link(false);
        return fail({Source::gateway, Retry::yes, 503, out_of_memory});
    }
    relay_.begin({.in = head.framing,
                  .out = out,
                  .length = head.content_length,
                  .event_stream = event_stream_,
                  .form = form_,
                  .readable = readable,
                  .hide_usage_event = hide});
    exchange_.status = head.status;
    exchange_.answer_begun = true;
    exchange_.overhead = exchange_.overhead + (monotonic_now() - service_.loop.now());
    exchange_.lane = choose_lane({.mode = service_.settings.relay,
                                  .in = head.framing,
                                  .out = out,
                                  .event_stream = event_stream_,
                                  .events_taken_out = hide,
                                  .bytes_ahead = head.content_length,
                                  .pipe_refused = pipe_refused_});
    pool_->expect_large(exchange_.lane.lane == Lane::splice);
    enter(Phase::relaying);
    exchange_.forget_request();
}

bool Forward::write_answer_head(const http::Head& head, http::Framing out) {
    http::HeadWriter writer(service_.head_space());
    writer.status_line(head.status, head.reason);
    writer.forward(head, not_forwarded);
    writer.field("x-request-id", exchange_.id);
    writer.field("x-sluice-backend", exchange_.target->endpoint->url);
    if (out == http::Framing::length) writer.field("Content-Length", head.content_length);
    if (out == http::Framing::chunked) writer.field("Transfer-Encoding", "chunked");
    if (out == http::Framing::none && head.has_content_length && head.status != 204)
        writer.field("Content-Length", head.content_length);
    if (client_must_close_ || !exchange_.keep_alive)
        writer.field("Connection", "close");
    else if (exchange_.client_minor == 0)
        writer.field("Connection", "keep-alive");
    writer.end();
    if (writer.overflowed()) return false;
    mem::Chain bytes(service_.loop.nodes());
    if (!bytes.append_copy(service_.loop.buffers(), writer.text())) return false;
    exchange_.bytes_out += bytes.size();
    client_.send(std::move(bytes));
    return true;
}

void Forward::relay_slice(const mem::Slice& slice) {
    SLUICE_ASSERT(phase_ == Phase::relaying);
    if (exchange_.first_byte == Instant{})
        exchange_.first_byte = service_.loop.now();
    else if (event_stream_)
        service_.statistics.between_tokens.observe(service_.loop.now() - phase_begun_);
    phase_begun_ = service_.loop.now();
    mem::Chain out(service_.loop.nodes());
    std::size_t leftover = 0;
    const auto progress =
        relay_.take(slice, link_->parser, service_.relay, service_.loop.buffers(), out, leftover);
    exchange_.bytes_out += out.size();
    if (client_.unsent_slices() < unsent_slices_behind)
        client_.send(std::move(out));
    else
        client_.send_compact(std::move(out));
    if (progress == http::Progress::incomplete) return;
    if (progress == http::Progress::failed) {
        const std::string cause = relay_.out_of_buffers()
                                      ? out_of_memory
                                      : "The backend " + exchange_.target->endpoint->url +
                                            " broke its framing: " + link_->parser.error().message;
        drop_link(false);
        return break_off(cause, relay_.out_of_buffers() ? End::unavailable : End::backend_error);
    }
    const bool clean = leftover == 0 && link_->stream.received().empty();
    finish(clean && link_keeps_alive_);
}

// --- endings --------------------------------------------------------------------------------

void Forward::drop_link(bool reusable) {
    SLUICE_ASSERT(link_ != nullptr);
    if (run_.active()) {
        run_.end();
        client_.forget_pipe();
    }
    pool_->give_back(*std::exchange(link_, nullptr), reusable);
}

// What the backend told, or what can be said without it when a stream was cut.
void Forward::take_usage() {
    exchange_.usage = relay_.usage();
    if (exchange_.usage.known || !event_stream_ || exchange_.status != 200) return;
    exchange_.usage_estimated = true;
    exchange_.usage.prompt = exchange_.body_bytes / bytes_a_token;
    exchange_.usage.completion = relay_.content_events();
}

void Forward::finish(bool reusable) {
    take_usage();
    if (link_ != nullptr) drop_link(reusable);
    phase_ = Phase::finished;
    outcome_ = Outcome::done;
}

void Forward::fail(Error error) {
    SLUICE_ASSERT(!exchange_.answer_begun);
    exchange_.error = error.message;
    failure_ = std::move(error);
    phase_ = Phase::finished;
    outcome_ = Outcome::failed;
    service_.loop.make_ready(owner_);
}

void Forward::break_off(std::string cause, End end) {
    SLUICE_ASSERT(link_ == nullptr);
    take_usage();
    exchange_.error = cause;
    failure_ = {Source::backend, Retry::no, 502, cause};
    failure_end_ = end;
    mem::Chain out(service_.loop.nodes());
    const std::string event = llm::error_event(
        exchange_.dialect(), form_, {.status = 502, .message = cause, .code = "upstream_error"});
    relay_.break_off(event, service_.loop.buffers(), out);
    exchange_.bytes_out += out.size();
    client_.send(std::move(out));
    client_must_close_ = true;
    phase_ = Phase::finished;
    outcome_ = Outcome::broken;
    service_.loop.make_ready(owner_);
}

void Forward::abandon() {
    take_usage();
    if (link_ != nullptr) drop_link(false);
    phase_ = Phase::finished;
}

void Forward::interrupt(Error cause, End end) {
    if (link_ != nullptr) drop_link(false);
    if (!exchange_.answer_begun) {
        failure_end_ = end;
        return fail(std::move(cause));
    }
    break_off(std::move(cause.message), end);
}

// --- deadlines ------------------------------------------------------------------------------

Instant Forward::deadline() const {
    const auto& timeouts = service_.settings.model_timeouts;
    Duration limit{};
    switch (phase_) {
        case Phase::connecting:
            limit = timeouts.connect;
            break;
        case Phase::waiting:
            limit = timeouts.first_byte;
            break;
        case Phase::relaying:
            limit = waits_for_client() ? Duration{} : timeouts.gap;
            break;
        case Phase::idle:
        case Phase::finished:
            break;
    }
    return limit.ns == 0 ? io::TimerWheel::never : phase_begun_ + limit;
}

void Forward::expire() {
    const std::string where = exchange_.target->endpoint->url;
    const auto timeout = [&](const char* what, const char* flag) {
        interrupt(Error::backend(504, Retry::no, "The backend " + where + what + flag + ")."),
                  End::timeout);
    };
    switch (phase_) {
        case Phase::connecting:
            if (link_ != nullptr) drop_link(false);
            if (try_next_target()) return;
            return timeout(" cannot be reached in time (", "--timeout-connect");
        case Phase::waiting:
            return timeout(" sent no answer in time (", "--timeout-first-byte");
        case Phase::relaying:
            return timeout(" fell silent in the middle of its answer (", "--timeout-gap");
        case Phase::idle:
        case Phase::finished:
            SLUICE_ASSERT(false);
    }
}

}  // namespace sluice::proxy
