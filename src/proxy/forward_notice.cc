// What a client hears of a forward's phases, and how long each may take.
#include "forward.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {

// --- notices --------------------------------------------------------------------------------

// What may be told to the client in this phase.
Delivery::Hearing Forward::hearing() const {
    Delivery::Hearing hearing{.open = false, .has_spoken = has_spoken()};
    if (delivery_.is_recorded() || !exchange_.streamed ||
        exchange_.endpoint->streaming != llm::Streaming::sse)
        return hearing;
    switch (phase_) {
        case Phase::queued:
        case Phase::pausing:
        case Phase::connecting:
        case Phase::waiting:
        case Phase::holding:
            hearing.open = delivery_.may_begin();
            break;
        case Phase::relaying:
            hearing.open = delivery_.may_begin() && event_stream_ &&
                           form_ == sse::Form::event_stream && !held_back_ && !relay().saw_done() &&
                           !relay().passed_error() && !may_be_no_stream();
            break;
        case Phase::idle:
        case Phase::finished:
            break;
    }
    return hearing;
}

// Under the backend's own head a document may come, which a comment would spoil.
bool Forward::may_be_no_stream() const {
    return relay().plan().guessed && !delivery_.promised();
}

// The backend has begun to say something that the client gets to hear.
bool Forward::has_spoken() const {
    return phase_ == Phase::relaying && relay().events() > 0 && !delivery_.withholding();
}

void Forward::tell() {
    delivery_.note_told(service_.loop.now());
    // What has left through a pipe may be a part of an event.
    if (delivery_.unsent() > 0 || tap_.active()) return;
    if (!exchange_.answer_begun) {
        if (!delivery_.commit(wait().position)) return;
        form_ = relay().plan().form;
    }
    // Its head is out: where nobody else could answer, nothing is gained by keeping the rest.
    if (delivery_.withholding() && delivery_.withheld_bytes() > 0 && !exchange_.model->has_others())
        return stop_withholding();
    if (hearing().open) delivery_.insert_notice(has_spoken(), wait());
}

// --- deadlines ------------------------------------------------------------------------------

Instant Forward::deadline() const {
    const auto phase = phase_deadline();
    const Instant due =
        std::min(phase ? phase.at : io::TimerWheel::never, delivery_.next_notice(hearing()));
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
            if (event_stream_ && relay().events() == 0) phase = policy::Phase::first_byte;
            break;
        case Phase::idle:
        case Phase::pausing:
        case Phase::finished:
            return {};
    }
    const auto& limits =
        place_.held() ? exchange_.target->setting.timeouts : exchange_.model->setting.timeouts;
    const Instant began = silent_since();
    const Instant alive = server_alive();
    return policy::next_deadline(limits, exchange_.client_timeouts, phase,
                                 {.received = exchange_.begun,
                                  .began = began,
                                  .last_sent = delivery_.last_sent(),
                                  .heard = std::max(began, heard_),
                                  .alive = alive});
}

// By its health checks, since the request is there; zero: nobody asks for that.
Instant Forward::server_alive() const {
    using Probe = config::HealthSetting::Probe;
    if (!place_.held() || exchange_.model->setting.health.probe == Probe::off) return {};
    return std::max(phase_begun_, service_.dispatch.alive(*exchange_.target->endpoint));
}

// A deadline that has passed is no evidence against a server that speaks, or that was well when it
// was asked last.
bool Forward::was_alive(const policy::Deadline& deadline) const {
    using policy::DeadlineName;
    if (deadline.name != DeadlineName::first_byte && deadline.name != DeadlineName::gap)
        return false;
    if (heard_ + deadline.limit > deadline.at) return true;
    const auto& endpoint = *exchange_.target->endpoint;
    const Instant seen = service_.dispatch.alive(endpoint);
    const Duration silence = exchange_.target->setting.timeouts.silence;
    return seen != Instant{} && service_.dispatch.health_of(endpoint) != upstream::Health::down &&
           (silence.ns == 0 || seen + silence > service_.loop.now());
}

void Forward::expire() {
    const Instant now = service_.loop.now();
    const auto deadline = phase_deadline();
    if (deadline && deadline.at <= now) return expire_phase(deadline);
    if (phase_ == Phase::pausing && check_at_ <= now) {
        // What died a moment ago may only now be seen to be dead.
        look_for_listener();
        look_back();
        return take(campaign_.again(fate()));
    }
    if (delivery_.next_notice(hearing()) <= now) tell();
}

void Forward::expire_phase(const policy::Deadline& deadline) {
    using policy::DeadlineName;
    const bool queued = phase_ == Phase::queued;
    std::string cause = policy::describe(deadline, exchange_.model->name);
    const int status = policy::status_of(deadline.name);
    const bool whole = deadline.name == DeadlineName::total || deadline.is_clients();
    failure_end_ = End::timeout;
    if (queued) retry_after_ = service_.dispatch.retry_after(*exchange_.model);
    const bool unpassed = phase_ != Phase::relaying || delivery_.withholding();
    if (queued && !whole && campaign_.has_fallback(policy::FallbackChain::overload)) {
        leave_line();
        note_wait();
        campaign_.leave_line();
        follow();
        return find_place();
    }
    // Behind a client's own deadline, or with nobody else to ask, there is nothing to try again.
    if (queued || whole)
        return interrupt({queued ? Source::gateway : Source::backend,
                          queued ? Retry::yes : Retry::no, status, std::move(cause)},
                         End::timeout);
    server_lived_ = was_alive(deadline);
    if (link_ != nullptr) give_up_link();
    if (!unpassed) return lose_answer(answer::Break::silence, std::move(cause), End::timeout);
    held_answer_ = nullptr;
    drop_withheld();
    if (sent_) {
        note_break();
        look_for_listener();
    }
    // One that its health checks cannot reach either is left by everybody.
    if (service_.dispatch.health_of(*exchange_.target->endpoint) == upstream::Health::down)
        campaign_.leave_freely();
    move_on(facts_of(answer::Break::silence, {}),
            Error::backend(status, Retry::no, std::move(cause)));
}

}  // namespace sluice::proxy
