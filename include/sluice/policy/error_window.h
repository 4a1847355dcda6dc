// ErrorWindow: how many requests ended, and how many of them badly, within the last while.
//
// A ring of time slots with integers; nothing is allocated. A count leaves as its slot does, so the
// window is between nine and ten tenths as long as it is asked to be. Counts that would be more
// than 32 bits stay at their largest.
#pragma once

#include "sluice/base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::policy {

struct ErrorCounts {
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;
};

class ErrorWindow {
public:
    static constexpr std::int64_t slots = 10;

    // Every call must name the same window; after a change of it the counts begin anew.
    void add(bool failed, Instant now, Duration window);
    ErrorCounts counts(Instant now, Duration window) const;
    void clear() { slots_ = {}; }

private:
    struct Slot {
        std::uint32_t requests = 0;
        std::uint32_t failures = 0;
    };
    static std::int64_t number_of(Instant now, Duration window);

    std::array<Slot, slots> slots_{};
    std::int64_t newest_ = 0;  // number of the slot that was added to last, since the clock's zero
};

}  // namespace sluice::policy
