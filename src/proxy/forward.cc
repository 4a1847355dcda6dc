#include "forward.h"

#include "sluice/policy/hash.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::proxy {
namespace {

using answer::Campaign;
using policy::AttemptEnd;
using policy::FailureClass;
using upstream::Finding;

// How long a request that may not be tried again yet is held, and how often it looks.
constexpr Duration pause_max = Duration::millis(250);
constexpr Duration pause_step = Duration::millis(5);
// Who was in line once does not go to its end again.
constexpr std::uint8_t priority_again = 0;

}  // namespace

Forward::Forward(Service& service, Exchange& exchange, io::Actor& owner, net::Stream& client,
                 Upload* upload)
    : service_(service),
      exchange_(exchange),
      owner_(owner),
      upload_(upload),
      delivery_(service, exchange, client),
      run_(service.pipes),
      tap_(service.pipes) {}

Forward::Forward(Service& service, Exchange& exchange, io::Actor& owner,
                 answer::Recording& recording)
    : service_(service),
      exchange_(exchange),
      owner_(owner),
      upload_(nullptr),
      delivery_(service, exchange, recording),
      run_(service.pipes),
      tap_(service.pipes) {}

Forward::~Forward() {
    SLUICE_ASSERT(link_ == nullptr);
    SLUICE_ASSERT(!place_.held() && !waiting());
}

void Forward::release() {
    service_.forwards.destroy(*this);
}

answer::Recording::Wait Forward::wait() const {
    using enum answer::Recording::Stage;
    if (phase_ != Phase::queued) return {};
    if (waits_for_load_) return {.stage = load};
    const auto position = service_.dispatch.position(*exchange_.model, *this);
    return {.stage = line, .position = static_cast<std::uint32_t>(position)};
}

void Forward::enter(Phase phase) {
    phase_ = phase;
    note_progress();
}

// --- choosing -------------------------------------------------------------------------------

void Forward::start() {
    SLUICE_ASSERT(exchange_.model != nullptr);
    exchange_.offered = service_.retries.offer(exchange_.client_retry);
    campaign_.begin(*exchange_.model, std::move(exchange_.request->asked_model));
    if (!refuse_known()) find_place();
}

upstream::Wish Forward::wish() const {
    return complete(campaign_.wish());
}

// With what a choice among targets goes by.
upstream::Wish Forward::complete(upstream::Wish wish) const {
    wish.key = exchange_.request->hash_key;
    wish.prompt = exchange_.request->prompt.get();
    wish.credentials = exchange_.request->credentials;
    return wish;
}

void Forward::find_place() {
    using Step = Campaign::Step;
    SLUICE_ASSERT(link_ == nullptr && !place_.held());
    for (;;) {
        const bool first = !campaign_.failed() && phase_ == Phase::idle;
        const auto found = first && service_.dispatch.anybody_waits(*exchange_.model)
                               ? upstream::Found{.finding = Finding::busy, .again = {}}
                               : service_.dispatch.place(wish(), place_);
        Step step = campaign_.found(found);
        if (step == Step::attempt) return start_try();
        if (step == Step::line) {
            if (wait_in_line(found)) return;
            step = campaign_.line_is_full();
            if (step == Step::give_up)
                retry_after_ = service_.dispatch.retry_after(*exchange_.model);
        } else if (step == Step::give_up && !campaign_.failed() && found.again) {
            retry_after_ = *found.again - service_.loop.now();
        }
        if (step == Step::give_up) return give_up();
        SLUICE_ASSERT(step == Step::look);
        follow();
    }
}

// The campaign may have turned to another model.
void Forward::follow() {
    exchange_.model = &campaign_.model();
}

void Forward::start_try() {
    exchange_.target = &place_.target();
    campaign_.attempt(*exchange_.target);
    note_wait();
    retried_link_ = sends_again_ = plainly_ = disguised_ = false;
    held_answer_ = nullptr;
    if (refuse_known()) return;  // by now
    if (resumes_ && !plan_to_resume()) return find_place();
    if (resumes_ && resume_->plan.length_reached) return end_at_length();
    // One that stood idle may be closed while the request is on its way, and what is not kept could
    // not be sent to another; what must not be repeated could not, either.
    using Freshness = upstream::Pool::Freshness;
    try_target(upload_ != nullptr            ? Freshness::fresh
               : exchange_.must_not_repeat() ? Freshness::sound
                                             : Freshness::any);
}

// False: the line is full.
bool Forward::wait_in_line(const upstream::Found& found) {
    const std::uint8_t priority = campaign_.failed() ? priority_again : exchange_.priority;
    if (!service_.dispatch.wait(wish(), *this, priority, exchange_.counts_for(), found.asks))
        return false;
    queued_at_ = service_.loop.now();
    waits_for_load_ = found.finding == Finding::loading;
    enter(Phase::queued);
    return true;
}

void Forward::note_wait() {
    if (queued_at_ != Instant{})
        exchange_.queued = exchange_.queued + (service_.loop.now() - queued_at_);
    queued_at_ = {};
}

void Forward::leave_line() {
    if (waiting()) service_.dispatch.leave(*exchange_.model, *this);
}

upstream::Found Forward::take_place() {
    SLUICE_ASSERT(phase_ == Phase::queued);
    const auto found = service_.dispatch.place(wish(), place_);
    waits_for_load_ = found.finding == Finding::loading;
    // Also when none is left: that is dealt with in advance().
    if (!found.waits()) service_.loop.make_ready(owner_);
    return found;
}

// --- moving on ------------------------------------------------------------------------------

// Of what the request asks; 0 where it is not kept whole.
std::uint64_t Forward::digest() {
    if (digest_ == 0 && exchange_.request != nullptr && upload_ == nullptr)
        digest_ = exchange_.request->digest(service_.digest_seed);
    return digest_;
}

// The same, but one that is not kept is like no other.
std::uint64_t Forward::identity() {
    return digest() != 0 ? digest() : policy::hash_text(exchange_.id);
}

// What the end of this try says about the backend.
upstream::TryEnd Forward::try_end(FailureClass failure, const policy::FailureFacts& facts) {
    upstream::TryEnd end{.failure = failure,
                         .answered = policy::has_answered(facts.end),
                         .broke = policy::broke_alone(facts)};
    if (failure == FailureClass::none) return end;
    if (held_answer_ != nullptr) end.retry_after = held_answer_->advice.after;
    end.caller = exchange_.counts_for();
    if (failure == FailureClass::doubtful || end.broke) end.request = identity();
    if (exchange_.request != nullptr)
        end.credentials = exchange_.request->credentials;
    else if (failure == FailureClass::rate_limited)
        end.failure = FailureClass::client;  // whose limit it is is not kept that long
    return end;
}

void Forward::release_place(const policy::FailureFacts& facts) {
    if (place_.held()) place_.release(try_end(policy::classify(facts), facts));
}

// A try has failed, and nothing of an answer has reached the client.
void Forward::move_on(const policy::FailureFacts& facts, Error error) {
    using policy::KnownFor;
    SLUICE_ASSERT(link_ == nullptr && place_.held());
    const FailureClass failure = policy::classify(facts);
    place_.release(try_end(failure, facts));
    log_hop(failure);
    campaign_.fail({.target = exchange_.target,
                    .as = failure,
                    .chain = policy::choose_chain(failure, facts),
                    .error = std::move(error),
                    .body_gone = upload_ != nullptr && upload_->begun(),
                    .may_be_done = sent_ && exchange_.must_not_repeat()});
    const auto health = service_.dispatch.health_of(*exchange_.target->endpoint);
    const Campaign::Outlook outlook{
        .others = service_.dispatch.possible(wish()),
        .known_to_fail =
            campaign_.doubts() &&
            service_.known_requests.knows(identity(), KnownFor::failing, service_.loop.now()),
        .loads = health == upstream::Health::loading,
        .fate = fate()};
    const auto step = campaign_.next(outlook);
    if (campaign_.blames()) service_.note({.digest = identity(), .what = KnownFor::failing});
    if (step == Campaign::Step::look && outlook.loads) held_answer_ = nullptr;
    take(step);
}

void Forward::take(Campaign::Step step) {
    using Step = Campaign::Step;
    switch (step) {
        case Step::look:
            retry_ = {};
            return find_place();
        case Step::retry:
            retry_ = {};
            retry_ = service_.retries.take(service_.loop.now());
            if (!retry_) return wait_for_budget();
            return find_place();
        case Step::pause:
            // Not for long: see look_back().
            enter(Phase::pausing);
            return look_again_later();
        case Step::stop:
            return stop_moving();
        case Step::give_up:
            return give_up();
        case Step::attempt:
        case Step::line:
            break;
    }
    SLUICE_ASSERT(false);
}

void Forward::wait_for_budget() {
    if (phase_ != Phase::pausing) enter(Phase::pausing);
    if (phase_begun_ + pause_max > service_.loop.now()) return look_again_later();
    ++service_.statistics.retries_refused;
    campaign_.tire();
    give_up();
}

void Forward::look_again_later() {
    SLUICE_ASSERT(phase_ == Phase::pausing);
    check_at_ = service_.loop.now() + pause_step;
    service_.loop.make_ready(owner_);
}

// Counted as it begins, so that the log says as many as backends see.
void Forward::note_try() {
    const std::uint32_t before = exchange_.retries;
    exchange_.retries = tries_++;
    if (exchange_.retries > before) ++service_.statistics.retries;
}

void Forward::log_hop(FailureClass failure) {
    std::string& hops = exchange_.hops;
    hops.append(hops.empty() ? "" : ", ").append(backend()).append(" ");
    hops.append(policy::name_of(failure));
}

// --- one try --------------------------------------------------------------------------------

void Forward::try_target(upstream::Pool::Freshness freshness) {
    SLUICE_ASSERT(link_ == nullptr && place_.held());
    pool_ = &service_.pools.of(exchange_.target->endpoint);
    link_ = pool_->lease(owner_, freshness);
    if (link_ == nullptr) {
        place_.cancel();
        return give_up({Source::gateway, Retry::yes, 503,
                        "The gateway has too many connections to backends open. Try again later."});
    }
    link_bytes_before_ = link_->stream.bytes_received();
    link_sent_before_ = link_->stream.bytes_sent();
    enter(Phase::connecting);
    sent_ = false;
    head_reader_.reset();
    interim_answers_ = 0;
    if (!send_request()) {
        drop_link(false);
        place_.cancel();
        return give_up(no_memory());
    }
    if (!retried_link_) note_try();
    exchange_.overhead = exchange_.overhead + (monotonic_now() - service_.loop.now());
    // The first look at the link happens in this turn: a pooled one is open already.
    service_.loop.make_ready(owner_);
}

// --- events of the link ---------------------------------------------------------------------

Forward::Outcome Forward::advance() {
    if (phase_ == Phase::queued && !waiting()) {
        if (place_.held())
            start_try();
        else
            find_place();
    }
    if (link_ == nullptr) return outcome_;
    net::Stream& stream = link_->stream;
    if (phase_ == Phase::connecting && stream.open()) {
        if (sends_again_ && !begin_again()) return outcome_;
        enter(Phase::waiting);
        sent_ = true;
        if (service_.known_requests.any(service_.loop.now()))
            inquest_.recall(service_, digest(), exchange_.begun);
        service_.suspicion.sent(inquest_.suspect, server(), service_.loop.now());
        listen();
    }
    if (upload_ != nullptr) pass_body();
    // What came before an end or a failure counts.
    relay_received();
    if (link_ == nullptr) return outcome_;
    if (const int code = link_->stream.receive_error(); code != 0)
        on_link_lost(code);
    else if (link_->stream.ended())
        on_link_ended();
    return outcome_;
}

void Forward::flush() {
    if (link_ != nullptr) link_->stream.flush();
}

// No connection, or a reset. What may be tried again depends on what was already said.
void Forward::on_link_lost(int code) {
    const bool connecting = phase_ == Phase::connecting && link_->stream.connecting();
    if (!connecting) return lose(std::strerror(code), AttemptEnd::reset);
    const bool refused = code == ECONNREFUSED || code == ENOENT || code == net::Stream::no_address;
    const std::string cause = net::error_text(code);
    drop_link(false);
    held_answer_ = nullptr;
    if (refused) see_dead(cause);
    const policy::FailureFacts facts{.end = refused ? AttemptEnd::refused : AttemptEnd::unreachable,
                                     .status = 0,
                                     .error = nullptr};
    move_on(facts, Error::backend(
                       502, Retry::yes,
                       "The backend does not answer: " + cause + ". Is the model server running?"));
}

void Forward::on_link_ended() {
    if (phase_ == Phase::holding) {
        if (link_->parser.finish() != http::Progress::complete)
            return lose("the connection ended", AttemptEnd::ended_early);
        drop_link(false);
        return judge_held();
    }
    if (phase_ != Phase::relaying) return lose("the connection ended", AttemptEnd::ended_early);
    const bool allowed = link_->parser.finish() == http::Progress::complete;
    drop_link(false);
    relay().see_end();
    // A stream that said its end is whole, however its framing ends; one that only the connection's
    // end delimits is not whole without it.
    if (event_stream_ ? relay().said_its_end() && relay().can_end() : allowed)
        return end_answer(false);
    lose_end("The backend ended the answer before it was complete.");
}

// --- endings --------------------------------------------------------------------------------

void Forward::drop_link(bool reusable) {
    SLUICE_ASSERT(link_ != nullptr);
    policy::Suspicion::over(inquest_.suspect);
    empty_pipes();
    if (upload_ != nullptr) {
        upload_->rest();
        // Each of these made a link: where one waits already they would pile up.
        reusable = reusable && upload_->complete() && pool_->idle() == 0;
    }
    pool_->give_back(*std::exchange(link_, nullptr), reusable);
}

// It is closed from our side while its server has still to answer. A stream ends there with that,
// but these kinds compute an answer in one piece to its end, whoever waits for it.
void Forward::give_up_link() {
    using upstream::Kind;
    const Kind kind = exchange_.target->kind;
    const bool computes_on = kind == Kind::llama_server || kind == Kind::unknown;
    const bool asked = phase_ == Phase::waiting && sent_ && !exchange_.is_generic();
    if (asked && computes_on && !exchange_.streamed)
        place_.leave_running(exchange_.request->facts.max_tokens);
    drop_link(false);
}

}  // namespace sluice::proxy
