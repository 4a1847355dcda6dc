#include "sluice/policy/drain_rate.h"

#include <doctest/doctest.h>

#include <limits>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Instant start{5'000'000'000};

// A full pool in which a slot becomes free every `interval`, and is taken at once.
Instant run_full(DrainRate& rate, Instant now, Duration interval, int releases) {
    rate.saturated(now);
    for (int i = 0; i < releases; ++i) {
        now = now + interval;
        rate.released(now, false);
    }
    return now;
}

bool near(Duration a, Duration b) {
    const std::int64_t off = a.ns > b.ns ? a.ns - b.ns : b.ns - a.ns;
    return off <= b.ns / 50;
}

}  // namespace

TEST_CASE("drain rate: nothing observed yet") {
    const DrainRate rate;
    CHECK(rate.unknown());
    CHECK(rate.retry_after(0, start) == Duration::seconds(1));
    CHECK(rate.retry_after(4, start) == Duration::seconds(5));
    // A guess keeps nobody away for two minutes.
    CHECK(rate.retry_after(10'000, start) == Duration::seconds(10));
}

TEST_CASE("drain rate: what was observed, and its bounds") {
    struct Row {
        Duration interval;
        std::size_t waiting;
        Duration expected;
    };
    const Row table[] = {
        {Duration::millis(500), 0, Duration::seconds(1)},
        {Duration::millis(500), 9, Duration::seconds(5)},
        {Duration::seconds(2), 9, Duration::seconds(20)},
        {Duration::seconds(2), 1000, Duration::seconds(120)},
        {Duration::seconds(600), 0, Duration::seconds(120)},
        {Duration{0}, 1000, Duration::seconds(1)},
        {Duration::millis(1), std::numeric_limits<std::size_t>::max(), Duration::seconds(120)},
    };
    for (const Row& row : table) {
        CAPTURE(row.interval.ns);
        CAPTURE(row.waiting);
        DrainRate rate;
        const Instant now = run_full(rate, start, row.interval, 40);
        CHECK(near(rate.retry_after(row.waiting, now), row.expected));
    }
}

TEST_CASE("drain rate: the last releases count, a single one does not") {
    DrainRate rate;
    Instant now = run_full(rate, start, Duration::seconds(1), 40);
    now = run_full(rate, now, Duration::seconds(5), 1);
    CHECK(near(rate.retry_after(9, now), Duration::seconds(15)));
    now = run_full(rate, now, Duration::seconds(5), 30);
    CHECK(near(rate.retry_after(9, now), Duration::seconds(49)));
    now = run_full(rate, now, Duration::millis(500), 50);
    CHECK(near(rate.retry_after(9, now), Duration::seconds(5)));
}

TEST_CASE("drain rate: time with a free slot does not count") {
    DrainRate rate;
    Instant now = run_full(rate, start, Duration::seconds(1), 40);
    rate.released(now, true);
    const Duration before = rate.retry_after(9, now);
    // An hour in which few requests came, each with a slot of its own.
    for (int i = 0; i < 60; ++i) {
        now = now + Duration::seconds(60);
        rate.released(now, true);
    }
    CHECK(rate.retry_after(9, now) == before);
    // Full again: the time up to the first release counts from here.
    rate.saturated(now);
    now = now + Duration::seconds(1);
    rate.saturated(now);
    rate.released(now, false);
    CHECK(near(rate.retry_after(9, now), before));
}

TEST_CASE("drain rate: a backend that hangs makes it longer at once") {
    DrainRate rate;
    Instant now = run_full(rate, start, Duration::seconds(1), 40);
    now = now + Duration::seconds(8);
    CHECK(near(rate.retry_after(4, now), Duration::seconds(40)));
    now = now + Duration::seconds(3600);
    CHECK(rate.retry_after(0, now) == Duration::seconds(120));
}
