#include "sluice/policy/drain_rate.h"

#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::policy {

namespace {

// The last eight releases or so: a model that was swapped shows soon, one long answer does not.
constexpr std::int64_t weight_of_old = 7;
constexpr std::int64_t weight_of_all = 8;
// Before anything was observed: an answer is some seconds long, a pool has some slots.
constexpr Duration interval_assumed = Duration::seconds(1);
// A guess keeps nobody away for long.
constexpr Duration guess_max = Duration::seconds(10);

}  // namespace

void DrainRate::saturated(Instant now) {
    if (full_) return;
    full_ = true;
    since_ = now;
}

void DrainRate::released(Instant now, bool free) {
    if (full_) {
        SLUICE_ASSERT(now >= since_);
        const std::int64_t interval = (now - since_).ns;
        // By parts, so that no interval can overflow.
        mean_ns_ = unknown() ? interval
                             : mean_ns_ / weight_of_all * weight_of_old +
                                   mean_ns_ % weight_of_all * weight_of_old / weight_of_all +
                                   interval / weight_of_all;
    }
    since_ = now;
    full_ = !free;
}

Duration DrainRate::retry_after(std::size_t waiting, Instant now) const {
    std::int64_t interval = unknown() ? interval_assumed.ns : mean_ns_;
    if (full_ && now > since_) interval = std::max(interval, (now - since_).ns);
    interval = std::min(interval, retry_after_max.ns);
    // More requests than seconds in the bound change nothing.
    const std::int64_t places = static_cast<std::int64_t>(
        std::min<std::size_t>(waiting, static_cast<std::size_t>(1) << 20));
    const Duration expected{interval * (places + 1)};
    const Duration most = unknown() ? guess_max : retry_after_max;
    return std::clamp(expected, retry_after_min, most);
}

}  // namespace sluice::policy
