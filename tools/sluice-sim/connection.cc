#include "connection.h"

#include "append.h"
#include "reset.h"
#include "sluice/base/limits.h"
#include "sluice/io/socket.h"

#include <utility>

namespace sluice::model_sim {
namespace {

// What is rendered ahead of the reader. A socket takes about as much in one go.
constexpr std::size_t room_bytes = 32 * limits::KiB;
// What a client may send ahead of its answers before it is no longer read.
constexpr std::size_t ahead_bytes_most = 64 * limits::KiB;
// How long an answer to an unread request is left for the client to read.
constexpr Duration linger_time = Duration::seconds(1);

}  // namespace

Connection::Connection(io::Loop& loop, Site& site, Slots& slots, void* owner, Burial burial)
    : loop_(loop),
      site_(site),
      slots_(slots),
      owner_(owner),
      burial_(burial),
      stream_(loop, *this),
      timer_(this,
             [](void* self) {
                 auto& connection = *static_cast<Connection*>(self);
                 connection.woken_ = true;
                 connection.loop_.make_ready(connection);
             }),
      claim_(*this) {}

Connection::~Connection() {
    SLUICE_ASSERT(!claim_.waiting() && !claim_.working());
    SLUICE_ASSERT(!timer_.armed());
}

void Connection::begin(int fd) {
    io::set_no_delay(fd);
    stream_.attach(fd);
    stream_.start_receiving();
    ++site_.stats().open;
    begin_request();
}

void Connection::wake_at(Instant when) {
    woken_ = false;
    loop_.timers().arm(timer_, when);
}

// --- the loop's calls -----------------------------------------------------------------------

void Connection::advance() {
    if (state_ == State::closing) {
        if (stream_.closed()) loop_.retire(*this);
        return;
    }
    take_received();
    outbox_.pump(stream_, request_.script.split);
    if (stream_.error() != 0) {
        cancel();
        return;
    }
    while (step()) {
    }
    if (state_ != State::closing) outbox_.pump(stream_, request_.script.split);
}

void Connection::take_received() {
    if (stream_.received().empty()) return;
    if (state_ == State::lingering || state_ == State::stalled) {
        stream_.received().clear();
        return;
    }
    reader_.take(stream_.received());
    const bool slow =
        state_ == State::reading_body && request_.script.failure == Failure::slow_read;
    if (slow)
        pause_reading();
    else if (state_ > State::reading_body && reader_.bytes_ahead() > ahead_bytes_most)
        stream_.hold_receiving();
}

void Connection::pause_reading() {
    stream_.hold_receiving();
    wake_at(loop_.now() + request_.script.read_pause);
}

// Does what is due; true when the next state may have something due, too.
bool Connection::step() {
    switch (state_) {
        case State::reading_head:
            return read_head();
        case State::reading_body:
            return read_body();
        case State::waiting:
        case State::generating:
            return generate();
        case State::flushing:
            return finish();
        case State::stalled:
            if (stream_.ended()) cancel();
            return false;
        case State::lingering:
            if (stream_.ended() || woken()) close();
            return false;
        case State::closing:
            return false;
    }
    SLUICE_ASSERT(false);
}

// --- reading --------------------------------------------------------------------------------

void Connection::begin_request() {
    state_ = State::reading_head;
    is_job_ = counted_ = false;
    ending_ = Ending::none;
    if (reader_.empty()) {
        reader_.shrink();
        outbox_.shrink();
        wake_at(loop_.now() + site_.options().keep_alive_idle);
    }
    if (stream_.open()) stream_.start_receiving();
}

bool Connection::read_head() {
    if (reader_.empty()) {
        if (stream_.ended() || woken()) close();
        return false;
    }
    loop_.timers().disarm(timer_);
    http::Head head;
    switch (reader_.read_head(head)) {
        case http::Progress::incomplete:
            if (stream_.ended()) close();
            return false;
        case http::Progress::failed:
            refuse(reader_.error());
            return true;
        case http::Progress::complete:
            break;
    }
    request_ = site_.request_of(head);
    if (head.expect_continue && reader_.bytes_ahead() == 0)
        outbox_.filling() += "HTTP/1.1 100 Continue\r\n\r\n";
    if (request_.script.failure == Failure::slow_read) pause_reading();
    state_ = State::reading_body;
    return true;
}

bool Connection::read_body() {
    switch (reader_.read_body()) {
        case http::Progress::incomplete:
            if (stream_.ended())
                close();
            else if (woken() && request_.script.failure == Failure::slow_read)
                stream_.start_receiving();
            return false;
        case http::Progress::failed:
            refuse(reader_.error());
            return true;
        case http::Progress::complete:
            break;
    }
    loop_.timers().disarm(timer_);
    stream_.start_receiving();
    answer();
    return true;
}

// --- answering ------------------------------------------------------------------------------

void Connection::answer() {
    ++answered_;
    auto answer = site_.answer(request_, reader_.body(), loop_.now());
    counted_ = !request_.internal();
    if (counted_) {
        auto& stats = site_.stats();
        ++stats.requests;
        stats.posts += request_.method == http::Method::post ? 1 : 0;
        ++(requests_++ == 0 ? stats.connections : stats.reused);
        stats.last_line = joined(request_.method_text, ' ', request_.target);
        stats.last_bytes = reader_.message();
    }
    if (auto* job = std::get_if<Job>(&answer)) return work(std::move(*job));
    respond(std::get<Document>(answer));
}

ResponseHead Connection::response_head() const {
    const auto& options = site_.options();
    const bool last = options.keep_alive_max != 0 && answered_ >= options.keep_alive_max;
    return {.api = options.api,
            .content_type = {},
            .keep_alive = request_.keep_alive && !last,
            .idle = options.keep_alive_idle,
            .requests_max = options.keep_alive_max};
}

void Connection::respond(const Document& document) {
    auto head = response_head();
    head.status = document.status;
    head.content_type = document.content_type;
    head.fields = document.fields;
    head.origin = request_.origin;
    head.length = document.body.size();
    append_head(outbox_.filling(), head);
    if (request_.method != http::Method::head) outbox_.filling() += document.body;
    ending_ = head.keep_alive ? Ending::keep_alive : Ending::close;
    state_ = State::flushing;
}

// The request's text is wrong, and where the next one begins is unknown.
void Connection::refuse(const Error& error) {
    request_ = {};
    auto fault = bad_request(error.message);
    fault.status = error.status;
    respond(refusal(site_.options().api, Kind::chat, fault));
    ending_ = Ending::cut;
}

void Connection::work(Job&& job) {
    is_job_ = true;
    claim_.prompt_tokens = job.prompt_tokens;
    claim_.tokens = job.tokens;
    claim_.tokens_made = 0;
    generation_.take(std::move(job), response_head(), request_.origin);
    slots_.make(claim_);
    state_ = State::waiting;
}

bool Connection::generate() {
    if (stream_.ended()) {
        cancel();
        return false;
    }
    if (!claim_.working()) return false;
    if (state_ == State::waiting) generation_.start(loop_.now());
    state_ = State::generating;
    generation_.produce(loop_.now(), room_bytes, outbox_.filling());
    claim_.tokens_made = generation_.tokens_made();
    ending_ = generation_.ending();
    if (ending_ != Ending::none) {
        slots_.end(claim_);
        state_ = State::flushing;
        return true;
    }
    // What is due and not yet rendered waits for room, that is for the send to be done.
    if (generation_.due() > loop_.now()) wake_at(generation_.due());
    return false;
}

// All is said: when all is out, the connection goes the way that the answer left it.
bool Connection::finish() {
    outbox_.pump(stream_, request_.script.split);
    if (!outbox_.empty(stream_)) {
        if (is_job_ && stream_.ended()) cancel();
        return false;
    }
    auto& stats = site_.stats();
    const bool complete = ending_ == Ending::keep_alive || ending_ == Ending::close;
    if (counted_ && ending_ != Ending::stall) ++(complete ? stats.completed : stats.failed);
    switch (ending_) {
        case Ending::keep_alive:
            reader_.next();
            begin_request();
            return true;
        case Ending::stall:
            state_ = State::stalled;
            return true;
        case Ending::reset:
            reset_on_close(stream_.fd());
            close();
            return false;
        case Ending::close:
            close();
            return false;
        case Ending::cut:
            linger();
            return false;
        case Ending::none:
            break;
    }
    SLUICE_ASSERT(false);
}

// --- the end --------------------------------------------------------------------------------

// The client is gone; it may have gone with the whole answer in the same turn.
void Connection::cancel() {
    const bool complete = ending_ == Ending::keep_alive || ending_ == Ending::close;
    if (state_ == State::flushing && complete && outbox_.empty(stream_))
        site_.stats().completed += counted_ ? 1 : 0;
    else if (is_job_)
        ++site_.stats().cancelled;
    close();
}

// A close with unread bytes is a reset, which takes the answer away from a client that is still
// sending: FIN first, and then its bytes are read and dropped until it has seen it.
void Connection::linger() {
    stream_.finish_sending();
    stream_.flush();
    stream_.received().clear();
    stream_.start_receiving();
    state_ = State::lingering;
    wake_at(loop_.now() + linger_time);
}

void Connection::close() {
    SLUICE_ASSERT(state_ != State::closing);
    state_ = State::closing;
    loop_.timers().disarm(timer_);
    slots_.end(claim_);
    --site_.stats().open;
    stream_.close();
    loop_.make_ready(*this);
}

}  // namespace sluice::model_sim
