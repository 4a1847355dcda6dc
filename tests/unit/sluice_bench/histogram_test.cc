#include "histogram.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using sluice::Prng;
using sluice::bench::Histogram;

namespace {

// The definition that percentile() approximates: the smallest value that at least so many of all
// values do not exceed.
std::uint64_t exact_percentile(std::vector<std::uint64_t> values, double percent) {
    std::ranges::sort(values);
    const auto rank = static_cast<std::size_t>(
        std::ceil(percent / 100 * static_cast<double>(values.size()) - 1e-6));
    return values[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

TEST_CASE("an empty histogram answers zero to everything") {
    const Histogram histogram;
    CHECK(histogram.count() == 0);
    CHECK(histogram.min() == 0);
    CHECK(histogram.max() == 0);
    CHECK(histogram.mean() == 0);
    CHECK(histogram.percentile(50) == 0);
}

TEST_CASE("values below 512 are kept exactly") {
    Histogram histogram;
    for (std::uint64_t value = 0; value < 512; ++value)
        histogram.record(value);
    std::uint64_t expected = 0;
    histogram.for_each([&](std::uint64_t low, std::uint64_t high, std::uint64_t count) {
        CHECK(low == expected);
        CHECK(high == expected);
        CHECK(count == 1);
        ++expected;
    });
    CHECK(expected == 512);
    CHECK(histogram.percentile(50) == 255);
    CHECK(histogram.percentile(100) == 511);
}

TEST_CASE("every value lies in its bucket, and no bucket is wider than 1/256 of its values") {
    for (unsigned shift = 0; shift <= 42; ++shift)
        for (const std::int64_t offset : {-1, 0, 1}) {
            const auto value = static_cast<std::uint64_t>((std::int64_t{1} << shift) + offset);
            if (value > Histogram::value_max) continue;
            Histogram histogram;
            histogram.record(value);
            histogram.for_each([&](std::uint64_t low, std::uint64_t high, std::uint64_t) {
                CHECK(low <= value);
                CHECK(value <= high);
                CHECK((high - low) * 256 <= value);
            });
        }
}

TEST_CASE("buckets follow each other without gap or overlap") {
    Histogram histogram;
    Prng prng(7);
    for (int i = 0; i < 20'000; ++i)
        histogram.record(prng.next() >> prng.between(22, 60));
    std::uint64_t behind = 0;
    std::uint64_t counted = 0;
    histogram.for_each([&](std::uint64_t low, std::uint64_t high, std::uint64_t count) {
        CHECK(low >= behind);
        CHECK(high >= low);
        behind = high + 1;
        counted += count;
    });
    CHECK(counted == histogram.count());
}

TEST_CASE("percentiles agree with a sort to within 0.4 %") {
    Prng prng(42);
    Histogram histogram;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 10'000; ++i) {
        values.push_back(prng.next() >> prng.between(24, 50));
        histogram.record(values.back());
    }
    for (const double percent : {0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
        const auto exact = static_cast<double>(exact_percentile(values, percent));
        const auto read = static_cast<double>(histogram.percentile(percent));
        CAPTURE(percent);
        CHECK(read >= exact);
        CHECK(read <= exact * 1.004 + 1);
    }
    CHECK(histogram.max() == std::ranges::max(values));
    CHECK(histogram.min() == std::ranges::min(values));
}

TEST_CASE("a percentile counts values, so that 99.9 % of 1000 is the 999th") {
    Histogram histogram;
    for (int i = 0; i < 999; ++i)
        histogram.record(10);
    histogram.record(500);
    CHECK(histogram.percentile(99.9) == 10);
    CHECK(histogram.percentile(99.91) == 500);
}

TEST_CASE("what is too large counts as the largest value") {
    Histogram histogram;
    histogram.record(UINT64_MAX);
    CHECK(histogram.max() == Histogram::value_max);
    CHECK(histogram.percentile(50) == Histogram::value_max);
}

TEST_CASE("a sum of histograms is the histogram of all values") {
    Histogram all, even, odd;
    for (std::uint64_t i = 1; i <= 1000; ++i) {
        all.record(i * i * i);
        (i % 2 == 0 ? even : odd).record(i * i * i);
    }
    even.add(odd);
    CHECK(even.count() == all.count());
    CHECK(even.mean() == all.mean());
    CHECK(even.min() == all.min());
    CHECK(even.max() == all.max());
    for (const double percent : {10.0, 50.0, 99.0})
        CHECK(even.percentile(percent) == all.percentile(percent));
    even.clear();
    CHECK(even.count() == 0);
    CHECK(even.percentile(99) == 0);
}
