#include "sluice/policy/doubts.h"

#include <doctest/doctest.h>

using namespace sluice;
using policy::Doubts;

TEST_CASE("R1: a failure counts when another caller failed with another request") {
    Doubts doubts;
    const Instant now = Instant{} + Duration::seconds(1000);
    CHECK_FALSE(doubts.add({1, 10, now}));
    CHECK_FALSE(doubts.add({1, 11, now}));  // one caller, whatever it sends
    CHECK_FALSE(doubts.add({2, 11, now}));  // the last of the first caller was the same request
    CHECK(doubts.add({2, 12, now}));
    CHECK(doubts.add({1, 13, now}));
}

TEST_CASE("R1: who is served, and time, take doubts away") {
    Doubts doubts;
    Instant now = Instant{} + Duration::seconds(1000);
    CHECK_FALSE(doubts.add({1, 10, now}));
    CHECK(doubts.served(now));
    CHECK_FALSE(doubts.served(now));
    CHECK_FALSE(doubts.add({2, 20, now}));
    now = now + Doubts::memory;
    CHECK(doubts.add({3, 30, now}));
    now = now + Doubts::memory + Duration::millis(1);
    CHECK_FALSE(doubts.add({4, 40, now}));
}

TEST_CASE("R1: of many callers the last ones are remembered") {
    Doubts doubts;
    Instant now = Instant{} + Duration::seconds(1000);
    // All with the same request: none is another's witness.
    for (std::uint64_t caller = 1; caller <= 3 * Doubts::callers_max; ++caller) {
        now = now + Duration::millis(1);
        CHECK_FALSE(doubts.add({caller, 7, now}));
    }
    CHECK(doubts.add({1000, 8, now}));
}

TEST_CASE("R1: what other shards saw counts as what this one did") {
    Doubts here;
    Doubts there;
    const Instant now = Instant{} + Duration::seconds(1000);
    const auto later = [now](std::int64_t millis) { return now + Duration::millis(millis); };
    CHECK_FALSE(here.add({1, 10, later(0)}));
    CHECK(there.learn({1, 10, later(0)}) == Instant{});
    CHECK(there.add({2, 20, later(1)}));
    CHECK(here.learn({2, 20, later(1)}) == Instant{});
    // Somebody is served there: of what failed before nothing counts, here either.
    CHECK(there.served(later(2)));
    here.learn_served(later(2));
    CHECK_FALSE(here.add({3, 30, later(3)}));
    // Somebody was served here before the message came: the others are to know.
    Doubts well;
    CHECK_FALSE(well.served(later(5)));
    CHECK(well.learn({3, 30, later(3)}) == later(5));
    here.learn_served(later(5));
    CHECK_FALSE(here.add({4, 40, later(6)}));
    CHECK_FALSE(well.add({5, 50, later(7)}));
}
