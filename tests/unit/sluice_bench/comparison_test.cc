#include "comparison.h"

#include <doctest/doctest.h>

using namespace sluice::bench;

namespace {

Measured measured(std::uint64_t requests, double seconds, std::int64_t cpu_ns = 0) {
    Measured result;
    result.seconds = seconds;
    result.tally.requests = requests;
    for (std::uint64_t i = 0; i < requests; ++i)
        result.tally.latency.record(1000);
    if (cpu_ns != 0) result.used = ProcessUsage{.cpu_ns = cpu_ns};
    return result;
}

}  // namespace

TEST_CASE("the median of an even number of figures lies between the two in the middle") {
    CHECK(spread_of({}).count == 0);
    CHECK(spread_of({3}).median == 3);
    const auto even = spread_of({4, 1, 3, 2});
    CHECK(even.median == 2.5);
    CHECK(even.low == 1);
    CHECK(even.high == 4);
    CHECK(spread_of({9, 1, 5}).median == 5);
}

TEST_CASE("rates are a second, processor time is a request") {
    const auto metrics = metrics_of(measured(500, 2, 5'000'000));
    CHECK(find(metrics, "requests_per_s")->value == 250);
    CHECK(find(metrics, "cpu_us_per_request")->value == 10);
    CHECK(find(metrics, "cpu_percent")->value == doctest::Approx(0.25));
    CHECK(find(metrics, "latency_p50_us")->value == doctest::Approx(1).epsilon(0.01));
}

TEST_CASE("what was not measured is not shown") {
    const auto metrics = metrics_of(measured(500, 2));
    CHECK(find(metrics, "cpu_us_per_request") == nullptr);
    CHECK(find(metrics, "events_per_s") == nullptr);
    CHECK(find(metrics, "delay_p50_us") == nullptr);
}

TEST_CASE("ratios are formed within a round, then the median is taken") {
    Comparison comparison({"first", "second"});
    // The machine's speed changes from round to round; the ratio does not.
    for (const std::uint64_t speed : {100U, 400U, 50U}) {
        comparison.add(0, measured(speed, 1));
        comparison.add(1, measured(speed * 3 / 2, 1));
    }
    comparison.add(0, measured(100, 1));
    comparison.add(1, measured(300, 1));
    const auto ratio = comparison.ratios(1, "requests_per_s");
    CHECK(ratio.median == 1.5);
    CHECK(ratio.low == 1.5);
    CHECK(ratio.high == 3);
    CHECK(ratio.count == 4);
    CHECK(comparison.ratios(0, "requests_per_s").median == 1);
    CHECK(comparison.differences(1, "requests_per_s").low == 25);
    CHECK(comparison.values(1, "requests_per_s").median == 225);
}

TEST_CASE("a figure of one side only is a value without a ratio") {
    Comparison comparison({"direct", "gateway"});
    comparison.add(0, measured(100, 1));
    comparison.add(1, measured(100, 1, 1'000'000));
    CHECK(comparison.values(1, "cpu_us_per_request").median == 10);
    CHECK(comparison.ratios(1, "cpu_us_per_request").count == 0);
    bool listed = false;
    for (const auto& metric : comparison.keys())
        listed |= metric.key == "cpu_us_per_request";
    CHECK(listed);
}
