// What a client is told while it waits, and how long a phase may take.
//
// A streaming client that hears nothing for minutes gives up (Node's after 300 s). From
// `queue.notice_first` on it gets a comment from time to time, through queue, load and prefill,
// until the backend says something. The first one commits the answer to status 200.
#include "forward.h"
#include "sluice/http/writer.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {

// --- notices --------------------------------------------------------------------------------

bool Forward::may_be_told() const {
    if (!exchange_.streamed || exchange_.endpoint->streaming != llm::Streaming::sse) return false;
    if (exchange_.model->setting.queue.notice_first.ns == 0) return false;
    switch (phase_) {
        case Phase::queued:
        case Phase::pausing:
        case Phase::connecting:
        case Phase::waiting:
        case Phase::holding:
            return true;
        case Phase::relaying:
            // Until it says something itself; what leaves raw may be a part of an event.
            if (relay_.plan().raw && exchange_.first_byte != Instant{}) return false;
            return event_stream_ && form_ == sse::Form::event_stream && relay_.events() == 0 &&
                   !held_back_;
        case Phase::idle:
        case Phase::finished:
            return false;
    }
    return false;
}

Instant Forward::next_notice() const {
    if (!may_be_told()) return io::TimerWheel::never;
    const auto& queue = exchange_.model->setting.queue;
    if (told_ == Instant{}) return exchange_.begun + queue.notice_first;
    return queue.notice_every.ns == 0 ? io::TimerWheel::never : told_ + queue.notice_every;
}

void Forward::tell() {
    told_ = sent_at_ = service_.loop.now();
    if (!exchange_.answer_begun && !commit()) return;
    std::string comment = ": waiting\n\n";
    if (phase_ == Phase::queued)
        comment = waits_for_load_
                      ? ": loading\n\n"
                      : ": queued " +
                            std::to_string(service_.dispatch.position(*exchange_.model, *this)) +
                            "\n\n";
    mem::Chain out(service_.loop.nodes());
    if (!relay_.insert(comment, service_.loop.buffers(), out)) return;
    exchange_.bytes_out += out.size();
    client_.send(std::move(out));
}

// Begins the answer by ourselves, before the backend does. False: not now.
bool Forward::commit() {
    SLUICE_ASSERT(!committed_);
    const auto out =
        exchange_.client_minor == 0 ? http::Framing::until_close : http::Framing::chunked;
    const bool must_close = client_must_close_ || out == http::Framing::until_close;
    if (!withheld_head_.empty()) {
        exchange_.bytes_out += withheld_head_.size();
        client_.send(std::move(withheld_head_));
        withheld_head_.clear();
    } else {
        http::HeadWriter writer(service_.head_space());
        writer.status_line(200, "OK");
        writer.field("Content-Type", "text/event-stream; charset=utf-8");
        writer.field("Cache-Control", "no-cache");
        writer.field("X-Accel-Buffering", "no");
        if (exchange_.dialect() == llm::Dialect::anthropic)
            writer.field("request-id", exchange_.id);
        if (out == http::Framing::chunked) writer.field("Transfer-Encoding", "chunked");
        if (phase_ == Phase::queued && !waits_for_load_)
            writer.field("x-sluice-queue-position",
                         service_.dispatch.position(*exchange_.model, *this));
        client_must_close_ = must_close;
        const bool withholding = std::exchange(withholding_, false);
        const bool sent = send_head(writer);
        withholding_ = withholding;
        if (!sent) return false;
        relay_.begin({.in = out, .out = out, .event_stream = true});
        form_ = sse::Form::event_stream;
    }
    committed_ = true;
    exchange_.status = 200;
    exchange_.answer_begun = true;
    return true;
}

// --- deadlines ------------------------------------------------------------------------------

Instant Forward::deadline() const {
    const auto phase = phase_deadline();
    const Instant due = std::min(phase ? phase.at : io::TimerWheel::never, next_notice());
    return phase_ == Phase::pausing ? std::min(due, check_at_) : due;
}

policy::Deadline Forward::phase_deadline() const {
    policy::Phase phase = policy::Phase::gap;
    switch (phase_) {
        case Phase::queued:
            if (!waiting()) return {};  // its turn has come, and advance() takes it
            phase = waits_for_load_ ? policy::Phase::load : policy::Phase::queue;
            break;
        case Phase::connecting:
            phase = policy::Phase::connect;
            break;
        case Phase::waiting:
            phase = policy::Phase::first_byte;
            break;
        case Phase::holding:
            break;
        case Phase::relaying:
            if (waits_for_client()) return {};
            // Where nothing but a head has come the answer has not begun.
            if (event_stream_ && relay_.events() == 0) phase = policy::Phase::first_byte;
            break;
        case Phase::idle:
        case Phase::pausing:
        case Phase::finished:
            return {};
    }
    const auto& limits =
        place_.held() ? exchange_.target->setting.timeouts : exchange_.model->setting.timeouts;
    return policy::next_deadline(
        limits, exchange_.client_timeouts, phase,
        {.received = exchange_.begun, .began = silent_since(), .last_sent = sent_at_});
}

void Forward::expire() {
    const Instant now = service_.loop.now();
    const auto deadline = phase_deadline();
    if (deadline && deadline.at <= now) return expire_phase(deadline);
    if (phase_ == Phase::pausing && check_at_ <= now) {
        // What died a moment ago may only now be seen to be dead.
        look_for_listener();
        look_back();
        return go_again();
    }
    if (next_notice() <= now) tell();
}

void Forward::expire_phase(const policy::Deadline& deadline) {
    using policy::DeadlineName;
    const bool queued = phase_ == Phase::queued;
    std::string cause = policy::describe(deadline, exchange_.model->name);
    const int status = policy::status_of(deadline.name);
    const bool whole = deadline.name == DeadlineName::total || deadline.is_clients();
    failure_end_ = End::timeout;
    if (queued) retry_after_ = service_.dispatch.retry_after(*exchange_.model);
    const bool unpassed = phase_ != Phase::relaying || withholding_;
    if (queued && !whole && fallback_left(policy::FallbackChain::overload)) {
        leave_line();
        note_wait();
        turn_to_fallback(policy::FallbackChain::overload);
        return find_place();
    }
    // Behind a client's own deadline, or with nobody else to ask, there is nothing to try again.
    if (queued || whole)
        return interrupt({queued ? Source::gateway : Source::backend,
                          queued ? Retry::yes : Retry::no, status, std::move(cause)},
                         End::timeout);
    if (link_ != nullptr) drop_link(false);
    if (!unpassed) return lose_answer(Break::silence, std::move(cause), End::timeout);
    held_answer_ = nullptr;
    drop_withheld();
    if (sent_) {
        note_break();
        look_for_listener();
    }
    // One that its health checks cannot reach either is left by everybody.
    free_hop_ |= service_.dispatch.health_of(*exchange_.target->endpoint) == upstream::Health::down;
    move_on(facts_of(Break::silence, {}), Error::backend(status, Retry::no, std::move(cause)));
}

}  // namespace sluice::proxy
