#include "sluice/policy/retry_budget.h"

#include <doctest/doctest.h>

#include <type_traits>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Instant start{Duration::seconds(500).ns};

static_assert(!std::is_copy_constructible_v<RetryBudget::Request>);
static_assert(!std::is_copy_constructible_v<RetryBudget::Retry>);
static_assert(!std::is_copy_assignable_v<RetryBudget::Retry>);

std::vector<RetryBudget::Request> offer(RetryBudget& budget, std::size_t count,
                                        bool client_retry = false) {
    std::vector<RetryBudget::Request> requests;
    for (std::size_t i = 0; i < count; ++i)
        requests.push_back(budget.offer(client_retry));
    return requests;
}

// As many as the budget gives at that moment.
std::vector<RetryBudget::Retry> take_all(RetryBudget& budget, Instant now = start) {
    std::vector<RetryBudget::Retry> retries;
    for (;;) {
        RetryBudget::Retry retry = budget.take(now);
        if (!retry) return retries;
        retries.push_back(std::move(retry));
    }
}

// A budget whose stock is full.
struct Full {
    Full() { offer(budget, limits.saved_max * 100 / limits.percent); }
    RetryBudgetLimits limits;
    RetryBudget budget{limits};
};

}  // namespace

TEST_CASE("at once: a share of the requests in flight, but at least the floor") {
    struct Row {
        std::size_t in_flight;
        std::size_t retries;
    };
    const Row rows[] = {{0, 3},  {1, 3},  {5, 3},   {15, 3},   {19, 3},   {20, 4},
                        {24, 4}, {25, 5}, {64, 12}, {100, 20}, {160, 32}, {159, 31}};
    for (const Row& row : rows) {
        CAPTURE(row.in_flight);
        Full full;
        const auto requests = offer(full.budget, row.in_flight);
        CHECK(full.budget.in_flight() == row.in_flight);
        const auto retries = take_all(full.budget);
        CHECK(retries.size() == row.retries);
        CHECK(full.budget.under_way() == row.retries);
        CHECK(full.budget.counters().granted == row.retries);
    }
}

TEST_CASE("a token is held until it ends, and moves") {
    Full full;
    auto retries = take_all(full.budget);
    REQUIRE(retries.size() == 3);
    CHECK_FALSE(static_cast<bool>(full.budget.take(start)));
    CHECK(full.budget.counters().refused_at_once == 2);
    retries[0].end();
    retries[0].end();  // is empty now
    CHECK(full.budget.under_way() == 2);
    RetryBudget::Retry retry = full.budget.take(start);
    CHECK(static_cast<bool>(retry));
    RetryBudget::Retry moved = std::move(retry);
    CHECK(full.budget.under_way() == 3);
    moved = std::move(retries[1]);  // its own ends
    CHECK(full.budget.under_way() == 2);
    moved = RetryBudget::Retry();
    CHECK(full.budget.under_way() == 1);

    RetryBudget::Request request = full.budget.offer(true);
    RetryBudget::Request other = std::move(request);
    CHECK(full.budget.in_flight() == 1);
    CHECK(full.budget.under_way() == 2);
    other = full.budget.offer(false);
    CHECK(full.budget.in_flight() == 1);
    CHECK(full.budget.under_way() == 1);
    other.settle();
    other.settle();
    CHECK(full.budget.in_flight() == 0);
}

TEST_CASE("over time: what is earned, saved up to a bound") {
    struct Row {
        std::size_t offered;
        std::size_t retries;  // one after the other, at the same moment
    };
    const Row rows[] = {{0, 3},  {4, 3},    {5, 4},    {9, 4},
                        {10, 5}, {100, 23}, {145, 32}, {10'000, 32}};
    for (const Row& row : rows) {
        CAPTURE(row.offered);
        RetryBudget budget({});
        offer(budget, row.offered);
        std::size_t granted = 0;
        while (budget.take(start))
            ++granted;
        CHECK(granted == row.retries);
        CHECK(budget.counters().refused_over_time == 1);
    }
}

TEST_CASE("a client's own retries count as retries under way and cost one each") {
    Full full;
    const auto requests = offer(full.budget, 50);
    CHECK(full.budget.retries_max() == 10);
    {
        const auto client_retries = offer(full.budget, 8, true);
        CHECK(full.budget.under_way() == 8);
        CHECK(full.budget.retries_max() == 11);
        CHECK(take_all(full.budget).size() == 3);
    }
    CHECK(full.budget.under_way() == 0);
    // 32 saved, 8 of the clients and 3 of ours are spent.
    std::size_t granted = 0;
    while (full.budget.take(start))
        ++granted;
    CHECK(granted == 21);
    // They cannot take more than there is: what is earned afterwards is there.
    offer(full.budget, 1000, true);
    offer(full.budget, 10);
    CHECK(take_all(full.budget).size() == 2);
}

TEST_CASE("a quiet box has its floor back after a while") {
    RetryBudget budget({});
    CHECK(take_all(budget).size() == 3);
    struct Row {
        std::int64_t after_ms;  // since the last row
        std::size_t retries;
    };
    const Row rows[] = {{0, 0},      {3'300, 0}, {40, 1}, {3'300, 0},     {40, 1},
                        {10'000, 3}, {9'999, 2}, {1, 1},  {1'000'000, 3}, {3'000, 0}};
    Instant now = start;
    for (const Row& row : rows) {
        now = now + Duration::millis(row.after_ms);
        CAPTURE((now - start).as_millis());
        CHECK(take_all(budget, now).size() == row.retries);
    }
    // Many calls that get nothing do not keep it from filling.
    std::size_t granted = 0;
    const Instant from = now;
    while (now - from < Duration::seconds(100)) {
        now = now + Duration::micros(7);
        granted += budget.take(now) ? 1u : 0u;
    }
    CHECK(granted >= 30);
    CHECK(granted <= 31);
}

TEST_CASE(
    "a backend that dies under half of 64 requests: 12 retries at once, the rest after them") {
    Full full;
    const auto requests = offer(full.budget, 64);
    std::size_t left = 32;
    std::size_t rounds = 0;
    while (left > 0) {
        const std::size_t granted = take_all(full.budget).size();
        REQUIRE(granted > 0);
        left -= std::min(left, granted);
        ++rounds;
    }
    CHECK(rounds == 3);
}
