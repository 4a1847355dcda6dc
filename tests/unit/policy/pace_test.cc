#include "sluice/policy/pace.h"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Duration second = Duration::seconds(1);

}  // namespace

TEST_CASE("R12: what is left is a usual answer, or what the bound allows") {
    Pace pace;
    for (int i = 0; i < 100; ++i)
        pace.observe(second * 10, 100);
    const auto about = [](Duration left, Duration expected) {
        return left >= expected && left <= expected + Duration::millis(10);
    };
    CHECK(about(pace.left({}, {}), second * 10));
    CHECK(about(pace.left({}, second * 5), second * 5));
    CHECK(about(pace.left(1000, {}), second * 10));
    CHECK(pace.left(50, {}) == second * 5);
    CHECK(pace.left(50, second * 3) == second * 2);
    // What should be over may still be going on.
    CHECK(pace.left(50, second * 60) == Pace::left_min);
    CHECK(pace.left(0, {}) == Pace::left_min);
}

TEST_CASE("R12: where answers differ, as much more as they do") {
    Pace pace;
    for (int i = 0; i < 100; ++i)
        pace.observe(second * (i % 2 == 0 ? 5 : 15), i % 2 == 0 ? 50 : 150);
    CHECK(pace.left({}, {}) >= second * 14);
    CHECK(pace.left({}, {}) <= second * 18);
    CHECK(pace.left(120, {}) <= second * 13);
    // One alone says little: the next may be half as long again.
    Pace one;
    one.observe(second * 10, 100);
    CHECK(one.left({}, {}) == second * 15);
}

TEST_CASE("R12: short answers between long ones do not make these longer") {
    Pace pace;
    // 600 tokens in 6 s; a title of 1 in 200 ms, most of it for its prompt.
    for (int i = 0; i < 100; ++i)
        pace.observe(i % 2 == 0 ? second * 6 : Duration::millis(200), i % 2 == 0 ? 600 : 1);
    CHECK(pace.left({}, {}) >= second * 5);
    CHECK(pace.left({}, {}) <= second * 7);
    CHECK(pace.left(300, {}) >= second * 3);
    CHECK(pace.left(300, {}) <= second * 4);
}

TEST_CASE("R12: it follows what a server does, and stays within its bounds") {
    Pace pace;
    const Duration unknown = pace.left({}, {});
    CHECK(unknown >= Pace::left_min);
    CHECK(unknown <= second * 10);
    pace.observe(second * 40, 10);
    CHECK(pace.left({}, {}) == second * 60);
    for (int i = 0; i < 50; ++i)
        pace.observe(Duration::millis(100), 10);
    CHECK(pace.left({}, {}) >= Duration::millis(100));
    CHECK(pace.left({}, {}) <= Duration::millis(110));
    // The least is not much for those that are quick.
    CHECK(pace.left({}, second) >= Duration::millis(25));
    CHECK(pace.left({}, second) <= Duration::millis(30));
    for (int i = 0; i < 50; ++i)
        pace.observe(second * 3600, 1'000'000);
    CHECK(pace.left({}, {}) == Pace::left_max);
    CHECK(pace.left(UINT64_MAX, second * 100'000) == Pace::left_min);
    // An answer without tokens says nothing.
    const Duration before = pace.left(7, {});
    pace.observe(second * 9, 0);
    CHECK(pace.left(7, {}) == before);
}
