// Arrivals: when the requests of an open loop are due, and which of them a window of time holds.
//
// Pure. Requests are due one after another, at even distances or at random ones, as those of many
// independent users are; none is ever left out because a server is slow. The window's ends belong
// to it. Nothing is due after the window: what is asked for then would be measured nowhere.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/base/clock.h"
#include "sluice/base/prng.h"

#include <cmath>
#include <cstdint>

namespace sluice::bench {

class Arrivals {
public:
    Arrivals(double rate, bool poisson, std::uint64_t count_max, std::uint64_t seed)
        : mean_ns_(1e9 / rate), poisson_(poisson), left_(count_max), prng_(seed) {
        SLUICE_ASSERT(rate > 0);
    }

    // The first request is due a distance after `now`.
    void start(Instant now) { next_ = now + distance(); }
    void set_window(Instant begin, Instant end) {
        SLUICE_ASSERT(begin <= end);
        begin_ = begin;
        end_ = end;
    }
    bool in_window(Instant due) const { return begin_ <= due && due <= end_; }
    Instant end() const { return end_; }

    bool any() const { return left_ > 0 && next_ <= end_; }
    Instant next() const { return next_; }
    // Goes on to the one behind it.
    Instant take() {
        SLUICE_ASSERT(any());
        const Instant due = next_;
        next_ = next_ + distance();
        --left_;
        return due;
    }

private:
    Duration distance() {
        if (!poisson_) return {static_cast<std::int64_t>(mean_ns_)};
        const double uniform = (static_cast<double>(prng_.next() >> 11) + 1) * 0x1p-53;
        return {static_cast<std::int64_t>(-std::log(uniform) * mean_ns_)};
    }

    double mean_ns_;
    bool poisson_;
    std::uint64_t left_;
    Prng prng_;
    Instant next_;
    Instant begin_{INT64_MIN};
    Instant end_{INT64_MAX};
};

}  // namespace sluice::bench
