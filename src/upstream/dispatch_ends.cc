// Dispatch: how tries end, what that says about their targets, and slots that stay taken because a
// server computes on for nobody.
#include "dispatch_parts.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {
namespace {

using policy::FailureClass;

// Requests that were left, a shard; more of them are forgotten at once.
constexpr std::size_t left_max = 4096;
// A server that tells what it computes is believed for that long.
constexpr Duration told_for = Duration::seconds(60);

}  // namespace

// --- the end of a try -----------------------------------------------------------------------

void Place::first_byte() {
    if (!held()) return;
    const Instant now = dispatch_->loop_.now();
    dispatch_->state_of(*target_).balance.latency.observe(now - begun_, now);
}

void Place::note_tokens(std::uint64_t tokens) {
    SLUICE_ASSERT(held());
    dispatch_->state_of(*target_).pace.observe(dispatch_->loop_.now() - begun_, tokens);
}

void Place::leave_running(std::optional<std::uint64_t> tokens_max) {
    SLUICE_ASSERT(held());
    left_ = dispatch_->state_of(*target_).pace.left(tokens_max, dispatch_->loop_.now() - begun_);
}

void Place::release(const TryEnd& end) {
    SLUICE_ASSERT(held());
    std::exchange(dispatch_, nullptr)->over(*this, &end);
}

void Place::cancel() {
    if (held()) std::exchange(dispatch_, nullptr)->over(*this, nullptr);
}

// What the end of a try says about its target, and what follows from that for others.
policy::BreakerChange Dispatch::judge(TargetState& state, const Place& place, const TryEnd& end) {
    using Outcome = policy::Breaker::Outcome;
    using policy::BreakerEffect;
    const Instant now = loop_.now();
    const auto record = [&](Outcome outcome) {
        return state.breaker.record(place.attempt_, outcome, now, place.model_->setting.breaker,
                                    prng_, end.retry_after);
    };
    if (end.failure == FailureClass::none) {
        if (state.doubts.served(now))
            teach(policy::ServedAt{.target = place.target().id, .at = now});
        return record(Outcome::success);
    }
    switch (policy::disposition_of(end.failure).breaker) {
        case BreakerEffect::none:
            break;
        case BreakerEffect::counts: {
            // Who breaks connections may be well all the same, and say so when it is asked.
            const bool asked = health_.alive(state.endpoint) != Instant{};
            const bool well = end.broke && asked && !has_witnesses(state, place, end);
            return record(well || end.answered ? Outcome::bad_answer : Outcome::failure);
        }
        case BreakerEffect::with_witnesses:
            if (has_witnesses(state, place, end)) return record(Outcome::bad_answer);
            break;
        case BreakerEffect::rests:
            state.rests.add(credential_of(place.target(), end.credentials), end.retry_after, now);
            break;
        case BreakerEffect::trips:
            return record(end.failure == FailureClass::loop ? Outcome::came_round
                                                            : Outcome::hard_failure);
    }
    state.breaker.abandon(place.attempt_);
    return {};
}

// Others failed there as well, with other requests, or its health check does.
bool Dispatch::has_witnesses(TargetState& state, const Place& place, const TryEnd& end) {
    const policy::Doubts::Failure failure{end.caller, end.request, loop_.now()};
    const bool witnessed = state.doubts.add(failure);
    teach(policy::DoubtAt{.target = place.target().id, .failure = failure});
    return witnessed || health_.of(state.endpoint) != Health::up;
}

void Dispatch::teach(const policy::Lesson& lesson) {
    if (teacher_ != nullptr) teacher_->tell(lesson);
}

void Dispatch::learn(const policy::DoubtAt& doubt) {
    const Instant served = grown(targets_, doubt.target).doubts.learn(doubt.failure);
    if (served != Instant{}) teach(policy::ServedAt{.target = doubt.target, .at = served});
}

void Dispatch::learn(const policy::ServedAt& served) {
    grown(targets_, served.target).doubts.learn_served(served.at);
}

// `end` is null where the try says nothing about the backend.
void Dispatch::over(const Place& place, const TryEnd* end) {
    SLUICE_ASSERT(!place.held());  // so that it cannot end again
    const Target& target = *place.target_;
    const Instant now = loop_.now();
    SLUICE_ASSERT(place.begun_ <= now);
    TargetState& state = state_of(target);
    if (end == nullptr) {
        state.breaker.abandon(place.attempt_);
    } else {
        const auto change = judge(state, place, *end);
        if (change && peers_ != nullptr) peers_->breaker_changed(target, change);
    }
    SLUICE_ASSERT(placed_ > 0);
    --placed_;
    SLUICE_ASSERT(state.endpoint < traffic_.size() && traffic_[state.endpoint].in_flight > 0);
    --traffic_[state.endpoint].in_flight;
    const auto index = static_cast<std::size_t>(&target - place.model_->targets.data());
    SLUICE_ASSERT(index < place.model_->targets.size());
    const Left held{.target = target.id,
                    .endpoint = state.endpoint,
                    .slot_pool = target.slot_pool,
                    .model = place.model_->id,
                    .index = static_cast<std::uint32_t>(index),
                    .slotted = place.slotted_,
                    .told = place.told_,
                    .since = now,
                    .until = now + place.left_};
    const bool stays = place.left_.ns > 0 && keep(held);
    if (peers_ != nullptr) peers_->traffic_changed();
    if (stays) return;
    free(held);
    serve_lines();
}

// What a place held is free for others.
void Dispatch::free(const Left& place) {
    SLUICE_ASSERT(place.target < targets_.size() && targets_[place.target] != nullptr);
    TargetState& state = *targets_[place.target];
    SLUICE_ASSERT(state.in_flight > 0);
    --state.in_flight;
    SLUICE_ASSERT(place.slot_pool < slot_pools_.size() && slot_pools_[place.slot_pool] != nullptr);
    if (place.slotted) slot_pools_[place.slot_pool]->release();
    if (place.told) tell(DispatchNews::Change::Of::target, place.target, place.slot_pool, -1);
    if (place.model >= lines_.size() || lines_[place.model] == nullptr) return;
    ModelLines& lines = *lines_[place.model];
    lines.drain.released(loop_.now(), !lines.any_for(place.index));
}

// --- requests that were left ----------------------------------------------------------------

std::size_t Dispatch::left_running() const {
    return left_.size();
}

// False: it is not kept for the server's sake.
bool Dispatch::keep(const Left& place) {
    if (left_forgotten_ || left_.size() >= left_max) return false;
    SLUICE_ASSERT(place.until > place.since);
    Left& kept = left_.emplace_back(place);
    if (health_.tells(kept.endpoint)) kept.until = std::max(kept.until, kept.since + told_for);
    ++traffic_[kept.endpoint].left_running;
    if (!overdue_.armed() || kept.until < overdue_.deadline())
        loop_.timers().arm(overdue_, kept.until);
    if (peers_ != nullptr) peers_->left_running(kept.endpoint);
    return true;
}

// The server has said how many of those that it computed then it still does: the oldest are over.
void Dispatch::free_left(std::uint32_t endpoint, const Sign& sign) {
    std::size_t here = 0;
    for (const Left& left : left_)
        here += left.endpoint == endpoint && left.since <= sign.since ? 1 : 0;
    std::size_t over = here - std::min<std::size_t>(here, sign.left_running);
    for (Left& left : left_) {
        if (left.endpoint != endpoint || left.since > sign.since) continue;
        left.until = over > 0 ? Instant{} : std::max(left.until, loop_.now() + told_for);
        over -= over > 0 ? 1 : 0;
    }
    SLUICE_ASSERT(over == 0);  // it was counted by the same marks
    free_overdue();
}

void Dispatch::free_overdue() {
    const Instant now = loop_.now();
    Instant next = io::TimerWheel::never;
    bool any = false;
    std::erase_if(left_, [&](const Left& left) {
        if (left.until > now) {
            next = std::min(next, left.until);
            return false;
        }
        SLUICE_ASSERT(traffic_[left.endpoint].left_running > 0);
        --traffic_[left.endpoint].left_running;
        free(left);
        return any = true;
    });
    if (left_.empty())
        loop_.timers().disarm(overdue_);
    else
        loop_.timers().arm(overdue_, next);
    if (!any) return;
    if (peers_ != nullptr) peers_->traffic_changed();
    serve_lines();
}

void Dispatch::forget_left() {
    left_forgotten_ = true;
    for (Left& left : left_)
        left.until = Instant{};
    free_overdue();
    SLUICE_ASSERT(left_.empty());
}

}  // namespace sluice::upstream
