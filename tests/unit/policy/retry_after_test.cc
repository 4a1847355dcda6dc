#include "sluice/policy/retry_after.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::policy;

namespace {

// 1994-11-06 08:49:37 UTC
constexpr WallTime now{784'111'777'000'000};
constexpr std::int64_t none = -1;

// In microseconds; `none` where there is none.
std::int64_t micros(const std::optional<Duration>& span) {
    return span ? span->as_micros() : none;
}

void add(http::Head& head, std::string_view name, std::string_view value) {
    const auto id = http::field_id(name);
    head.storage[head.count++] = {name, value, id};
    head.present.add(id);
}

}  // namespace

TEST_CASE("Retry-After is a span of seconds or a date") {
    struct Case {
        std::string_view value;
        std::int64_t micros;
    };
    const Case cases[] = {
        {"0", 0},
        {"1", 1'000'000},
        {"120", 120'000'000},
        {"007", 7'000'000},
        {"1.5", 1'500'000},
        {"0.000001", 1},
        {"0.00000000000000000000000000001", 0},
        {"3600", 3'600'000'000},
        {"3600.5", 3'600'000'000},
        {"3601", 3'600'000'000},
        {"99999999999999999999999999", 3'600'000'000},
        {"Sun, 06 Nov 1994 08:49:47 GMT", 10'000'000},
        {"Sunday, 06-Nov-94 08:49:47 GMT", 10'000'000},
        {"Sun Nov  6 08:49:47 1994", 10'000'000},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0},  // has passed
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 3'600'000'000},
        {"", none},
        {"-1", none},
        {"+1", none},
        {"1,5", none},
        {".5", none},
        {"5.", none},
        {"1.2.3", none},
        {"1e3", none},
        {"0x10", none},
        {" 1", none},
        {"1s", none},
        {"soon", none},
        {"Sun, 06 Nov 1994", none},
    };
    for (const Case& c : cases) {
        CAPTURE(c.value);
        CHECK(micros(parse_retry_after(c.value, now)) == c.micros);
    }
}

TEST_CASE("the fields of an answer, in the order of the SDKs") {
    struct Case {
        std::string_view ms;
        std::string_view seconds;
        std::int64_t micros;
    };
    const Case cases[] = {
        {"250", "", 250'000},
        {"250", "7", 250'000},
        {"0.5", "7", 500},
        {"never", "7", 7'000'000},
        {"-5", "7", 7'000'000},
        {"", "7", 7'000'000},
        {"99999999999", "7", 3'600'000'000},
        {"", "", none},
    };
    for (const Case& c : cases) {
        CAPTURE(c.ms);
        CAPTURE(c.seconds);
        http::Head head;
        if (!c.ms.empty()) add(head, "Retry-After-Ms", c.ms);
        if (!c.seconds.empty()) add(head, "Retry-After", c.seconds);
        CHECK(micros(read_retry_advice(head, now).after) == c.micros);
        CHECK_FALSE(read_retry_advice(head, now).should_retry.has_value());
    }
}

TEST_CASE("x-should-retry is true, false or nothing") {
    for (const std::string_view value : {"true", "false", "TRUE", "1", ""}) {
        CAPTURE(value);
        http::Head head;
        add(head, "X-Should-Retry", value);
        const auto should = read_retry_advice(head, now).should_retry;
        CHECK(should.has_value() == (value == "true" || value == "false"));
        if (should) CHECK(*should == (value == "true"));
    }
}
