#include "sluice/upstream/demand.h"

#include "sluice/base/assert.h"

namespace sluice::upstream {
namespace {

constexpr std::uint8_t all = (1U << Demand::windows) - 1;

}  // namespace

void Demand::roll(Instant now, Duration window) {
    SLUICE_ASSERT(window.ns > 0);
    SLUICE_ASSERT(now >= begun_);
    if (!watching_) return;
    const std::int64_t passed = (now - begun_).ns / window.ns;
    if (passed > windows) return forget();
    for (std::int64_t i = 0; i < passed; ++i) {
        past_ = static_cast<std::uint8_t>((past_ << 1 | (noted_ ? 1 : 0)) & all);
        noted_ = false;
        begun_ = begun_ + window;
    }
    SLUICE_ASSERT(now - begun_ < window);
}

void Demand::note(Instant now, Duration window) {
    roll(now, window);
    SLUICE_ASSERT(!noted_ || watching_);
    if (!watching_) begun_ = now;
    watching_ = noted_ = true;
}

bool Demand::steady(Instant now, Duration window) {
    roll(now, window);
    SLUICE_ASSERT(watching_ || past_ == 0);  // forget() leaves nothing behind
    return past_ == all;
}

}  // namespace sluice::upstream
