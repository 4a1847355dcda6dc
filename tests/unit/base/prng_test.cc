#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>

using sluice::Prng;

TEST_CASE("the same seed gives the same sequence, another seed another one") {
    Prng one(42);
    Prng same(42);
    Prng other(43);
    int equal_to_other = 0;
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t value = one.next();
        CHECK(value == same.next());
        if (value == other.next()) ++equal_to_other;
    }
    CHECK(equal_to_other == 0);
}

TEST_CASE("seed zero is as good as any other") {
    Prng prng(0);
    std::uint64_t seen = 0;
    for (int i = 0; i < 100; ++i)
        seen |= prng.next();
    CHECK(seen == UINT64_MAX);
}

TEST_CASE("below() keeps to its bound and reaches every value about equally often") {
    Prng prng(7);
    std::array<int, 10> hits{};
    constexpr int draws = 100'000;
    for (int i = 0; i < draws; ++i) {
        const std::uint64_t value = prng.below(hits.size());
        REQUIRE(value < hits.size());
        ++hits[value];
    }
    for (const int count : hits) {
        CHECK(count > draws / 10 - 600);
        CHECK(count < draws / 10 + 600);
    }
}

TEST_CASE("between() reaches both its ends") {
    Prng prng(7);
    bool low = false;
    bool high = false;
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t value = prng.between(3, 6);
        REQUIRE(value >= 3);
        REQUIRE(value <= 6);
        low = low || value == 3;
        high = high || value == 6;
    }
    CHECK(low);
    CHECK(high);
    CHECK(prng.between(5, 5) == 5);
}

TEST_CASE("a chance of none never comes, a chance of all always") {
    Prng prng(7);
    for (int i = 0; i < 1000; ++i) {
        CHECK_FALSE(prng.chance(0, 10));
        CHECK(prng.chance(10, 10));
    }
}
