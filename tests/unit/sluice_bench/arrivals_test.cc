#include "arrivals.h"

#include <doctest/doctest.h>

#include <vector>

using namespace sluice;
using namespace sluice::bench;

namespace {

Instant at(std::int64_t ms) {
    return Instant{} + Duration::millis(ms);
}

}  // namespace

TEST_CASE("an even rate is due at even distances, until the window's end") {
    Arrivals arrivals(100, false, UINT64_MAX, 1);
    arrivals.start(at(0));
    arrivals.set_window(at(0), at(50));
    std::vector<std::int64_t> due;
    while (arrivals.any())
        due.push_back(arrivals.take().ns);
    CHECK(due ==
          std::vector<std::int64_t>{10'000'000, 20'000'000, 30'000'000, 40'000'000, 50'000'000});
}

TEST_CASE("what was due before the window is not of it, and its ends are") {
    Arrivals arrivals(100, false, UINT64_MAX, 1);
    arrivals.start(at(0));
    arrivals.set_window(at(20), at(40));
    std::vector<bool> in;
    while (arrivals.any())
        in.push_back(arrivals.in_window(arrivals.take()));
    CHECK(in == std::vector<bool>{false, true, true, true});
}

TEST_CASE("no more are due than were asked for") {
    Arrivals arrivals(1000, true, 3, 7);
    arrivals.start(at(0));
    for (int i = 0; i < 3; ++i) {
        REQUIRE(arrivals.any());
        arrivals.take();
    }
    CHECK_FALSE(arrivals.any());
}

TEST_CASE("random distances have the rate's mean, and the same seed gives the same ones") {
    constexpr int count = 20'000;
    for (const std::uint64_t seed : {1U, 2U}) {
        Arrivals one(1000, true, UINT64_MAX, seed), same(1000, true, UINT64_MAX, seed);
        one.start(at(0));
        same.start(at(0));
        Instant last = at(0);
        int longer = 0;
        for (int i = 0; i < count; ++i) {
            const Instant due = one.take();
            CHECK(due == same.take());
            longer += due - last > Duration::millis(1) ? 1 : 0;
            last = due;
        }
        // 5 sigma of the sum; exp(-1) of exponential distances are above their mean.
        CHECK(static_cast<double>(last.ns) == doctest::Approx(count * 1e6).epsilon(0.036));
        CHECK(longer == doctest::Approx(count * 0.3679).epsilon(0.05));
    }
}
