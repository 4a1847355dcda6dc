#include "sluice/policy/doubts.h"

#include <doctest/doctest.h>

using namespace sluice;
using policy::Doubts;

TEST_CASE("R1: a failure counts when another caller failed with another request") {
    Doubts doubts;
    const Instant now = Instant{} + Duration::seconds(1000);
    CHECK_FALSE(doubts.add(1, 10, now));
    CHECK_FALSE(doubts.add(1, 11, now));  // one caller, whatever it sends
    CHECK_FALSE(doubts.add(2, 11, now));  // the last of the first caller was the same request
    CHECK(doubts.add(2, 12, now));
    CHECK(doubts.add(1, 13, now));
}

TEST_CASE("R1: who is served, and time, take doubts away") {
    Doubts doubts;
    Instant now = Instant{} + Duration::seconds(1000);
    CHECK_FALSE(doubts.add(1, 10, now));
    doubts.clear();
    CHECK_FALSE(doubts.add(2, 20, now));
    now = now + Doubts::memory;
    CHECK(doubts.add(3, 30, now));
    now = now + Doubts::memory + Duration::millis(1);
    CHECK_FALSE(doubts.add(4, 40, now));
}

TEST_CASE("R1: of many callers the last ones are remembered") {
    Doubts doubts;
    Instant now = Instant{} + Duration::seconds(1000);
    // All with the same request: none is another's witness.
    for (std::uint64_t caller = 1; caller <= 3 * Doubts::callers_max; ++caller) {
        now = now + Duration::millis(1);
        CHECK_FALSE(doubts.add(caller, 7, now));
    }
    CHECK(doubts.add(1000, 8, now));
}
