#include "sluice/policy/doubts.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

namespace sluice::policy {

bool Doubts::add(const Failure& failure) {
    SLUICE_ASSERT(used_ <= callers_max);
    const std::span known(failures_.data(), used_);
    const bool witnessed = std::ranges::any_of(known, [&](const Failure& other) {
        return other.caller != failure.caller && other.request != failure.request &&
               failure.at - other.at <= memory;
    });
    auto place = std::ranges::find(known, failure.caller, &Failure::caller);
    if (place == known.end()) {
        if (used_ < callers_max) return failures_[used_++] = failure, witnessed;
        place = std::ranges::min_element(known, {}, &Failure::at);
    }
    *place = failure;
    return witnessed;
}

bool Doubts::served(Instant now) {
    served_at_ = now;
    return std::exchange(used_, 0) > 0;
}

Instant Doubts::learn(const Failure& failure) {
    if (failure.at <= served_at_) return served_at_;
    add(failure);
    return {};
}

void Doubts::learn_served(Instant at) {
    served_at_ = std::max(served_at_, at);
    const auto end = failures_.begin() + static_cast<std::ptrdiff_t>(used_);
    const auto left =
        std::remove_if(failures_.begin(), end, [at](const Failure& each) { return each.at <= at; });
    used_ = static_cast<std::size_t>(left - failures_.begin());
}

}  // namespace sluice::policy
