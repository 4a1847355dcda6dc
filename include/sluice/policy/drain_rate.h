// DrainRate: how fast the slots of a pool become free, for the retry-after of a refused request.
//
// Observed, not configured: the moving average of the time between two releases while all slots
// were in use. A time in which a slot stood free says nothing about it and is left out. Time since
// the last release counts as soon as it is longer than the average, so that a backend that hangs
// does not go on promising what it did before. Pure; the answer is bounded.
#pragma once

#include "sluice/base/clock.h"

#include <cstddef>
#include <cstdint>

namespace sluice::policy {

class DrainRate {
public:
    static constexpr Duration retry_after_min = Duration::seconds(1);
    static constexpr Duration retry_after_max = Duration::seconds(120);

    // The last free slot was taken: from here on the time up to a release counts. To be called
    // each time that it happens; harmless when repeated.
    void saturated(Instant now);
    // A slot was given back; `free`: nobody took it over, so the pool is not full any more.
    void released(Instant now, bool free);

    // When a client that finds `waiting` requests before it should ask again.
    Duration retry_after(std::size_t waiting, Instant now) const;
    // Nothing was observed yet.
    bool unknown() const { return mean_ns_ < 0; }

private:
    std::int64_t mean_ns_ = -1;  // between two releases
    Instant since_;              // the last release, or when the pool became full
    bool full_ = false;
};

}  // namespace sluice::policy
