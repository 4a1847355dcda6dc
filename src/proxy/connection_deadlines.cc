// The deadlines of a connection: one timer, armed for whatever is due next.
#include "connection.h"

#include <algorithm>

namespace sluice::proxy {

// --- deadlines ------------------------------------------------------------------------------

Instant Connection::deadline() const {
    const auto& timeouts = service_.settings.timeouts;
    const auto after = [](Instant since, Duration limit) {
        return limit.ns == 0 ? io::TimerWheel::never : since + limit;
    };
    Instant due = io::TimerWheel::never;
    switch (state_) {
        case State::idle:
            // While the shard drains: one that was still in the listener's queue when that began.
            due = after(entered_, service_.draining ? parting() : timeouts.idle);
            break;
        case State::head:
            due = after(entered_, timeouts.head);
            break;
        case State::body:
            due = std::min(after(entered_, timeouts.body_gap),
                           after(body_begun_, timeouts.body_total));
            break;
        case State::deciding:
            if (stream_.deaf()) due = next_look_;
            break;
        case State::forwarding:
            SLUICE_ASSERT(answering_ != nullptr);
            due = answering_->deadline();
            if (stream_.deaf()) due = std::min(due, next_look_);
            if (upload_ != nullptr) due = std::min(due, upload_deadline());
            break;
        case State::discarding:
        case State::lingering:
            due = reading_on_.deadline();
            break;
        case State::finishing:
        case State::closing:
            break;
    }
    if (stream_.unsent() > 0) due = std::min(due, after(write_progress_, write_stall()));
    return due;
}

// A gateway that stops, or that cannot serve others for what waits here, does not wait long
// for clients that take nothing.
Duration Connection::write_stall() const {
    const auto& timeouts = service_.settings.timeouts;
    const bool short_of = service_.stopping || service_.loop.buffers().exhausted();
    return short_of ? parting() : timeouts.write_stall;
}

// For a client that has all it asked for to see so and to leave.
Duration Connection::parting() const {
    constexpr Duration longest = Duration::seconds(1);
    const Duration linger = service_.settings.timeouts.linger;
    const Duration limit = linger.ns == 0 ? longest : std::min(longest, linger);
    SLUICE_ASSERT(limit.ns > 0);  // zero would mean: for ever
    return limit;
}

Error Connection::body_too_slow() {
    return Error::client(408, "The request's body took too long (--timeout-body).");
}

void Connection::watch_deadline() {
    SLUICE_ASSERT(state_ != State::closing);
    const Instant due = deadline();
    if (due == io::TimerWheel::never)
        service_.loop.timers().disarm(timer_);
    else
        service_.loop.timers().arm(timer_, due);
}

void Connection::on_deadline() {
    SLUICE_ASSERT(state_ != State::closing);
    const Duration limit = write_stall();
    const bool stalled =
        stream_.unsent() > 0 && limit.ns > 0 && write_progress_ + limit <= service_.loop.now();
    if (stalled) {
        if (exchange_ != nullptr)
            exchange_->error = "The client took nothing for too long (--timeout-write).";
        return leave(End::client_gone);
    }
    switch (state_) {
        case State::head:
            return refuse(Error::client(408, "The request's head took too long (--timeout-head)."));
        case State::body:
            return refuse(body_too_slow());
        case State::deciding:
            if (client_hung_up()) return leave(End::client_gone);
            next_look_ = service_.loop.now() + look_gap;
            return;
        case State::forwarding:
            if (stream_.deaf() && next_look_ <= service_.loop.now()) {
                if (client_hung_up()) return leave(End::client_gone);
                next_look_ = service_.loop.now() + look_gap;
            }
            if (upload_ != nullptr && upload_deadline() <= service_.loop.now())
                return give_up_upload();
            if (answering_->deadline() <= service_.loop.now()) answering_->expire();
            return;
        case State::idle:
            return close_gracefully();
        case State::discarding:
        case State::lingering:
            return leave(settle_as_);
        case State::finishing:
        case State::closing:
            return;
    }
}

}  // namespace sluice::proxy
