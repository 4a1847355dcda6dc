// Demand: whether a pool can count on needing another new link soon.
//
// Pure: time is passed in. Demand is steady when each of the last `windows` whole windows needed a
// new link; one window without is enough to end that. A window is half the time for which a link
// may wait, so what is opened while demand is steady is still there when the next window needs it.
#pragma once

#include "sluice/base/clock.h"

#include <cstdint>

namespace sluice::upstream {

class Demand {
public:
    static constexpr unsigned windows = 3;

    // A request needed a link that had carried none.
    void note(Instant now, Duration window);
    bool steady(Instant now, Duration window);
    // What was expected did not come true, or the backend cannot be reached: look anew.
    void forget() { *this = {}; }

private:
    void roll(Instant now, Duration window);

    Instant begun_;          // the window at hand; meaningless while nothing was noted
    std::uint8_t past_ = 0;  // bit i: the last window but i needed one
    bool noted_ = false;     // the one at hand did
    bool watching_ = false;  // something was noted since the last forget()
};

}  // namespace sluice::upstream
