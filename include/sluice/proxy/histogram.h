// Histogram of durations: plain counters, one shard's thread only; summed across shards by readers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sluice/base/clock.h"

namespace sluice::proxy {

// `Bounds` is an object with a static constexpr array `upper` of Durations, ascending; what is
// larger than the last one falls into a bucket of its own.
template <class Bounds>
class Histogram {
public:
    static constexpr std::size_t buckets = Bounds::upper.size() + 1;

    void observe(Duration value) {
        std::size_t at = 0;
        while (at < Bounds::upper.size() && value > Bounds::upper[at]) ++at;
        ++counts_[at];
        sum_ns_ += static_cast<std::uint64_t>(value.ns > 0 ? value.ns : 0);
    }

    void add(const Histogram& other) {
        for (std::size_t i = 0; i < buckets; ++i) counts_[i] += other.counts_[i];
        sum_ns_ += other.sum_ns_;
    }

    std::uint64_t in_bucket(std::size_t i) const { return counts_[i]; }
    std::uint64_t sum_ns() const { return sum_ns_; }

private:
    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t sum_ns_ = 0;
};

// Local prefill of a long prompt and the load of a large model take minutes.
struct RequestBounds {
    static constexpr std::array upper = {
        Duration::millis(1),    Duration::micros(2500), Duration::millis(5),
        Duration::millis(10),   Duration::millis(25),   Duration::millis(50),
        Duration::millis(100),  Duration::millis(250),  Duration::millis(500),
        Duration::seconds(1),   Duration::micros(2'500'000), Duration::seconds(5),
        Duration::seconds(10),  Duration::seconds(30),  Duration::seconds(60),
        Duration::seconds(120), Duration::seconds(300), Duration::seconds(600)};
};

struct OverheadBounds {
    static constexpr std::array upper = {
        Duration::micros(1),   Duration::micros(2),   Duration::micros(5),
        Duration::micros(10),  Duration::micros(20),  Duration::micros(50),
        Duration::micros(100), Duration::micros(200), Duration::micros(500),
        Duration::millis(1),   Duration::millis(5),   Duration::millis(10),
        Duration::millis(100), Duration::seconds(1)};
};

}  // namespace sluice::proxy
