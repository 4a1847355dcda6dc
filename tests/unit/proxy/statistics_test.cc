#include "sluice/proxy/statistics.h"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::proxy;

TEST_CASE("a duration falls into the first bucket that holds it") {
    Histogram<OverheadBounds> histogram;
    histogram.observe(Duration{});
    histogram.observe(Duration::micros(1));  // the bound itself belongs to its bucket
    histogram.observe(Duration{1001});       // a nanosecond more does not
    histogram.observe(Duration::seconds(1));
    histogram.observe(Duration::seconds(2));
    CHECK(histogram.in_bucket(0) == 2);
    CHECK(histogram.in_bucket(1) == 1);
    CHECK(histogram.in_bucket(OverheadBounds::upper.size() - 1) == 1);
    CHECK(histogram.in_bucket(OverheadBounds::upper.size()) == 1);
    CHECK(histogram.sum_ns() == 1000 + 1001 + 3'000'000'000);
    histogram.observe(Duration{-5});  // a clock that went back adds nothing
    CHECK(histogram.sum_ns() == 1000 + 1001 + 3'000'000'000);
}

TEST_CASE("bounds ascend") {
    for (std::size_t i = 1; i < RequestBounds::upper.size(); ++i)
        CHECK(RequestBounds::upper[i - 1] < RequestBounds::upper[i]);
    for (std::size_t i = 1; i < OverheadBounds::upper.size(); ++i)
        CHECK(OverheadBounds::upper[i - 1] < OverheadBounds::upper[i]);
}

TEST_CASE("what two shards counted adds up, row by row") {
    Statistics one;
    Statistics two;
    for (Statistics* each : {&one, &two}) {
        each->connections = 1;
        each->refused_clients = 2;
        each->exchanges_begun = 3;
        each->retries = 4;
        each->uncounted = 5;
        each->exchanges_ended[static_cast<std::size_t>(End::ok)] = 6;
        each->exchanges_ended[static_cast<std::size_t>(End::drained)] = 7;
        Served& row = each->row("", "m", "http://b");
        row.requests[5][static_cast<std::size_t>(End::timeout)] = 8;
        row.prompt_tokens = 9;
        row.completion_tokens = 10;
        row.cached_tokens = 11;
        each->duration.observe(Duration::millis(1));
        each->first_token.observe(Duration::millis(1));
        each->between_tokens.observe(Duration::millis(1));
        each->overhead.observe(Duration::millis(1));
    }
    two.row("", "m", "http://c").prompt_tokens = 1;
    one.add(two);
    CHECK(one.connections == 2);
    CHECK(one.refused_clients == 4);
    CHECK(one.exchanges_begun == 6);
    CHECK(one.retries == 8);
    CHECK(one.uncounted == 10);
    CHECK(one.settled() == 26);
    CHECK(one.served.size() == 2);
    const Served& row = one.row("", "m", "http://b");
    CHECK(row.requests[5][static_cast<std::size_t>(End::timeout)] == 16);
    CHECK(row.prompt_tokens == 18);
    CHECK(row.completion_tokens == 20);
    CHECK(row.cached_tokens == 22);
    CHECK(one.row("", "m", "http://c").prompt_tokens == 1);
    CHECK(one.duration.in_bucket(0) == 2);
    CHECK(one.first_token.sum_ns() == 2'000'000);
    CHECK(one.between_tokens.sum_ns() == 2'000'000);
    CHECK(one.overhead.sum_ns() == 2'000'000);
}

TEST_CASE("every way to end has a name of its own") {
    for (std::size_t i = 0; i < ends; ++i) {
        CHECK_FALSE(std::string_view(end_name(static_cast<End>(i))).empty());
        for (std::size_t j = 0; j < i; ++j)
            CHECK(std::string_view(end_name(static_cast<End>(i))) != end_name(static_cast<End>(j)));
    }
}
