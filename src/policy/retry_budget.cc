#include "sluice/policy/retry_budget.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::policy {

RetryBudget::Request::Request(Request&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), client_retry_(other.client_retry_) {}

RetryBudget::Request& RetryBudget::Request::operator=(Request&& other) noexcept {
    if (this != &other) {
        settle();
        budget_ = std::exchange(other.budget_, nullptr);
        client_retry_ = other.client_retry_;
    }
    return *this;
}

void RetryBudget::Request::settle() {
    if (budget_ == nullptr) return;
    SLUICE_ASSERT(budget_->in_flight_ > 0);
    --budget_->in_flight_;
    if (client_retry_) {
        SLUICE_ASSERT(budget_->under_way_ > 0);
        --budget_->under_way_;
    }
    budget_ = nullptr;
}

RetryBudget::Retry::Retry(Retry&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)) {}

RetryBudget::Retry& RetryBudget::Retry::operator=(Retry&& other) noexcept {
    if (this != &other) {
        end();
        budget_ = std::exchange(other.budget_, nullptr);
    }
    return *this;
}

void RetryBudget::Retry::end() {
    if (budget_ == nullptr) return;
    SLUICE_ASSERT(budget_->under_way_ > 0);
    --budget_->under_way_;
    budget_ = nullptr;
}

RetryBudget::RetryBudget(const RetryBudgetLimits& limits)
    : limits_(limits), stock_(limits.floor * retry_cost) {
    SLUICE_ASSERT(limits.saved_max >= limits.floor);
    SLUICE_ASSERT(limits.percent <= retry_cost && limits.refill.ns > 0);
}

RetryBudget::~RetryBudget() {
    SLUICE_ASSERT(in_flight_ == 0);
    SLUICE_ASSERT(under_way_ == 0);
}

RetryBudget::Request RetryBudget::offer(bool client_retry) {
    ++in_flight_;
    if (client_retry) {
        ++under_way_;
        // Never below nothing: a client that calls every request a retry must not owe for others.
        stock_ -= std::min(stock_, retry_cost);
    } else {
        stock_ = std::min(stock_ + limits_.percent, limits_.saved_max * retry_cost);
    }
    return {*this, client_retry};
}

RetryBudget::Retry RetryBudget::take(Instant now) {
    refill(now);
    if (under_way_ >= retries_max()) {
        ++counters_.refused_at_once;
        return {};
    }
    if (stock_ < retry_cost) {
        ++counters_.refused_over_time;
        return {};
    }
    stock_ -= retry_cost;
    ++under_way_;
    ++counters_.granted;
    return Retry(*this);
}

std::uint32_t RetryBudget::retries_max() const {
    const std::uint64_t share = std::uint64_t{in_flight_} * limits_.percent / 100;
    return std::max(limits_.floor, static_cast<std::uint32_t>(share));
}

// Time counts only while the stock is below its floor.
void RetryBudget::refill(Instant now) {
    const std::uint64_t full = floor_stock();
    const Duration passed = std::min(now - refilled_at_, limits_.refill);
    if (stock_ >= full || passed.ns <= 0) {
        refilled_at_ = std::max(refilled_at_, now);
        return;
    }
    // Whole parts only: what is less stays for the next time, or many calls would never fill it.
    const auto part_ns =
        std::max<std::int64_t>(limits_.refill.ns / static_cast<std::int64_t>(full), 1);
    const std::int64_t parts = passed.ns / part_ns;
    stock_ = std::min(stock_ + static_cast<std::uint64_t>(parts), full);
    refilled_at_ = Instant{now.ns - (passed.ns - parts * part_ns)};
}

}  // namespace sluice::policy
