#include "sluice/io/timer_wheel.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

using sluice::Duration;
using sluice::Instant;
using sluice::Prng;
using sluice::io::Timer;
using sluice::io::TimerWheel;

namespace {

constexpr Instant start{1'234'567'890'123};

// A timer that knows how often it fired.
struct Counted {
    Counted() : timer(this, [](void* self) { ++static_cast<Counted*>(self)->fired; }) {}
    Timer timer;
    int fired = 0;
};

// A wheel of random timers beside a plain table of their deadlines.
class Model {
public:
    Model(std::uint64_t seed, Duration reach) : prng_(seed), reach_(reach), wheel_(start) {
        for (std::size_t i = 0; i < count; ++i) {
            entries_[i].model = this;
            entries_[i].index = i;
        }
    }
    ~Model() {
        for (Entry& entry : entries_)
            wheel_.disarm(entry.timer);
    }

    void step() {
        const std::size_t index = prng_.below(count);
        switch (prng_.below(4)) {
            case 0:
                return arm(index);
            case 1:
                return disarm(index);
            case 2:
                return sleep();
            default:
                return jump();
        }
    }

    void check() const {
        std::size_t armed = 0;
        for (const Entry& entry : entries_) {
            REQUIRE(entry.timer.armed() == entry.deadline.has_value());
            if (!entry.deadline) continue;
            ++armed;
            REQUIRE(entry.timer.deadline() == *entry.deadline);
            // Whoever sleeps until next() sleeps through no deadline by more than a tick.
            REQUIRE(wheel_.next() < *std::max(entry.deadline, entry.armed_at) + TimerWheel::tick +
                                        TimerWheel::tick);
        }
        REQUIRE(wheel_.armed() == armed);
        REQUIRE((wheel_.next() == TimerWheel::never) == (armed == 0));
    }

    int fired() const { return fired_; }

private:
    static constexpr std::size_t count = 50;
    struct Entry {
        Entry()
            : timer(this, [](void* self) {
                  auto& entry = *static_cast<Entry*>(self);
                  entry.model->on_fire(entry);
              }) {}
        Timer timer;
        Model* model = nullptr;
        std::size_t index = 0;
        std::optional<Instant> deadline;
        std::optional<Instant> armed_at;
    };

    Duration some_time() {
        // Short and long ones alike: a random magnitude first.
        const auto magnitude = std::uint64_t{1} << prng_.below(40);
        return {static_cast<std::int64_t>(prng_.below(magnitude + 1)) % (reach_.ns + 1)};
    }
    void arm(std::size_t index) {
        Entry& entry = entries_[index];
        Instant deadline = now_ + some_time();
        if (prng_.chance(1, 10)) deadline = {now_.ns - some_time().ns};
        entry.deadline = deadline;
        entry.armed_at = now_;
        wheel_.arm(entry.timer, deadline);
    }
    void disarm(std::size_t index) {
        entries_[index].deadline.reset();
        wheel_.disarm(entries_[index].timer);
    }
    void sleep() {
        if (wheel_.next() == TimerWheel::never) return;
        advance(std::max(now_, wheel_.next()));
    }
    void jump() { advance(now_ + some_time()); }

    void advance(Instant now) {
        before_ = now_;
        now_ = now;
        wheel_.advance(now);
        for (const Entry& entry : entries_) {
            if (!entry.deadline) continue;
            // Whole ticks that passed since it was due: none, or it was armed in this very tick.
            const Instant due = std::max(*entry.deadline, *entry.armed_at);
            REQUIRE(now < due + TimerWheel::tick + TimerWheel::tick);
        }
    }
    void on_fire(Entry& entry) {
        REQUIRE(entry.deadline.has_value());
        REQUIRE(now_ >= *entry.deadline);  // never early
        REQUIRE_FALSE(entry.timer.armed());
        entry.deadline.reset();
        ++fired_;
        // Handlers may arm and disarm, themselves and others.
        if (prng_.chance(1, 3)) arm(entry.index);
        if (prng_.chance(1, 3)) arm(prng_.below(count));
        if (prng_.chance(1, 3)) disarm(prng_.below(count));
    }

    Prng prng_;
    Duration reach_;
    TimerWheel wheel_;
    std::array<Entry, count> entries_;
    Instant now_ = start;
    Instant before_ = start;
    int fired_ = 0;
};

}  // namespace

TEST_CASE("timers behave like a table of deadlines, never early and at most a tick late") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        // From a few milliseconds to some twenty minutes: all slots of the low levels, and the
        // borders between them.
        Model model(seed, Duration::millis(5) * (std::int64_t{1} << (seed % 18)));
        for (int step = 0; step < 3000; ++step) {
            model.step();
            model.check();
        }
        CHECK(model.fired() > 100);
    }
}

TEST_CASE("each timer fires once, at the first tick behind its deadline") {
    for (const std::int64_t ms :
         {1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4097, 262'144, 262'145, 16'777'216, 20'000'000}) {
        CAPTURE(ms);
        TimerWheel wheel(start);
        Counted counted;
        const Instant deadline = start + Duration::millis(ms);
        wheel.arm(counted.timer, deadline);
        while (counted.fired == 0) {
            const Instant next = wheel.next();
            REQUIRE(next != TimerWheel::never);
            REQUIRE(next < deadline + TimerWheel::tick);
            wheel.advance(next);
            REQUIRE((counted.fired == 0 || next >= deadline));
        }
        wheel.advance(deadline + Duration::seconds(100));
        CHECK(counted.fired == 1);
        CHECK(wheel.armed() == 0);
    }
}

TEST_CASE("a deadline in the past fires with the next tick") {
    TimerWheel wheel(start);
    wheel.advance(start);
    Counted counted;
    wheel.arm(counted.timer, {start.ns - 1'000'000'000});
    CHECK(wheel.next() <= start + TimerWheel::tick);
    wheel.advance(start + TimerWheel::tick);
    CHECK(counted.fired == 1);
}

TEST_CASE("a deadline of never waits, and can be brought forward") {
    TimerWheel wheel(start);
    Counted counted;
    wheel.arm(counted.timer, TimerWheel::never);
    wheel.advance(start + Duration::seconds(3600));
    CHECK(counted.fired == 0);
    const Instant soon = start + Duration::seconds(3601);
    wheel.arm(counted.timer, soon);
    CHECK(wheel.next() < soon + TimerWheel::tick);
    wheel.advance(soon + TimerWheel::tick);
    CHECK(counted.fired == 1);
}

TEST_CASE(
    "a deadline that is moved away again and again costs no work and fires at its last place") {
    TimerWheel wheel(start);
    Counted counted;
    Instant now = start;
    for (int i = 0; i < 1000; ++i) {
        now = now + Duration::millis(7);
        wheel.advance(now);
        wheel.arm(counted.timer, now + Duration::millis(50));
    }
    CHECK(counted.fired == 0);
    wheel.advance(now + Duration::millis(49));
    CHECK(counted.fired == 0);
    wheel.advance(now + Duration::millis(51));
    CHECK(counted.fired == 1);
}

TEST_CASE("after a stop of thirty seconds all that was due fires at once, the rest does not") {
    TimerWheel wheel(start);
    std::vector<std::unique_ptr<Counted>> timers;
    for (int i = 0; i < 600; ++i) {
        timers.push_back(std::make_unique<Counted>());
        wheel.arm(timers.back()->timer, start + Duration::millis(100 * (i + 1)));
    }
    wheel.advance(start + Duration::seconds(30) + TimerWheel::tick);
    for (int i = 0; i < 600; ++i) {
        CAPTURE(i);
        CHECK(timers[static_cast<std::size_t>(i)]->fired == (i < 300 ? 1 : 0));
    }
    CHECK(wheel.armed() == 300);
    for (const auto& counted : timers)
        wheel.disarm(counted->timer);
    CHECK(wheel.next() == TimerWheel::never);
}

TEST_CASE("a wheel that idled for weeks still knows the time") {
    TimerWheel wheel(start);
    wheel.advance(start + Duration::seconds(86'400 * 30));
    const Instant now = start + Duration::seconds(86'400 * 30);
    Counted soon;
    Counted far;
    wheel.arm(soon.timer, now + Duration::millis(3));
    wheel.arm(far.timer, now + Duration::seconds(86'400 * 20));  // beyond the reach of the wheel
    wheel.advance(now + Duration::millis(4));
    CHECK(soon.fired == 1);
    Instant at = now;
    while (far.fired == 0) {
        at = wheel.next();
        REQUIRE(at < now + Duration::seconds(86'400 * 20) + TimerWheel::tick);
        wheel.advance(at);
    }
    CHECK(at >= now + Duration::seconds(86'400 * 20));
}

TEST_CASE("a handler may take a timer of its own tick away") {
    struct Couple {
        explicit Couple(TimerWheel& w)
            : wheel(w),
              first(this, [](void* self) { static_cast<Couple*>(self)->on_fire(); }),
              second(this, [](void* self) { static_cast<Couple*>(self)->on_fire(); }) {}
        void on_fire() {
            ++fired;
            wheel.disarm(first);
            wheel.disarm(second);
        }
        TimerWheel& wheel;
        Timer first;
        Timer second;
        int fired = 0;
    };
    TimerWheel wheel(start);
    Couple couple(wheel);
    wheel.arm(couple.first, start + Duration::millis(5));
    wheel.arm(couple.second, start + Duration::millis(5));
    wheel.advance(start + Duration::millis(10));
    CHECK(couple.fired == 1);
    CHECK(wheel.armed() == 0);
}
