#include "sluice/policy/rests.h"

#include <doctest/doctest.h>

using namespace sluice;
using policy::Rests;

TEST_CASE("R2: the last word about a credential counts") {
    Rests rests;
    const Instant now = Instant{} + Duration::seconds(1000);
    CHECK(rests.empty());
    rests.add(1, Duration::seconds(60), now);
    CHECK_FALSE(rests.empty());
    CHECK(rests.end_of(1) == now + Duration::seconds(60));
    CHECK(rests.end_of(2) == Instant{});
    rests.add(1, Duration::seconds(2), now);
    CHECK(rests.end_of(1) == now + Duration::seconds(2));
    rests.add(1, std::nullopt, now);
    CHECK(rests.end_of(1) == now + Rests::unsaid);
}

TEST_CASE("R2: credentials that nobody has seen lately are forgotten, the first to end first") {
    Rests rests;
    const Instant now = Instant{} + Duration::seconds(1000);
    for (std::uint64_t i = 1; i <= Rests::credentials_max; ++i)
        rests.add(i, Duration::seconds(static_cast<std::int64_t>(100 + i)), now);
    rests.add(1000, Duration::seconds(500), now);
    CHECK(rests.end_of(1) == Instant{});
    CHECK(rests.end_of(2) > now);
    CHECK(rests.end_of(1000) == now + Duration::seconds(500));
}
