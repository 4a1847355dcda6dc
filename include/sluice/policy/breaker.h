// Breaker: whether one model on one backend may be asked. A cell per (backend, model) and shard.
//
//     closed     everything passes; trips after so many failures on end, or at an error rate
//     open       nothing passes, for open * 2^k up to open_max, +-20 %; k grows with each opening
//                and is 0 again once it has closed
//     half-open  one probe at a time passes; so many good ones close it, a bad one opens it again
//
// Every attempt ends in exactly one record() or abandon(), with what begin() gave. What ends after
// the state has changed is late and changes nothing: it says how the backend was before. Failures
// that are not the backend's (context length, client, policy block, loading) and attempts whose
// client left are abandoned: they count nowhere, and a probe is given back.
//
// A backend that was given up for what it answered is still there, and better than nobody: where no
// other is left it may be asked beside() the breaker. Such an attempt is no probe; one that goes
// well ends the cool-down.
//
// No allocation, no clock. admit() only reads, so views, plans and metrics never take the probe.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/prng.h"
#include "sluice/config/model_settings.h"
#include "sluice/policy/error_window.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::policy {

using BreakerLimits = config::BreakerSetting;

enum class BreakerState : std::uint8_t { closed, open, half_open };

enum class Admission : std::uint8_t {
    pass,
    probe,  // may be chosen, and then it is the probe
    refuse,
};

enum class BreakerCause : std::uint8_t {
    none,
    failures,
    error_rate,
    hard_failure,
    came_round,
    probe_failed,
    cooled_down,
    probes_succeeded,
};

// A change of state, to be logged; false where there was none.
struct BreakerChange {
    BreakerState from = BreakerState::closed;
    BreakerState to = BreakerState::closed;
    BreakerCause cause = BreakerCause::none;
    Duration open_for;  // where it opened

    explicit operator bool() const { return cause != BreakerCause::none; }
};

// For the log: "a probe failed".
std::string_view text_of(BreakerCause cause);
// For the log and metrics: "half-open".
std::string_view name_of(BreakerState state);

class Breaker {
public:
    // What an attempt must remember of its begin.
    struct Attempt {
        std::uint32_t generation = 0;
        bool probe = false;
        bool beside = false;
    };
    struct Begun {
        Attempt attempt;
        BreakerChange change;  // the first probe after a cool-down: half-open
    };
    enum class Outcome : std::uint8_t {
        success,
        failure,       // it did not answer
        bad_answer,    // it did, with a failure
        hard_failure,  // with one that will not pass by itself
        came_round,    // the same: what it is asked comes back here
    };

    Admission admit(Instant now) const;
    // The backend was chosen; it must be admitted at `now`.
    [[nodiscard]] Begun begin(Instant now);
    // Nobody else is left; answers_badly() must hold.
    [[nodiscard]] Attempt beside() const;
    // `retry_after`: what the failed answer asked for. It makes a cool-down longer, up to open_max.
    [[nodiscard]] BreakerChange record(Attempt attempt, Outcome outcome, Instant now,
                                       const BreakerLimits& limits, Prng& prng,
                                       std::optional<Duration> retry_after = std::nullopt);
    void abandon(Attempt attempt);
    // A check that costs nothing has seen the backend well: an open breaker lets its probe pass at
    // once. Not after a hard failure, of which such a check knows nothing.
    void seen_well(Instant now);

    // Open is so until the next begin(), also when the cool-down is over.
    BreakerState state() const { return state_; }
    bool probing() const { return probing_; }
    // It is left alone for what it answered last, not because it did not.
    bool answers_badly() const { return state_ != BreakerState::closed && answered_; }
    // The end of the cool-down; means something while it is open.
    Instant opens_again_at() const { return until_; }

private:
    BreakerChange record_closed(Outcome outcome, Instant now, const BreakerLimits& limits,
                                Prng& prng);
    BreakerChange record_probe(Outcome outcome, Instant now, const BreakerLimits& limits,
                               Prng& prng);
    BreakerChange open(BreakerCause cause, Outcome outcome, Instant now,
                       const BreakerLimits& limits, Prng& prng);
    BreakerChange close();
    BreakerChange change_to(BreakerState state, BreakerCause cause);
    Duration cool_down(const BreakerLimits& limits, Prng& prng) const;

    ErrorWindow window_;
    Instant until_;                 // open: the end of the cool-down
    Instant retry_at_;              // of the failures on end, the latest that was asked for
    std::uint32_t generation_ = 0;  // of the openings and closings
    std::uint32_t failures_ = 0;    // on end, while closed
    std::uint32_t successes_ = 0;   // probes on end, while half-open
    std::uint8_t openings_ = 0;     // since it was last closed
    BreakerState state_ = BreakerState::closed;
    bool probing_ = false;
    bool hard_ = false;      // what opened it was
    bool answered_ = false;  // what opened it was an answer
};

static_assert(sizeof(Breaker) <= 128);

}  // namespace sluice::policy
