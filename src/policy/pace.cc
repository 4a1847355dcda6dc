#include "sluice/policy/pace.h"

#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::policy {

namespace {

constexpr double weight = 0.25;  // of the newest
constexpr double lengths = 2;    // of a usual answer, and it is over

}  // namespace

void Pace::observe(Duration took, std::uint64_t tokens) {
    SLUICE_ASSERT(took.ns >= 0);
    if (tokens == 0) return;
    const double token_ns = static_cast<double>(took.ns) / static_cast<double>(tokens);
    const double share = learned_ ? weight : 1;
    token_ns_ += (token_ns - token_ns_) * share;
    tokens_ += (static_cast<double>(tokens) - tokens_) * share;
    learned_ = true;
}

Duration Pace::left(std::optional<std::uint64_t> tokens_max, Duration elapsed) const {
    SLUICE_ASSERT(elapsed.ns >= 0);
    double tokens = tokens_ * lengths;
    if (tokens_max) tokens = std::min(tokens, static_cast<double>(*tokens_max));
    const double whole = std::min(tokens * token_ns_, static_cast<double>((left_max + elapsed).ns));
    return std::clamp(Duration{static_cast<std::int64_t>(whole)} - elapsed, left_min, left_max);
}

}  // namespace sluice::policy
