#include "sluice/policy/breaker.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace sluice::policy {

namespace {

constexpr std::uint8_t openings_max = 63;  // any cool-down is at its maximum long before

bool is_rate_over(const ErrorCounts& counts, const BreakerLimits& limits) {
    if (limits.error_rate <= 0 || counts.requests < limits.window_requests_min) return false;
    return static_cast<double>(counts.failures) >=
           limits.error_rate * static_cast<double>(counts.requests);
}

// What will not pass by itself.
bool is_lasting(Breaker::Outcome outcome) {
    return outcome == Breaker::Outcome::hard_failure || outcome == Breaker::Outcome::came_round;
}

BreakerCause cause_of(Breaker::Outcome lasting) {
    return lasting == Breaker::Outcome::came_round ? BreakerCause::came_round
                                                   : BreakerCause::hard_failure;
}

}  // namespace

Admission Breaker::admit(Instant now) const {
    switch (state_) {
        case BreakerState::closed:
            return Admission::pass;
        case BreakerState::open:
            return now < until_ ? Admission::refuse : Admission::probe;
        case BreakerState::half_open:
            return probing_ ? Admission::refuse : Admission::probe;
    }
    return Admission::refuse;
}

Breaker::Begun Breaker::begin(Instant now) {
    SLUICE_ASSERT(admit(now) != Admission::refuse);
    if (state_ == BreakerState::closed) return {{generation_, false, false}, {}};
    SLUICE_ASSERT(!probing_);
    probing_ = true;
    Begun begun{{generation_, true, false}, {}};
    if (state_ == BreakerState::open) {
        begun.change = change_to(BreakerState::half_open, BreakerCause::cooled_down);
    }
    return begun;
}

Breaker::Attempt Breaker::beside() const {
    SLUICE_ASSERT(answers_badly());
    return {.generation = generation_, .probe = false, .beside = true};
}

BreakerChange Breaker::record(Attempt attempt, Outcome outcome, Instant now,
                              const BreakerLimits& limits, Prng& prng,
                              std::optional<Duration> retry_after) {
    if (attempt.beside) {
        if (outcome == Outcome::success && state_ == BreakerState::open)
            until_ = std::min(until_, now);
        return {};
    }
    if (attempt.generation != generation_) return {};
    // Nothing has begun since it opened: that would have made it half-open.
    SLUICE_ASSERT(state_ != BreakerState::open);
    SLUICE_ASSERT(attempt.probe == (state_ == BreakerState::half_open));
    if (outcome != Outcome::success && retry_after) {
        retry_at_ = std::max(retry_at_, now + *retry_after);
    }
    return attempt.probe ? record_probe(outcome, now, limits, prng)
                         : record_closed(outcome, now, limits, prng);
}

void Breaker::abandon(Attempt attempt) {
    if (attempt.generation != generation_ || !attempt.probe) return;
    SLUICE_ASSERT(state_ == BreakerState::half_open && probing_);
    probing_ = false;
}

void Breaker::seen_well(Instant now) {
    if (state_ == BreakerState::open && !hard_) until_ = std::min(until_, now);
}

BreakerChange Breaker::record_closed(Outcome outcome, Instant now, const BreakerLimits& limits,
                                     Prng& prng) {
    if (is_lasting(outcome)) return open(cause_of(outcome), outcome, now, limits, prng);
    const bool failed = outcome != Outcome::success;
    window_.add(failed, now, limits.window);
    if (!failed) {
        failures_ = 0;
        retry_at_ = {};
        return {};
    }
    ++failures_;
    if (limits.failures != 0 && failures_ >= limits.failures) {
        return open(BreakerCause::failures, outcome, now, limits, prng);
    }
    if (is_rate_over(window_.counts(now, limits.window), limits)) {
        return open(BreakerCause::error_rate, outcome, now, limits, prng);
    }
    return {};
}

BreakerChange Breaker::record_probe(Outcome outcome, Instant now, const BreakerLimits& limits,
                                    Prng& prng) {
    SLUICE_ASSERT(probing_);
    probing_ = false;
    if (is_lasting(outcome)) return open(cause_of(outcome), outcome, now, limits, prng);
    if (outcome != Outcome::success)
        return open(BreakerCause::probe_failed, outcome, now, limits, prng);
    ++successes_;
    return successes_ >= limits.successes ? close() : BreakerChange{};
}

BreakerChange Breaker::open(BreakerCause cause, Outcome outcome, Instant now,
                            const BreakerLimits& limits, Prng& prng) {
    SLUICE_ASSERT(outcome != Outcome::success);
    Duration span = outcome == Outcome::hard_failure ? limits.hard_open
                    : outcome == Outcome::came_round ? limits.open_max
                                                     : cool_down(limits, prng);
    span = std::max(span, std::min(retry_at_ - now, limits.open_max));
    until_ = now + span;
    hard_ = is_lasting(outcome);
    answered_ = outcome != Outcome::failure;
    openings_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(openings_ + 1), openings_max);
    BreakerChange change = change_to(BreakerState::open, cause);
    change.open_for = span;
    return change;
}

BreakerChange Breaker::close() {
    openings_ = 0;
    return change_to(BreakerState::closed, BreakerCause::probes_succeeded);
}

BreakerChange Breaker::change_to(BreakerState state, BreakerCause cause) {
    SLUICE_ASSERT(cause != BreakerCause::none);
    const BreakerChange change{state_, state, cause, {}};
    state_ = state;
    if (state == BreakerState::half_open) return change;
    // What runs by now began under another state.
    SLUICE_ASSERT(!probing_);
    ++generation_;
    failures_ = 0;
    successes_ = 0;
    retry_at_ = {};
    window_.clear();
    return change;
}

// +-20 %, so that the shards and the models of one backend do not all come back at once; at the
// maximum only below it, for the same reason.
Duration Breaker::cool_down(const BreakerLimits& limits, Prng& prng) const {
    Duration span = limits.open;
    for (unsigned i = 0; i < openings_ && span < limits.open_max; ++i)
        span = span * 2;
    span = std::min(span, limits.open_max);
    const std::int64_t low = span.ns - span.ns / 5;
    const std::int64_t high = std::min(span.ns + span.ns / 5, limits.open_max.ns);
    SLUICE_ASSERT(low >= 0 && low <= high);
    return {static_cast<std::int64_t>(
        prng.between(static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high)))};
}

std::string_view text_of(BreakerCause cause) {
    static constexpr std::array<std::string_view, 8> texts{
        "nothing changed",       "too many failures on end", "too many failures of late",
        "its credential is bad", "its requests come round",  "a probe failed",
        "its cool-down is over", "its probes went well"};
    const auto index = static_cast<std::size_t>(cause);
    SLUICE_ASSERT(index < texts.size());
    return texts[index];
}

std::string_view name_of(BreakerState state) {
    static constexpr std::array<std::string_view, 3> names{"closed", "open", "half-open"};
    const auto index = static_cast<std::size_t>(state);
    SLUICE_ASSERT(index < names.size());
    return names[index];
}

}  // namespace sluice::policy
