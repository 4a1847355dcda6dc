#include "reading_on.h"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::proxy;

namespace {

constexpr Instant start{1'000'000'000};
constexpr Duration patience = Duration::seconds(5);

ReadingOn begun(Duration span = patience) {
    ReadingOn reading;
    reading.begin(start, span);
    return reading;
}

}  // namespace

TEST_CASE("R11: a client that sends nothing is given up when the patience is over") {
    CHECK(begun().deadline() == start + patience);
}

TEST_CASE("R11: one that drips is given up as if it sent nothing") {
    ReadingOn reading = begun();
    for (int second = 0; second < 5; ++second)
        reading.took(1000, start + Duration::seconds(second));
    CHECK(reading.deadline() == start + patience);
}

TEST_CASE("R11: one that sends at a rate is read on, until the time is over") {
    ReadingOn reading = begun();
    Instant now = start;
    while (now < start + ReadingOn::time_max) {
        REQUIRE(reading.deadline() > now);
        now = now + Duration::seconds(4);
        reading.took(ReadingOn::span_bytes_min, now);
    }
    CHECK(reading.deadline() == start + ReadingOn::time_max);
    CHECK_FALSE(reading.too_much());
}

TEST_CASE("R11: bytes are counted, and there is a most of them") {
    ReadingOn reading = begun();
    reading.took(ReadingOn::bytes_max - 1, start);
    CHECK_FALSE(reading.too_much());
    reading.took(1, start);
    CHECK(reading.too_much());
    reading.begin(start, patience);  // the next request of the connection
    CHECK(reading.bytes() == 0);
}

TEST_CASE("R11: without patience only the time counts") {
    CHECK(begun({}).deadline() == start + ReadingOn::time_max);
}
