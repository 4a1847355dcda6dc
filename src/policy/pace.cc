#include "sluice/policy/pace.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cmath>

namespace sluice::policy {

namespace {

constexpr double weight = 0.25;  // of the newest

Duration at_most(double ns, Duration most) {
    return {static_cast<std::int64_t>(std::min(ns, static_cast<double>(most.ns)))};
}

}  // namespace

void Pace::observe(Duration took, std::uint64_t tokens) {
    SLUICE_ASSERT(took.ns >= 0);
    if (tokens == 0) return;
    const auto took_ns = static_cast<double>(took.ns);
    // One says nothing of how others differ from it.
    const double deviation = learned_ ? std::abs(took_ns - took_ns_) : took_ns / 2;
    const double share = learned_ ? weight : 1;
    deviation_ns_ += (deviation - deviation_ns_) * share;
    took_ns_ += (took_ns - took_ns_) * share;
    tokens_ += (static_cast<double>(tokens) - tokens_) * share;
    learned_ = true;
}

Duration Pace::left(std::optional<std::uint64_t> tokens_max, Duration elapsed) const {
    SLUICE_ASSERT(elapsed.ns >= 0);
    const double usual_ns = took_ns_ + deviation_ns_;
    // Of means, not the mean of each answer's: a prompt makes the few tokens of a short one slow.
    const double token_ns = took_ns_ / tokens_;
    const double bound_ns = tokens_max ? static_cast<double>(*tokens_max) * token_ns : usual_ns;
    const Duration whole = at_most(std::min(usual_ns, bound_ns), left_max + elapsed);
    return std::clamp(whole - elapsed, at_most(usual_ns / 4, left_min), left_max);
}

}  // namespace sluice::policy
