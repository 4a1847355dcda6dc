#include "sluice/base/clock.h"

#include <doctest/doctest.h>

using sluice::Duration;
using sluice::Instant;

TEST_CASE("durations convert between their units") {
    CHECK(Duration::seconds(2).ns == 2'000'000'000);
    CHECK(Duration::millis(3) == Duration::micros(3000));
    CHECK(Duration::millis(1500).as_micros() == 1'500'000);
    CHECK(Duration::micros(2999).as_millis() == 2);
    CHECK(Duration::millis(5) * 3 / 5 == Duration::millis(3));
    CHECK(Duration::millis(5) - Duration::millis(6) < Duration{});
}

TEST_CASE("the monotonic clock never goes back") {
    Instant last = sluice::monotonic_now();
    for (int i = 0; i < 10'000; ++i) {
        const Instant now = sluice::monotonic_now();
        REQUIRE(now >= last);
        last = now;
    }
    CHECK(last + Duration::seconds(1) - last == Duration::seconds(1));
}

TEST_CASE("the wall clock stands in this century") {
    constexpr std::int64_t year_2020_us = 1'577'836'800'000'000;
    constexpr std::int64_t year_2100_us = 4'102'444'800'000'000;
    CHECK(sluice::wall_now().us > year_2020_us);
    CHECK(sluice::wall_now().us < year_2100_us);
}
