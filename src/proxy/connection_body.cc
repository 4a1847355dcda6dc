// The body of a request: kept until it is complete, passed on as it comes, or read to be discarded.
#include "connection.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace sluice::proxy {
namespace {

// A body whose request was already answered is read on up to here, to keep the connection.
constexpr std::size_t discarded_bytes_max = 64 * limits::KiB;

}  // namespace

// --- kept -----------------------------------------------------------------------------------

bool Connection::read_body() {
    if (upload_ != nullptr) return begin_upload();
    if (exchange_->request->coded != nullptr) return read_coded_body();
    SLUICE_ASSERT(answering_ == nullptr);  // nobody is sent a body that is not whole
    auto& received = stream_.received();
    RequestState& request = *exchange_->request;
    auto& pieces = service_.relay.pieces;
    auto progress = body_pending_ ? http::Progress::incomplete : http::Progress::complete;
    while (progress == http::Progress::incomplete && !received.empty()) {
        entered_ = service_.loop.now();
        mem::Slice slice = received.pop_front();
        pieces.clear();
        std::size_t consumed = 0;
        progress = parser_.parse_body(slice.text(), pieces, consumed);
        SLUICE_ASSERT(consumed <= slice.size());
        exchange_->bytes_in += consumed;
        if (progress == http::Progress::failed) {
            refuse(parser_.error());
            return true;
        }
        mem::Chain body = request.body.empty_like();
        for (const auto& piece : pieces) {
            const auto text = slice.text().substr(piece.begin, piece.end - piece.begin);
            request.read(text);
            body.append(slice.share(piece.begin, piece.end));
        }
        const std::uint64_t size = request.body.size() + body.size();
        if (size > service_.settings.body_bytes_max) {
            reply(body_too_large_reply(*exchange_));
            return true;
        }
        if (size > request.charged && !charge_body(size - request.charged)) {
            reply(out_of_memory_reply(*exchange_));
            return true;
        }
        // What waits for the rest of a body does not hold a buffer for a few bytes.
        if (progress == http::Progress::incomplete)
            request.body.append_compact(service_.loop.buffers(), std::move(body));
        else
            request.body.append(std::move(body));
        slice.drop_front(consumed);
        if (!slice.empty()) received.prepend(std::move(slice));
    }
    if (progress == http::Progress::complete) {
        body_pending_ = false;
        body_complete();
        return true;
    }
    if (!stream_.ended()) return false;
    leave(End::client_gone);
    return false;
}

bool Connection::charge_body(std::uint64_t bytes) {
    if (!service_.charge_body(bytes)) return false;
    exchange_->request->charged += bytes;
    return true;
}

void Connection::body_complete() {
    // Whole, or on its way past us; and as it is read.
    SLUICE_ASSERT(!body_pending_ || upload_ != nullptr);
    SLUICE_ASSERT(exchange_->request->coded == nullptr);
    stage_ = 0;
    run_body_stages();
}

// From the next stage on, up to one that waits.
void Connection::run_body_stages() {
    const auto stages = pipeline();
    SLUICE_ASSERT(exchange_->request != nullptr && stage_ <= stages.size());
    for (; stage_ < stages.size(); ++stage_) {
        const Stage& stage = stages[stage_];
        const bool resumes = state_ == State::deciding;
        SLUICE_ASSERT(!resumes || stage.on_ready != nullptr);
        if (!resumes && stage.on_body == nullptr) continue;
        Reply answer;
        const auto verdict =
            resumes ? stage.on_ready(*exchange_, answer) : stage.on_body(*exchange_, answer);
        if (verdict == Verdict::respond) return reply(std::move(answer));
        if (verdict == Verdict::wait) return wait_for_stage();
        if (resumes) enter(State::body);
    }
    begin_answer();
}

void Connection::wait_for_stage() {
    SLUICE_ASSERT(pipeline()[stage_].on_ready != nullptr && exchange_->sharing != nullptr);
    exchange_->sharing->waiter = this;
    if (state_ != State::deciding) enter(State::deciding);
    next_look_ = service_.loop.now() + look_gap;
}

// What a stage waits for may be there.
bool Connection::decide() {
    SLUICE_ASSERT(exchange_->sharing != nullptr);
    if (client_left()) {
        leave(End::client_gone);
        return false;
    }
    if (!exchange_->sharing->ready()) return false;
    run_body_stages();
    return state_ != State::deciding;
}

void Connection::begin_answer() {
    SLUICE_ASSERT(answering_ == nullptr);
    SLUICE_ASSERT(exchange_->model != nullptr);  // the stages have seen to it
    answering_ = begin_answering(service_, *exchange_, *this, stream_, upload_.get());
    if (answering_ == nullptr)
        return reply(error_reply(*exchange_, 503, "Too many requests are under way. Try later.",
                                 "overloaded"));
    enter(State::forwarding);
    next_look_ = service_.loop.now() + look_gap;
    answering_->start();
}

// --- passed on ------------------------------------------------------------------------------

// A body that nobody reads, for a backend that the head alone has chosen. True: it is not kept, and
// what is on its way into buffers is waited for.
bool Connection::prepare_upload(const http::Head& head) {
    SLUICE_ASSERT(upload_ == nullptr && body_pending_);
    SLUICE_ASSERT(stream_.received().size() >= head.bytes);
    const std::uint64_t here = stream_.received().size() - head.bytes;
    const std::uint64_t length = exchange_->body_bytes_declared;
    answer::RequestLaneFacts facts{.mode = service_.settings.relay,
                                   .in = head.framing,
                                   .expects_continue = head.expect_continue,
                                   .bytes_ahead = length - std::min(length, here)};
    answer::LaneChoice& choice = exchange_->request_lane;
    choice = answer::choose_lane(facts);
    if (choice.lane != answer::Lane::splice) return false;
    upload_ = std::make_unique<Upload>(stream_, parser_, service_.pipes);
    if (!upload_->begin()) {
        upload_ = nullptr;
        facts.pipe_refused = true;
        choice = answer::choose_lane(facts);
        return false;
    }
    stream_.hold_receiving();
    return true;
}

// Nothing is on its way into buffers any more, so it is known how much is left for the pipe.
bool Connection::begin_upload() {
    SLUICE_ASSERT(body_pending_ && exchange_->is_generic());
    if (stream_.receiving()) return false;
    const answer::RequestLaneFacts facts{.mode = service_.settings.relay,
                                         .in = http::Framing::length,
                                         .bytes_ahead = upload_->bytes_ahead()};
    exchange_->request_lane = answer::choose_lane(facts);
    if (exchange_->request_lane.lane != answer::Lane::splice) {
        // Nearly all of it is here: then it can as well be kept.
        upload_ = nullptr;
        stream_.start_receiving();
        if (!charge_body(exchange_->body_bytes_declared)) reply(out_of_memory_reply(*exchange_));
        return true;
    }
    if (stream_.ended()) {
        leave(End::client_gone);
        return false;
    }
    if (charge_body(stream_.received().size()))
        body_complete();
    else
        reply(out_of_memory_reply(*exchange_));
    return true;
}

// What was not taken of it has still to come from the client.
void Connection::end_upload() {
    SLUICE_ASSERT(upload_ != nullptr);
    upload_->stop();
    upload_ = nullptr;
    body_pending_ = parser_.opaque_bytes() > 0;
}

// When the client has been too slow with it. A wait for the backend does not count.
Instant Connection::upload_deadline() const {
    SLUICE_ASSERT(upload_ != nullptr);
    if (!upload_->waits_for_client()) return io::TimerWheel::never;
    const auto& timeouts = service_.settings.timeouts;
    Instant due = io::TimerWheel::never;
    if (timeouts.body_gap.ns > 0) due = upload_->moved_at() + timeouts.body_gap;
    if (timeouts.body_total.ns > 0)
        due = std::min(due, upload_->client_since() + timeouts.body_total);
    return due;
}

void Connection::give_up_upload() {
    SLUICE_ASSERT(upload_ != nullptr && answering_ != nullptr);
    Error error = body_too_slow();
    if (exchange_->answer_begun) return answering_->interrupt(std::move(error), End::timeout);
    answering_->abandon();
    end_forward();
    refuse(error);
}

// --- discarded ------------------------------------------------------------------------------

// Whether the rest of an unread body is short enough to be read for the connection's sake.
bool Connection::worth_discarding() const {
    const std::uint64_t left = exchange_->body_bytes_declared > 0 ? parser_.opaque_bytes() : 0;
    return exchange_->keep_alive && !stream_.ended() && !exchange_->expects_continue &&
           left <= discarded_bytes_max;
}

bool Connection::discard_body() {
    SLUICE_ASSERT(exchange_->answer_begun && body_pending_);
    auto& received = stream_.received();
    while (!received.empty()) {
        mem::Slice slice = received.pop_front();
        service_.relay.pieces.clear();
        std::size_t consumed = 0;
        const auto progress = parser_.parse_body(slice.text(), service_.relay.pieces, consumed);
        SLUICE_ASSERT(consumed <= slice.size());
        reading_on_.took(consumed, service_.loop.now());
        slice.drop_front(consumed);
        if (progress == http::Progress::failed || reading_on_.bytes() > discarded_bytes_max)
            close_after_ = true;
        else if (progress == http::Progress::complete && !slice.empty())
            received.prepend(std::move(slice));
        if (close_after_ || progress == http::Progress::complete) {
            body_pending_ = false;
            enter(State::finishing);
            return true;
        }
    }
    if (!stream_.ended()) return false;
    close_after_ = true;
    enter(State::finishing);
    return true;
}

}  // namespace sluice::proxy
