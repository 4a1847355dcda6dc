#include "connection.h"

#include "sluice/http/writer.h"
#include "sluice/policy/advice.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {
namespace {

// Bytes of later requests that wait while one is answered; past it the client is not listened to.
constexpr std::size_t parse_ahead_slices_max = 16;

constexpr std::string_view continue_answer = "HTTP/1.1 100 Continue\r\n\r\n";

constexpr std::string_view no_room =
    "HTTP/1.1 503 Service Unavailable\r\nServer: sluice\r\nContent-Length: 0\r\n"
    "Retry-After: 1\r\nx-should-retry: true\r\nConnection: close\r\n\r\n";

}  // namespace

Connection::Connection(Service& service, int fd, std::string client, const Door& door)
    : service_(service),
      stream_(service.loop, *this),
      timer_(this,
             [](void* self) {
                 auto& connection = *static_cast<Connection*>(self);
                 connection.timer_fired_ = true;
                 connection.service_.loop.make_ready(connection);
             }),
      client_(std::move(client)),
      door_(door),
      client_key_(policy::hash_text(client_)),
      entered_(service.loop.now()),
      write_progress_(service.loop.now()) {
    stream_.attach(fd);
    stream_.start_receiving();
    service_.loop.make_ready(*this);
}

void Connection::bury() {
    SLUICE_ASSERT(state_ == State::closing && stream_.closed());
    SLUICE_ASSERT(upload_ == nullptr);
    SLUICE_ASSERT(exchange_ == nullptr);
    SLUICE_ASSERT(answering_ == nullptr);
    service_.loop.timers().disarm(timer_);
    open_hook.unlink();
    service_.forget_client(client_);
    service_.connections.destroy(*this);
}

void Connection::enter(State state) {
    // Nothing follows the end; it may be asked for twice.
    SLUICE_ASSERT(state_ != State::closing || state == State::closing);
    if (reading_hook.linked()) service_.end_reading_on(*this);
    state_ = state;
    entered_ = service_.loop.now();
}

void Connection::advance() {
    if (stream_.closed()) return service_.loop.retire(*this);
    if (state_ == State::closing) return;
    if (stream_.bytes_sent() != sent_before_ || stream_.unsent() == 0) {
        sent_before_ = stream_.bytes_sent();
        write_progress_ = service_.loop.now();
    }
    if (stream_.error() != 0) leave(End::client_gone);
    run();
    // What has come counts before what is late: a turn may have taken long.
    if (state_ != State::closing && std::exchange(timer_fired_, false) &&
        deadline() <= service_.loop.now()) {
        on_deadline();
        run();
    }
    if (state_ == State::closing) return;
    check_state();
    stream_.flush();
    if (answering_ != nullptr) answering_->flush();
    watch_deadline();
}

// What holds whenever the connection has done what it could, and waits.
void Connection::check_state() const {
    switch (state_) {
        case State::idle:
            SLUICE_ASSERT(!close_after_);  // else it would be on its way out
            SLUICE_ASSERT(!body_pending_);
            [[fallthrough]];
        case State::head:
            SLUICE_ASSERT(exchange_ == nullptr);
            SLUICE_ASSERT(answering_ == nullptr && upload_ == nullptr);
            return;
        case State::body:
            SLUICE_ASSERT(exchange_ != nullptr && exchange_->request != nullptr);
            SLUICE_ASSERT(answering_ == nullptr);
            return;
        case State::deciding:
            SLUICE_ASSERT(exchange_ != nullptr && exchange_->sharing != nullptr);
            SLUICE_ASSERT(answering_ == nullptr);
            return;
        case State::forwarding:
            SLUICE_ASSERT(exchange_ != nullptr);
            SLUICE_ASSERT(answering_ != nullptr);
            return;
        case State::discarding:
            SLUICE_ASSERT(body_pending_);
            SLUICE_ASSERT(reading_hook.linked());  // others may have to take its place
            [[fallthrough]];
        case State::finishing:
            SLUICE_ASSERT(exchange_ != nullptr);
            SLUICE_ASSERT(answering_ == nullptr && upload_ == nullptr);
            return;
        case State::lingering:
            SLUICE_ASSERT(exchange_ == nullptr);
            SLUICE_ASSERT(answering_ == nullptr && upload_ == nullptr);
            SLUICE_ASSERT(reading_hook.linked());
            return;
        case State::closing:
            return;
    }
}

void Connection::run() {
    while (state_ != State::closing && step()) {
    }
}

// One step of the state the connection is in; true: look again, something changed.
bool Connection::step() {
    switch (state_) {
        case State::idle:
        case State::head:
            return read_head();
        case State::body:
            return read_body();
        case State::deciding:
            return decide();
        case State::forwarding:
            return forward();
        case State::discarding:
            return discard_body();
        case State::finishing:
            return finish();
        case State::lingering:
            return linger();
        case State::closing:
            return false;
    }
    return false;
}

// --- reading --------------------------------------------------------------------------------

bool Connection::read_head() {
    SLUICE_ASSERT(exchange_ == nullptr);  // the one before is settled
    auto& received = stream_.received();
    if (received.empty()) {
        if (stream_.ended()) leave(End::client_gone);
        return false;
    }
    if (state_ == State::idle) enter(State::head);
    http::Head& head = service_.head;
    const auto progress = head_reader_.read(received, parser_, head);
    if (progress == http::Progress::incomplete) {
        if (stream_.ended()) leave(End::client_gone);
        return false;
    }
    if (progress == http::Progress::failed) {
        refuse(parser_.error());
        return true;
    }
    begin_exchange(head);
    if (exchange_ != nullptr) exchange_->bytes_in += head.bytes;
    if (received.empty())
        head_reader_.reset();  // the connection is closing
    else
        head_reader_.consume(received, head);
    return true;
}

void Connection::begin_exchange(const http::Head& head) {
    exchange_ = service_.begin_exchange();
    if (exchange_ == nullptr) {
        stream_.send(mem::Slice::of_static(no_room));
        more_comes_ = true;
        return close_gracefully();
    }
    exchange_->id = service_.request_id(head.find(http::FieldId::x_request_id));
    SLUICE_ASSERT(exchange_->request != nullptr && !exchange_->answer_begun);
    exchange_->door = &door_;
    exchange_->method = head.method;
    exchange_->method_text = head.method_text;
    exchange_->path = head.path;
    exchange_->client_minor = head.minor;
    exchange_->keep_alive = head.keep_alive && !service_.draining && !close_after_;
    close_after_ = !exchange_->keep_alive;
    exchange_->expects_continue = head.expect_continue;
    exchange_->body_bytes_declared =
        head.framing == http::Framing::length ? head.content_length : 0;
    body_pending_ = head.framing == http::Framing::chunked || head.content_length > 0;
    body_begun_ = service_.loop.now();  // also of one that is only read to be discarded
    if (!run_head_stages(head)) return;
    if (exchange_->is_generic() && body_pending_ && prepare_upload(head)) {
        keep_request(head);
        return enter(State::body);
    }
    if (head.framing == http::Framing::length && !charge_body(head.content_length))
        return reply(out_of_memory_reply(*exchange_));
    keep_request(head);
    if (head.expect_continue && stream_.received().size() <= head.bytes)
        stream_.send(mem::Slice::of_static(continue_answer));
    enter(State::body);
}

bool Connection::run_head_stages(const http::Head& head) {
    const auto stages = pipeline();
    for (stage_ = 0; stage_ < stages.size(); ++stage_) {
        const Stage& stage = stages[stage_];
        if (stage.on_head == nullptr) continue;
        Reply answer;
        const Verdict verdict = stage.on_head(*exchange_, head, answer);
        if (verdict == Verdict::next) continue;
        if (verdict == Verdict::wait)
            wait_for_stage();
        else
            reply(std::move(answer));
        return false;
    }
    return true;
}

// --- answering ------------------------------------------------------------------------------

bool Connection::forward() {
    SLUICE_ASSERT(answering_ != nullptr && exchange_ != nullptr);
    auto& received = stream_.received();
    const std::size_t ahead_max = service_.low_on_buffers() ? 1 : parse_ahead_slices_max;
    if (received.slices() >= ahead_max) stream_.hold_receiving();
    if (client_left()) {
        leave(End::client_gone);
        return false;
    }
    switch (answering_->advance()) {
        case Answering::Outcome::pending:
            return false;
        case Answering::Outcome::done:
            close_after_ |= answering_->client_must_close();
            settle_as_ = answering_->answer_end();
            break;
        case Answering::Outcome::broken:
            // Where it does not end properly the client must see that it is no end: there is no
            // last chunk, or a reset comes.
            close_after_ |= answering_->client_must_close();
            if (answering_->client_must_see_reset()) stream_.reset_at_close();
            settle_as_ = answering_->failure_end();
            break;
        case Answering::Outcome::failed:
            reply_to_failure();
            return true;
    }
    end_forward();
    more_comes_ = body_pending_;
    close_after_ |= body_pending_;
    enter(State::finishing);
    return true;
}

void Connection::reply_to_failure() {
    const Error error = answering_->failure();
    const End end = answering_->failure_end();
    const policy::RetryAdvice advice = answering_->advice();
    SLUICE_ASSERT(error.status >= 400);
    SLUICE_ASSERT(!exchange_->answer_begun);  // else it would have broken
    end_forward();
    Reply answer = error_reply(*exchange_, error.status, error.message, failure_code(error.status));
    answer.end = end;
    answer.advice = advice;
    if (exchange_->target != nullptr)
        answer.fields = "x-sluice-backend: " + exchange_->target->endpoint->url + "\r\n";
    reply(std::move(answer));
}

void Connection::refuse(const Error& error) {
    SLUICE_ASSERT(error.status >= 400 && answering_ == nullptr);
    close_after_ = more_comes_ = true;
    if (exchange_ == nullptr) {
        exchange_ = service_.begin_exchange();
        if (exchange_ == nullptr) return close_gracefully();
        exchange_->id = service_.request_id({});
        exchange_->path = path_begun();
    }
    body_pending_ = false;  // nothing behind it can be read
    const bool too_slow = error.status == 408;
    Reply answer = error_reply(*exchange_, error.status, error.message,
                               too_slow ? "request_timeout" : "invalid_http");
    if (too_slow) answer.end = End::timeout;
    reply(std::move(answer));
}

// Queues an answer of the gateway's own.
void Connection::reply(Reply&& answer) {
    SLUICE_ASSERT(exchange_ != nullptr);
    SLUICE_ASSERT(answering_ == nullptr);
    SLUICE_ASSERT(!exchange_->answer_begun);  // a request has one answer
    SLUICE_ASSERT(answer.status >= 200 && answer.status < 600);
    if (upload_ != nullptr) end_upload();
    more_comes_ |= body_pending_;
    // What is left of the body is read if it is short, or the connection is given up.
    if (body_pending_ && !worth_discarding()) close_after_ = true;
    http::HeadWriter writer(service_.head_space());
    writer.status_line(answer.status);
    writer.field("Server", "sluice");
    if (answer.status != 204) {  // RFC 9110 section 8.6
        writer.field("Content-Type", answer.content_type);
        writer.field("Content-Length", answer.body.size());
    }
    writer.field("x-request-id", exchange_->id);
    if (exchange_->dialect() == llm::Dialect::anthropic) writer.field("request-id", exchange_->id);
    writer.lines(policy::advice_fields(answer.advice));
    writer.lines(answer.fields);
    if (!exchange_->opened_to.empty()) open_to(exchange_->opened_to, writer);
    if (close_after_ || answer.close)
        writer.field("Connection", "close");
    else if (exchange_->client_minor == 0)
        writer.field("Connection", "keep-alive");
    writer.end();
    SLUICE_ASSERT(!writer.overflowed());
    close_after_ |= answer.close;

    mem::Chain bytes(service_.loop.nodes());
    const bool with_body = exchange_->method != http::Method::head;
    const bool queued = bytes.append_copy(service_.loop.buffers(), writer.text()) &&
                        (!with_body || bytes.append_copy(service_.loop.buffers(), answer.body));
    if (!queued) return reply_without_buffers();
    exchange_->status = answer.status;
    exchange_->answer_begun = true;
    exchange_->bytes_out += bytes.size();
    if (exchange_->error.empty()) exchange_->error = std::move(answer.error);
    stream_.send(std::move(bytes));
    settle_as_ = answer.end;
    if (body_pending_ && !close_after_) {
        stream_.start_receiving();
        enter(State::discarding);
        begin_reading_on();
    } else {
        enter(State::finishing);
    }
}

// No buffer is left even for an answer of ours: these bytes need none.
void Connection::reply_without_buffers() {
    exchange_->status = 503;
    exchange_->answer_begun = true;
    exchange_->bytes_out += no_room.size();
    exchange_->error = "no buffer was left for an answer (--buffers)";
    stream_.send(mem::Slice::of_static(no_room));
    settle_as_ = End::unavailable;
    close_after_ = true;
    enter(State::finishing);
}

// The answer is queued; the next request waits until it is out.
bool Connection::finish() {
    SLUICE_ASSERT(exchange_ != nullptr && upload_ == nullptr);
    if (stream_.unsent() > 0) return false;
    settle(settle_as_);
    if (close_after_ || (stream_.ended() && stream_.received().empty())) {
        close_gracefully();
        return true;
    }
    more_comes_ = false;
    enter(State::idle);
    stream_.start_receiving();
    return true;
}

void Connection::close_gracefully() {
    SLUICE_ASSERT(exchange_ == nullptr && answering_ == nullptr);
    if (stream_.resets_at_close()) return leave(End::ok);
    stream_.received().clear();
    stream_.finish_sending();
    stream_.start_receiving();
    enter(State::lingering);
    begin_reading_on();
}

// Instead of a request: nothing is read of one.
void Connection::turn_away(std::string_view answer) {
    SLUICE_ASSERT(state_ == State::idle && exchange_ == nullptr);
    stream_.send(mem::Slice::of_static(answer));
    more_comes_ = true;
    close_gracefully();
}

void Connection::begin_reading_on() {
    SLUICE_ASSERT(state_ == State::discarding || state_ == State::lingering);
    const Duration patience = service_.settings.timeouts.linger;
    reading_on_.begin(service_.loop.now(), more_comes_ ? patience : parting());
    service_.begin_reading_on(*this);
}

void Connection::stop_reading_on() {
    SLUICE_ASSERT(state_ == State::discarding || state_ == State::lingering);
    leave(settle_as_);
}

bool Connection::linger() {
    SLUICE_ASSERT(exchange_ == nullptr && reading_hook.linked());
    auto& received = stream_.received();
    reading_on_.took(received.size(), service_.loop.now());
    received.clear();
    stream_.flush();
    if (!stream_.ended() && !reading_on_.too_much()) return false;
    leave(End::ok);
    return false;
}

// --- endings --------------------------------------------------------------------------------

void Connection::end_forward() {
    SLUICE_ASSERT(answering_ != nullptr);
    std::exchange(answering_, nullptr)->release();
    if (upload_ != nullptr) end_upload();
}

void Connection::settle(End end) {
    SLUICE_ASSERT(exchange_ != nullptr);
    SLUICE_ASSERT(answering_ == nullptr);
    service_.settle(*std::exchange(exchange_, nullptr), end, client_);
}

// Ends the connection now; an exchange that is not settled ends with it.
void Connection::leave(End end) {
    if (answering_ != nullptr) {
        answering_->abandon();
        end_forward();
    }
    upload_ = nullptr;
    if (exchange_ != nullptr) settle(end);
    service_.loop.timers().disarm(timer_);
    enter(State::closing);
    stream_.close();
}

// The same for a client that is not listened to at the moment.
bool Connection::client_hung_up() const {
    const auto seen = stream_.hangup();
    return seen == io::Hangup::gone ||
           (seen == io::Hangup::ended && !service_.settings.half_close_tolerated);
}

// A FIN means that nobody waits for the answer, unless half-closed clients are tolerated. In the
// middle of a request it always does.
bool Connection::client_left() const {
    if (!stream_.ended()) return false;
    return !service_.settings.half_close_tolerated || (upload_ != nullptr && !upload_->complete());
}

void Connection::drain() {
    close_after_ = true;
    if (exchange_ != nullptr) exchange_->keep_alive = false;
    if (state_ == State::idle) close_gracefully();
    service_.loop.make_ready(*this);
}

void Connection::cut_off() {
    switch (state_) {
        case State::forwarding:
            answering_->interrupt({Source::gateway, Retry::yes, 503,
                                   "The gateway is stopping; send the request again."},
                                  End::drained);
            break;
        case State::finishing:
            break;  // what is queued may still go out, for a moment
        default:
            return leave(End::drained);
    }
    service_.loop.make_ready(*this);
}

}  // namespace sluice::proxy
