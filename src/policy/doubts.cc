#include "sluice/policy/doubts.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <span>

namespace sluice::policy {

bool Doubts::add(std::uint64_t caller, std::uint64_t request, Instant now) {
    SLUICE_ASSERT(used_ <= callers_max);
    const std::span known(failures_.data(), used_);
    const bool witnessed = std::ranges::any_of(known, [&](const Failure& failure) {
        return failure.caller != caller && failure.request != request && now - failure.at <= memory;
    });
    auto place = std::ranges::find(known, caller, &Failure::caller);
    if (place == known.end()) {
        if (used_ < callers_max) return failures_[used_++] = {caller, request, now}, witnessed;
        place = std::ranges::min_element(known, {}, &Failure::at);
    }
    *place = {caller, request, now};
    return witnessed;
}

}  // namespace sluice::policy
