#include "sluice/policy/breaker.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::policy;
using Outcome = Breaker::Outcome;
using State = BreakerState;
using Cause = BreakerCause;

namespace {

constexpr Duration second = Duration::seconds(1);

struct Rig {
    BreakerLimits limits{.successes = 3};  // so that there are probes before the last one
    Prng prng{7};
    Breaker breaker;
    Instant now{Duration::seconds(1000).ns};

    Breaker::Attempt begin() { return breaker.begin(now).attempt; }
    BreakerChange record(Breaker::Attempt attempt, Outcome outcome,
                         std::optional<Duration> retry_after = std::nullopt) {
        return breaker.record(attempt, outcome, now, limits, prng, retry_after);
    }
    BreakerChange run(Outcome outcome, std::optional<Duration> retry_after = std::nullopt) {
        return record(begin(), outcome, retry_after);
    }
    // By failures on end, from closed.
    BreakerChange trip() {
        BreakerChange change;
        for (std::uint32_t i = 0; i < limits.failures; ++i) {
            REQUIRE(breaker.state() == State::closed);
            change = run(Outcome::failure);
        }
        REQUIRE(breaker.state() == State::open);
        return change;
    }
    void cool() {
        REQUIRE(breaker.state() == State::open);
        now = breaker.opens_again_at();
    }
    void be(State state) {
        if (state == State::closed) return;
        trip();
        if (state == State::open) return;
        cool();
        breaker.abandon(begin());
        REQUIRE(breaker.state() == State::half_open);
    }
};

bool near(Duration span, Duration expected) {
    return span >= expected * 8 / 10 && span <= expected * 12 / 10;
}

}  // namespace

TEST_CASE("the table of transitions") {
    struct Row {
        State from;
        Outcome outcome;
        std::uint32_t times;
        State to;
        Cause cause;
    };
    const Row rows[] = {
        {State::closed, Outcome::success, 1000, State::closed, Cause::none},
        {State::closed, Outcome::failure, 2, State::closed, Cause::none},
        {State::closed, Outcome::failure, 3, State::open, Cause::failures},
        {State::closed, Outcome::hard_failure, 1, State::open, Cause::hard_failure},
        {State::closed, Outcome::came_round, 1, State::open, Cause::came_round},
        {State::half_open, Outcome::success, 1, State::half_open, Cause::none},
        {State::half_open, Outcome::success, 2, State::half_open, Cause::none},
        {State::half_open, Outcome::success, 3, State::closed, Cause::probes_succeeded},
        {State::half_open, Outcome::failure, 1, State::open, Cause::probe_failed},
        {State::half_open, Outcome::hard_failure, 1, State::open, Cause::hard_failure},
        {State::half_open, Outcome::came_round, 1, State::open, Cause::came_round},
    };
    for (const Row& row : rows) {
        CAPTURE(name_of(row.from));
        CAPTURE(row.times);
        Rig rig;
        rig.be(row.from);
        BreakerChange change;
        for (std::uint32_t i = 0; i < row.times; ++i) {
            CHECK_FALSE(static_cast<bool>(change));
            change = rig.run(row.outcome);
        }
        CHECK(rig.breaker.state() == row.to);
        CHECK(change.cause == row.cause);
        if (!change) continue;
        CHECK(change.from == row.from);
        CHECK(change.to == row.to);
        CHECK((change.open_for.ns > 0) == (row.to == State::open));
    }
}

TEST_CASE("what is admitted, by state and time") {
    Rig rig;
    CHECK(rig.breaker.admit(rig.now) == Admission::pass);
    const BreakerChange change = rig.trip();
    CHECK(rig.breaker.opens_again_at() == rig.now + change.open_for);
    CHECK(rig.breaker.admit(rig.now) == Admission::refuse);
    const Instant end = rig.breaker.opens_again_at();
    CHECK(rig.breaker.admit({end.ns - 1}) == Admission::refuse);
    CHECK(rig.breaker.admit(end) == Admission::probe);
    // Reading takes nothing.
    for (int i = 0; i < 5; ++i)
        CHECK(rig.breaker.admit(end) == Admission::probe);
    CHECK(rig.breaker.state() == State::open);

    rig.now = end;
    const Breaker::Begun begun = rig.breaker.begin(rig.now);
    CHECK(begun.attempt.probe);
    CHECK(begun.change.from == State::open);
    CHECK(begun.change.to == State::half_open);
    CHECK(begun.change.cause == Cause::cooled_down);
    CHECK(rig.breaker.probing());
    CHECK(rig.breaker.admit(rig.now + second * 3600) == Admission::refuse);
    rig.breaker.abandon(begun.attempt);
    CHECK_FALSE(rig.breaker.probing());
    CHECK(rig.breaker.admit(rig.now) == Admission::probe);
    // The change was told once.
    const Breaker::Begun again = rig.breaker.begin(rig.now);
    CHECK_FALSE(static_cast<bool>(again.change));
    CHECK_FALSE(static_cast<bool>(rig.record(again.attempt, Outcome::success)));
}

TEST_CASE("a success ends the failures on end") {
    Rig rig;
    rig.limits.error_rate = 0;
    for (int i = 0; i < 100; ++i) {
        rig.run(Outcome::failure);
        rig.run(Outcome::failure);
        rig.run(Outcome::success);
    }
    CHECK(rig.breaker.state() == State::closed);
    // What is abandoned counts neither way.
    rig.run(Outcome::failure);
    rig.run(Outcome::failure);
    for (int i = 0; i < 100; ++i)
        rig.breaker.abandon(rig.begin());
    CHECK(rig.breaker.state() == State::closed);
    CHECK(rig.run(Outcome::failure).cause == Cause::failures);
}

TEST_CASE("the error rate trips at its value, and only of enough requests in the window") {
    Rig rig;
    rig.limits.failures = 0;
    rig.limits.window_requests_min = 10;
    rig.limits.error_rate = 0.5;
    const auto mixed = [&rig](int successes, int failures) {
        BreakerChange change;
        for (int i = 0; i < successes; ++i)
            change = rig.run(Outcome::success);
        for (int i = 0; i < failures; ++i)
            change = rig.run(Outcome::failure);
        return change;
    };
    SUBCASE("too few") {
        CHECK_FALSE(static_cast<bool>(mixed(0, 9)));
        CHECK(mixed(0, 1).cause == Cause::error_rate);
    }
    SUBCASE("below the rate and at it") {
        CHECK_FALSE(static_cast<bool>(mixed(10, 9)));
        CHECK(mixed(0, 1).cause == Cause::error_rate);
    }
    SUBCASE("what has left the window is forgotten") {
        CHECK_FALSE(static_cast<bool>(mixed(0, 9)));
        rig.now = rig.now + rig.limits.window + rig.limits.window / ErrorWindow::slots;
        CHECK_FALSE(static_cast<bool>(mixed(0, 9)));
        CHECK(mixed(0, 1).cause == Cause::error_rate);
    }
    SUBCASE("a switched off rate") {
        rig.limits.error_rate = 0;
        CHECK_FALSE(static_cast<bool>(mixed(0, 1000)));
    }
    SUBCASE("after it has closed the window is empty") {
        mixed(0, 10);
        rig.cool();
        mixed(3, 0);
        REQUIRE(rig.breaker.state() == State::closed);
        CHECK_FALSE(static_cast<bool>(mixed(0, 9)));
    }
}

TEST_CASE("cool-downs double up to the maximum, with jitter on both sides") {
    Duration low[12];
    Duration high[12];
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
        Rig rig;
        rig.prng = Prng(seed);
        BreakerChange change = rig.trip();
        for (std::size_t i = 0; i < std::size(low); ++i) {
            if (seed == 0) low[i] = high[i] = change.open_for;
            low[i] = std::min(low[i], change.open_for);
            high[i] = std::max(high[i], change.open_for);
            rig.cool();
            change = rig.run(Outcome::failure);
            CHECK(change.cause == Cause::probe_failed);
        }
    }
    const BreakerLimits limits;
    Duration expected = limits.open;
    for (std::size_t i = 0; i < std::size(low); ++i) {
        CAPTURE(i);
        const Duration top = std::min(expected * 12 / 10, limits.open_max);
        CHECK(low[i] >= expected * 80 / 100);
        CHECK(low[i] <= expected * 82 / 100);
        CHECK(high[i] <= top);
        CHECK(high[i] >= top * 98 / 100);
        expected = std::min(expected * 2, limits.open_max);
    }
    CHECK(expected == limits.open_max);
}

TEST_CASE("closing resets the exponent") {
    Rig rig;
    rig.trip();
    for (int i = 0; i < 5; ++i) {
        rig.cool();
        rig.run(Outcome::failure);
    }
    CHECK(near(rig.breaker.opens_again_at() - rig.now, rig.limits.open * 32));
    rig.cool();
    for (int i = 0; i < 3; ++i)
        rig.run(Outcome::success);
    REQUIRE(rig.breaker.state() == State::closed);
    CHECK(near(rig.trip().open_for, rig.limits.open));
}

TEST_CASE("good probes must be on end, and a failure between them opens") {
    Rig rig;
    rig.be(State::half_open);
    rig.run(Outcome::success);
    rig.run(Outcome::success);
    CHECK(rig.run(Outcome::failure).cause == Cause::probe_failed);
    rig.cool();
    rig.run(Outcome::success);
    rig.run(Outcome::success);
    CHECK(rig.breaker.state() == State::half_open);
    CHECK(rig.run(Outcome::success).to == State::closed);
}

TEST_CASE("Retry-After makes a cool-down longer, never shorter, and not without end") {
    struct Row {
        Duration asked;
        Duration least;
        Duration most;
    };
    const BreakerLimits limits;
    const Row rows[] = {
        {{}, limits.open * 8 / 10, limits.open * 12 / 10},
        {Duration::millis(1), limits.open * 8 / 10, limits.open * 12 / 10},
        {second * 60, second * 60, second * 60},
        {limits.open_max, limits.open_max, limits.open_max},
        {second * 100'000, limits.open_max, limits.open_max},
    };
    for (const Row& row : rows) {
        CAPTURE(row.asked.ns);
        Rig rig;
        rig.run(Outcome::failure);
        rig.run(Outcome::failure);
        const BreakerChange change = rig.run(Outcome::failure, row.asked);
        CHECK(change.open_for >= row.least);
        CHECK(change.open_for <= row.most);
        // A hard failure's is long already.
        Rig hard;
        CHECK(hard.run(Outcome::hard_failure, row.asked).open_for == limits.hard_open);
        Rig round;
        CHECK(round.run(Outcome::came_round, row.asked).open_for == limits.open_max);
        // A probe's failure asks as well.
        Rig probe;
        probe.be(State::half_open);
        CHECK(probe.run(Outcome::failure, row.asked).open_for >= row.least);
    }
    // One of the failures on end asked, and it was not the last.
    Rig rig;
    rig.run(Outcome::failure, second * 60);
    rig.now = rig.now + second * 10;
    rig.run(Outcome::failure);
    CHECK(rig.run(Outcome::failure).open_for == second * 50);
    // A success in between: it may be asked again.
    Rig other;
    other.run(Outcome::failure, second * 60);
    other.run(Outcome::success);
    CHECK(near(other.trip().open_for, limits.open));
}

TEST_CASE("what began before a change of state is late and changes nothing") {
    const Outcome outcomes[] = {Outcome::success, Outcome::failure, Outcome::hard_failure};
    for (const Outcome outcome : outcomes) {
        for (const State state : {State::open, State::half_open, State::closed}) {
            CAPTURE(static_cast<int>(outcome));
            CAPTURE(name_of(state));
            Rig rig;
            std::vector<Breaker::Attempt> late;
            for (int i = 0; i < 20; ++i)
                late.push_back(rig.begin());
            rig.trip();
            if (state != State::open) rig.cool();
            if (state == State::half_open) (void)rig.begin();  // a probe is under way
            for (int i = 0; state == State::closed && i < 3; ++i)
                rig.run(Outcome::success);
            REQUIRE(rig.breaker.state() == state);
            const Instant until = rig.breaker.opens_again_at();
            const bool probing = rig.breaker.probing();
            for (std::size_t i = 0; i < late.size(); ++i) {
                if (i % 2 == 0) CHECK_FALSE(static_cast<bool>(rig.record(late[i], outcome)));
                if (i % 2 == 1) rig.breaker.abandon(late[i]);
            }
            CHECK(rig.breaker.state() == state);
            CHECK(rig.breaker.opens_again_at() == until);
            CHECK(rig.breaker.probing() == probing);
            if (state != State::closed) continue;
            // Nor do they count among the failures on end.
            CHECK_FALSE(static_cast<bool>(rig.run(Outcome::failure)));
            CHECK_FALSE(static_cast<bool>(rig.run(Outcome::failure)));
            CHECK(static_cast<bool>(rig.run(Outcome::failure)));
        }
    }
}

TEST_CASE("the window's slots leave one by one, and a new length begins anew") {
    ErrorWindow window;
    const Duration length = second * 10;
    Instant now{0};
    for (int i = 0; i < 25; ++i, now = now + second)
        window.add(i % 2 == 0, now, length);
    // At 24 s: the slots 15 to 24.
    const Instant last{(second * 24).ns};
    CHECK(window.counts(last, length).requests == 10);
    CHECK(window.counts(last, length).failures == 5);
    for (int ahead = 1; ahead <= 12; ++ahead) {
        CHECK(window.counts(last + second * ahead, length).requests ==
              static_cast<std::uint64_t>(std::max(10 - ahead, 0)));
    }
    window.add(true, last, second * 1000);
    CHECK(window.counts(last, second * 1000).requests == 1);
    window.clear();
    CHECK(window.counts(last, second * 1000).requests == 0);
    // No length at all is one that forgets at once.
    window.add(true, last, {});
    CHECK(window.counts(last, {}).requests == 1);
    CHECK(window.counts(last + second, {}).requests == 0);
}

TEST_CASE("causes and states have texts of their own") {
    std::set<std::string_view> texts;
    for (int i = 0; i <= static_cast<int>(Cause::probes_succeeded); ++i)
        texts.insert(text_of(static_cast<Cause>(i)));
    CHECK(texts.size() == 8);
    CHECK(name_of(State::half_open) == "half-open");
}
