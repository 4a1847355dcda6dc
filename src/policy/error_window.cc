#include "sluice/policy/error_window.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <limits>

namespace sluice::policy {

namespace {

void count_one(std::uint32_t& count) {
    if (count != std::numeric_limits<std::uint32_t>::max()) ++count;
}

}  // namespace

std::int64_t ErrorWindow::number_of(Instant now, Duration window) {
    SLUICE_ASSERT(now.ns >= 0 && window.ns >= 0);
    return now.ns / std::max<std::int64_t>(window.ns / slots, 1);
}

void ErrorWindow::add(bool failed, Instant now, Duration window) {
    const std::int64_t number = number_of(now, window);
    // Time does not go back: the slots have another length now.
    if (number < newest_) clear();
    for (std::int64_t n = std::max(newest_ + 1, number - slots + 1); n <= number; ++n)
        slots_[static_cast<std::size_t>(n % slots)] = {};
    newest_ = number;
    Slot& slot = slots_[static_cast<std::size_t>(number % slots)];
    count_one(slot.requests);
    if (failed) count_one(slot.failures);
}

ErrorCounts ErrorWindow::counts(Instant now, Duration window) const {
    const std::int64_t number = number_of(now, window);
    ErrorCounts sum;
    if (number < newest_) return sum;
    for (std::int64_t n = number - slots + 1; n <= newest_; ++n) {
        if (n < 0) continue;
        const Slot& slot = slots_[static_cast<std::size_t>(n % slots)];
        sum.requests += slot.requests;
        sum.failures += slot.failures;
    }
    SLUICE_ASSERT(sum.failures <= sum.requests);
    return sum;
}

}  // namespace sluice::policy
