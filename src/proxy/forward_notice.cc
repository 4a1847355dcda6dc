// What a client is told while it waits, and how long a phase may take.
//
// A streaming client that hears nothing for minutes gives up (Node's after 300 s). From
// `queue.notice_first` on it gets a comment from time to time, through queue, load and prefill,
// until the backend says something. The first one commits the answer to status 200. Behind the
// first word it gets one after each `heartbeat` in which nothing else came. A client that does not
// read gets none: it would find them all at once.
#include "forward.h"
#include "sluice/http/writer.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {

namespace {

// The head of a stream that has not said anything is kept that long where nothing else is due: the
// usual time between two heartbeats. Clients wait for it for minutes (Node: 300 s).
constexpr Duration head_withheld_max = Duration::seconds(15);

}  // namespace

// --- notices --------------------------------------------------------------------------------

bool Forward::may_be_told() const {
    if (!exchange_.streamed || exchange_.endpoint->streaming != llm::Streaming::sse) return false;
    // Without a first notice the answer's begin is the backend's to say.
    const bool may_begin = exchange_.answer_begun || first_notice().ns != 0;
    switch (phase_) {
        case Phase::queued:
        case Phase::pausing:
        case Phase::connecting:
        case Phase::waiting:
        case Phase::holding:
            return may_begin;
        case Phase::relaying:
            return may_begin && event_stream_ && form_ == sse::Form::event_stream && !held_back_ &&
                   !relay_.saw_done() && !relay_.passed_error() && !may_be_no_stream();
        case Phase::idle:
        case Phase::finished:
            return false;
    }
    return false;
}

// Under the backend's own head a document may come, which a comment would spoil.
bool Forward::may_be_no_stream() const {
    return relay_.plan().guessed && !promised_;
}

// When the head of a stream that is withheld goes out though the client is told nothing else.
Instant Forward::head_due() const {
    if (!withholding_ || committed_ || !event_stream_) return io::TimerWheel::never;
    return std::max(withheld_at_, told_) + head_withheld_max;
}

Duration Forward::first_notice() const {
    return exchange_.model->setting.queue.notice_first;
}

// The backend has begun to say something that the client gets to hear.
bool Forward::has_spoken() const {
    return phase_ == Phase::relaying && relay_.events() > 0 && !withholding_;
}

Instant Forward::next_notice() const {
    if (!may_be_told()) return head_due();
    const auto& setting = exchange_.model->setting;
    if (told_ == Instant{} && first_notice().ns != 0 && !has_spoken())
        return exchange_.begun + first_notice();
    Duration every = setting.heartbeat;
    const Duration in_line = setting.queue.notice_every;
    if (!has_spoken() && in_line.ns != 0)
        every = every.ns == 0 ? in_line : std::min(every, in_line);
    return every.ns == 0 ? io::TimerWheel::never : std::max(told_, sent_at_) + every;
}

void Forward::tell() {
    told_ = service_.loop.now();
    // What has left through a pipe may be a part of an event.
    if (client_.unsent() > 0 || tap_.active()) return;
    if (!exchange_.answer_begun && !commit()) return;
    // Its head is out: where nobody else could answer, nothing is gained by keeping the rest.
    if (withholding_ && !withheld_.empty() && !exchange_.model->has_others())
        return stop_withholding();
    if (!may_be_told()) return;
    mem::Chain out(service_.loop.nodes());
    if (!relay_.insert(notice(), service_.loop.buffers(), out)) return;
    sent_at_ = told_;
    exchange_.bytes_out += out.size();
    client_.send(std::move(out));
}

std::string_view Forward::notice() {
    if (exchange_.counts_events) return "event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n";
    if (has_spoken()) return ": still there\n\n";
    if (phase_ != Phase::queued) return ": waiting\n\n";
    if (waits_for_load_) return ": loading\n\n";
    service_.text = ": queued ";
    service_.text += std::to_string(service_.dispatch.position(*exchange_.model, *this));
    service_.text += "\n\n";
    return service_.text;
}

// Begins the answer by ourselves, before the backend does. False: not now.
bool Forward::commit() {
    SLUICE_ASSERT(!committed_);
    const auto out =
        exchange_.client_minor == 0 ? http::Framing::until_close : http::Framing::chunked;
    const bool must_close = client_must_close_ || out == http::Framing::until_close;
    if (!withheld_head_.empty()) {
        promised_ = !relay_.plan().guessed;
        exchange_.bytes_out += withheld_head_.size();
        client_.send(std::move(withheld_head_));
        withheld_head_.clear();
    } else {
        http::HeadWriter writer(service_.head_space());
        writer.status_line(200, "OK");
        writer.field("Content-Type", "text/event-stream; charset=utf-8");
        writer.field("Cache-Control", "no-cache");
        writer.field("X-Accel-Buffering", "no");
        if (exchange_.dialect() == llm::Dialect::anthropic) name_request(writer);
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
        promised_ = true;
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
    const Instant began = silent_since();
    const Instant alive = server_alive();
    return policy::next_deadline(limits, exchange_.client_timeouts, phase,
                                 {.received = exchange_.begun,
                                  .began = began,
                                  .last_sent = sent_at_,
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
