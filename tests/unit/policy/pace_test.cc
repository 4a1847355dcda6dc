#include "sluice/policy/pace.h"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Duration second = Duration::seconds(1);

}  // namespace

TEST_CASE("R12: what is left is twice a usual answer, or what the bound allows") {
    Pace pace;
    for (int i = 0; i < 20; ++i)
        pace.observe(second * 10, 100);
    CHECK(pace.left({}, {}) == second * 20);
    CHECK(pace.left({}, second * 5) == second * 15);
    CHECK(pace.left(1000, {}) == second * 20);
    CHECK(pace.left(50, {}) == second * 5);
    CHECK(pace.left(50, second * 3) == second * 2);
    // What should be over may still be going on.
    CHECK(pace.left(50, second * 60) == Pace::left_min);
    CHECK(pace.left(0, {}) == Pace::left_min);
}

TEST_CASE("R12: it follows what a server does, and stays within its bounds") {
    Pace pace;
    const Duration unknown = pace.left({}, {});
    CHECK(unknown >= Pace::left_min);
    CHECK(unknown <= second * 10);
    pace.observe(second * 40, 10);
    CHECK(pace.left({}, {}) == second * 80);
    for (int i = 0; i < 50; ++i)
        pace.observe(Duration::millis(100), 10);
    CHECK(pace.left({}, {}) == Pace::left_min);
    for (int i = 0; i < 50; ++i)
        pace.observe(second * 3600, 1'000'000);
    CHECK(pace.left({}, {}) == Pace::left_max);
    CHECK(pace.left(UINT64_MAX, second * 100'000) == Pace::left_min);
    // An answer without tokens says nothing.
    const Duration before = pace.left(7, {});
    pace.observe(second * 9, 0);
    CHECK(pace.left(7, {}) == before);
}
