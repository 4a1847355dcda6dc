// The breaker against a naive reference that keeps every event, over random scripts. A failure
// prints its seed.
#include "sluice/policy/breaker.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace sluice;
using namespace sluice::policy;
using Outcome = Breaker::Outcome;
using State = BreakerState;

namespace {

// What the head of breaker.h says, in the plainest way.
class Reference {
public:
    explicit Reference(const BreakerLimits& limits) : limits_(limits) {}

    Admission admit(Instant now) const {
        if (state == State::closed) return Admission::pass;
        if (state == State::open) return now < until ? Admission::refuse : Admission::probe;
        return probing ? Admission::refuse : Admission::probe;
    }
    void begin() {
        if (state == State::closed) return;
        state = State::half_open;
        probing = true;
    }
    void abandon(bool probe) {
        if (probe) probing = false;
    }
    // Whether it opens, which needs a length that is drawn.
    bool record(bool probe, Outcome outcome, Instant now, std::optional<Duration> asked) {
        if (outcome != Outcome::success && asked) retry_at = std::max(retry_at, now + *asked);
        if (probe) {
            probing = false;
            if (outcome != Outcome::success) return true;
            if (++good_probes == limits_.successes) close();
            return false;
        }
        if (outcome == Outcome::hard_failure) return true;
        events_.push_back({now, outcome == Outcome::failure});
        if (outcome == Outcome::success) {
            on_end_ = 0;
            retry_at = {};
            return false;
        }
        return ++on_end_ >= limits_.failures || is_rate_over(now);
    }
    // The bounds of an opening.
    std::pair<Duration, Duration> open_bounds(Outcome outcome, Instant now) const {
        const Duration asked = std::min(retry_at - now, limits_.open_max);
        if (outcome == Outcome::hard_failure) {
            return {std::max(limits_.hard_open, asked), std::max(limits_.hard_open, asked)};
        }
        Duration span = limits_.open;
        for (int i = 0; i < openings; ++i)
            span = std::min(span * 2, limits_.open_max);
        return {std::max(asked, span - span / 5),
                std::max(asked, std::min(span + span / 5, limits_.open_max))};
    }
    void open(Instant end) {
        state = State::open;
        until = end;
        ++openings;
        ++changes;
        forget();
    }

    State state = State::closed;
    Instant until;
    Instant retry_at;
    bool probing = false;
    int openings = 0;
    std::uint32_t good_probes = 0;
    int changes = 0;  // an attempt that began before one is late

private:
    struct Event {
        Instant at;
        bool failed;
    };
    void close() {
        state = State::closed;
        openings = 0;
        ++changes;
        forget();
    }
    void forget() {
        events_.clear();
        on_end_ = 0;
        good_probes = 0;
        retry_at = {};
    }
    bool is_rate_over(Instant now) const {
        const std::int64_t slot = limits_.window.ns / ErrorWindow::slots;
        std::uint32_t requests = 0;
        std::uint32_t failures = 0;
        for (const Event& event : events_) {
            if (now.ns / slot - event.at.ns / slot >= ErrorWindow::slots) continue;
            ++requests;
            failures += event.failed ? 1 : 0;
        }
        return requests >= limits_.window_requests_min && failures >= limits_.error_rate * requests;
    }

    BreakerLimits limits_;
    std::vector<Event> events_;
    std::uint32_t on_end_ = 0;
};

struct Running {
    Breaker::Attempt attempt;
    int changes;  // of the reference when it began
};

// How often each thing happened over all scripts: a check that checks nothing must not pass.
struct Seen {
    int opened = 0;
    int closed = 0;
    int refused = 0;
    int late = 0;
    int probes_given_back = 0;
};

class Script {
public:
    Script(std::uint64_t seed, Seen& seen) : prng_(seed), jitter_(seed + 1), seen_(seen) {
        limits_.failures = static_cast<std::uint32_t>(prng_.between(2, 8));
        limits_.window_requests_min = static_cast<std::uint32_t>(prng_.between(4, 20));
        limits_.error_rate = static_cast<double>(prng_.between(20, 90)) / 100;
        limits_.successes = static_cast<std::uint32_t>(prng_.between(1, 3));
        health_ = prng_.between(10, 95);
    }

    void run(int steps) {
        Reference reference(limits_);
        for (int i = 0; i < steps; ++i) {
            pass_time();
            check_same(reference);
            if (!running_.empty() && prng_.chance(1, 2)) {
                end_one(reference);
            } else {
                try_one(reference);
            }
        }
    }

private:
    void pass_time() {
        if (prng_.chance(1, 200)) health_ = prng_.between(10, 95);
        const std::uint64_t most_ms = prng_.chance(1, 20) ? 20'000 : 400;
        now_ = now_ + Duration::millis(static_cast<std::int64_t>(prng_.below(most_ms)));
    }
    void check_same(const Reference& reference) {
        REQUIRE(breaker_.admit(now_) == reference.admit(now_));
        REQUIRE(breaker_.state() == reference.state);
        REQUIRE(breaker_.probing() == reference.probing);
        if (reference.state == State::open) REQUIRE(breaker_.opens_again_at() == reference.until);
        const auto probes =
            std::count_if(running_.begin(), running_.end(), [&](const Running& one) {
                return one.attempt.probe && one.changes == reference.changes;
            });
        REQUIRE(probes == (reference.probing ? 1 : 0));
    }
    void try_one(Reference& reference) {
        if (breaker_.admit(now_) == Admission::refuse) {
            ++seen_.refused;
            return;
        }
        const State before = reference.state;
        const Breaker::Begun begun = breaker_.begin(now_);
        reference.begin();
        REQUIRE(static_cast<bool>(begun.change) == (before != reference.state));
        running_.push_back({begun.attempt, reference.changes});
    }
    void end_one(Reference& reference) {
        std::swap(running_[prng_.below(running_.size())], running_.back());
        const Running one = running_.back();
        running_.pop_back();
        const bool late = one.changes != reference.changes;
        seen_.late += late ? 1 : 0;
        if (prng_.chance(1, 8)) {
            breaker_.abandon(one.attempt);
            if (late) return;
            seen_.probes_given_back += one.attempt.probe ? 1 : 0;
            reference.abandon(one.attempt.probe);
            return;
        }
        record(one, late, reference);
    }
    void record(const Running& one, bool late, Reference& reference) {
        Outcome outcome = prng_.chance(health_, 100) ? Outcome::success : Outcome::failure;
        if (prng_.chance(1, 200)) outcome = Outcome::hard_failure;
        std::optional<Duration> asked;
        if (prng_.chance(1, 10))
            asked = Duration::millis(static_cast<std::int64_t>(prng_.below(60'000)));
        const BreakerChange change =
            breaker_.record(one.attempt, outcome, now_, limits_, jitter_, asked);
        if (late) {
            REQUIRE_FALSE(static_cast<bool>(change));
            return;
        }
        const State before = reference.state;
        if (reference.record(one.attempt.probe, outcome, now_, asked)) {
            REQUIRE(change.to == State::open);
            const auto [least, most] = reference.open_bounds(outcome, now_);
            REQUIRE(change.open_for >= least);
            REQUIRE(change.open_for <= most);
            reference.open(now_ + change.open_for);
            ++seen_.opened;
        }
        REQUIRE(static_cast<bool>(change) == (before != reference.state));
        if (change) REQUIRE(change.to == reference.state);
        seen_.closed += change && change.to == State::closed ? 1 : 0;
    }

    Prng prng_;
    Prng jitter_;
    Seen& seen_;
    BreakerLimits limits_;
    std::uint64_t health_ = 50;  // percent of the answers that are good
    Breaker breaker_;
    Instant now_{0};
    std::vector<Running> running_;
};

}  // namespace

TEST_CASE("the breaker does what the reference does, over random scripts") {
    Seen seen;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        Script(seed, seen).run(2000);
    }
    CHECK(seen.opened > 1000);
    CHECK(seen.closed > 100);
    CHECK(seen.refused > 1000);
    CHECK(seen.late > 1000);
    CHECK(seen.probes_given_back > 100);
}
