#include "sluice/http/date.h"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::http;

namespace {

constexpr std::int64_t us = 1'000'000;
// 2026-09-01 00:00:00 UTC
constexpr WallTime now{1'788'220'800 * us};

std::int64_t seconds(std::string_view text, WallTime at = now) {
    const auto time = parse_date(text, at);
    REQUIRE_MESSAGE(time.has_value(), text);
    CHECK(time->us % us == 0);
    return time->us / us;
}

}  // namespace

TEST_CASE("the three forms of a date say the same") {
    constexpr std::int64_t moment = 784'111'777;  // the example of RFC 9110
    CHECK(seconds("Sun, 06 Nov 1994 08:49:37 GMT") == moment);
    CHECK(seconds("Sunday, 06-Nov-94 08:49:37 GMT") == moment);
    CHECK(seconds("Sun Nov  6 08:49:37 1994") == moment);
    CHECK(seconds("Sun Nov 16 08:49:37 1994") == moment + 10 * 86'400);
}

TEST_CASE("dates at the borders of months, years and leap days") {
    struct Case {
        std::string_view text;
        std::int64_t seconds;
    };
    const Case cases[] = {
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Tue, 29 Feb 2000 12:00:00 GMT", 951'825'600},
        {"Wed, 01 Mar 2000 00:00:00 GMT", 951'868'800},
        {"Thu, 29 Feb 2024 00:00:00 GMT", 1'709'164'800},
        {"Tue, 01 Sep 2026 00:00:00 GMT", 1'788'220'800},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1'483'228'800},  // a leap second
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253'402'300'799},
    };
    for (const Case& c : cases) {
        CAPTURE(c.text);
        CHECK(seconds(c.text) == c.seconds);
    }
}

TEST_CASE("a year of two digits is at most 50 years ahead") {
    CHECK(seconds("Tuesday, 01-Sep-26 00:00:00 GMT") == now.us / us);
    CHECK(seconds("Tuesday, 01-Sep-76 00:00:00 GMT") == 3'366'144'000);  // 2076
    CHECK(seconds("Thursday, 01-Sep-77 00:00:00 GMT") == 241'920'000);   // 1977
    CHECK(seconds("Friday, 31-Dec-99 00:00:00 GMT", {0}) == 946'598'400);
}

TEST_CASE("what is no date is refused") {
    for (const std::string_view text : {"",
                                        "Sun",
                                        "120",
                                        "Sun, 6 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 Nov 1994 08:49:37 UTC",
                                        "Sun, 06 Nov 1994 08:49:37 GMT ",
                                        " Sun, 06 Nov 1994 08:49:37 GMT",
                                        "sun, 06 nov 1994 08:49:37 gmt",
                                        "Sun, 06 Nov 1994 24:00:00 GMT",
                                        "Sun, 06 Nov 1994 08:60:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:61 GMT",
                                        "Sun, 00 Nov 1994 08:49:37 GMT",
                                        "Thu, 31 Nov 1994 08:49:37 GMT",
                                        "Wed, 29 Feb 2023 00:00:00 GMT",
                                        "Sun, 06 Nvo 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 94 08:49:37 GMT",
                                        "Sun, 06-Nov-94 08:49:37 GMT",
                                        "Sunday, 06-Nov-1994 08:49:37 GMT",
                                        "Sun Nov 6 08:49:37 1994",
                                        "Sun Nov  6 08:49:37 1994 GMT",
                                        "Sun Nov  6 08:49:37 94",
                                        "Xyz, 06 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov -994 08:49:37 GMT",
                                        "Sun, 29 Feb 1900 00:00:00 GMT",
                                        "1994-11-06T08:49:37Z"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_date(text, now).has_value());
    }
}
