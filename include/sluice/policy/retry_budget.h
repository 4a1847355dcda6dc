// RetryBudget: how many tries beyond the first a shard may make, for all its requests together.
//
// Retries within a pool and hops of a fallback chain are the same here. Two bounds, both hold:
//
//   at once    at most max(floor, percent of the requests in flight). A retry is under way until
//              its token goes; a request that is a client's own retry is one until it is settled.
//   over time  each offered request earns percent of a retry, a retry costs one. Up to saved_max
//              are saved, for a backend that dies under many requests at once. A client's own retry
//              earns nothing and costs one if there is one. So that a quiet box can fail over too,
//              the stock comes back to `floor` by itself, within `refill`.
//
// What follows, for any time of length T in which N requests are offered and all tries fail:
//
//     tries <= N + percent * N + saved_max + floor * (T / refill)
//
// and from the start on with `floor` in place of saved_max: at most 1.2 times what was offered, and
// three, and three more in every ten seconds. With few requests in flight the first bound is the
// lower one: failures that take time leave no room for more.
//
// Tokens are members of what they count, and must not outlive the budget. No allocation.
#pragma once

#include "sluice/base/clock.h"

#include <cstdint>

namespace sluice::policy {

struct RetryBudgetLimits {
    std::uint32_t percent = 20;
    std::uint32_t floor = 3;
    std::uint32_t saved_max = 32;  // at least `floor`
    Duration refill = Duration::seconds(10);
};

class RetryBudget {
public:
    // A request in flight, from its head until it is settled. Empty when default-constructed.
    class [[nodiscard]] Request {
    public:
        Request() = default;
        Request(Request&& other) noexcept;
        Request& operator=(Request&& other) noexcept;
        ~Request() { settle(); }
        void settle();

    private:
        friend class RetryBudget;
        Request(RetryBudget& budget, bool client_retry)
            : budget_(&budget), client_retry_(client_retry) {}

        RetryBudget* budget_ = nullptr;
        bool client_retry_ = false;
    };

    // A try beyond the first, until it ends. Empty, and false, where the budget said no.
    class [[nodiscard]] Retry {
    public:
        Retry() = default;
        Retry(Retry&& other) noexcept;
        Retry& operator=(Retry&& other) noexcept;
        ~Retry() { end(); }
        void end();
        explicit operator bool() const { return budget_ != nullptr; }

    private:
        friend class RetryBudget;
        explicit Retry(RetryBudget& budget) : budget_(&budget) {}

        RetryBudget* budget_ = nullptr;
    };

    struct Counters {
        std::uint64_t granted = 0;
        std::uint64_t refused_at_once = 0;    // too many under way
        std::uint64_t refused_over_time = 0;  // none left
    };

    explicit RetryBudget(const RetryBudgetLimits& limits);
    RetryBudget(const RetryBudget&) = delete;
    RetryBudget& operator=(const RetryBudget&) = delete;
    ~RetryBudget();  // asserts that no token is left

    // `client_retry`: the client says that this is not its first try (x-stainless-retry-count > 0).
    Request offer(bool client_retry);
    Retry take(Instant now);

    // How many retries may be under way now.
    std::uint32_t retries_max() const;
    std::uint32_t in_flight() const { return in_flight_; }
    std::uint32_t under_way() const { return under_way_; }
    const Counters& counters() const { return counters_; }

private:
    static constexpr std::uint64_t retry_cost = 100;  // an offered request earns `percent`

    void refill(Instant now);
    std::uint64_t floor_stock() const { return limits_.floor * retry_cost; }

    RetryBudgetLimits limits_;
    std::uint64_t stock_;  // in parts of retry_cost
    Instant refilled_at_;  // the time up to which the refill has been counted
    std::uint32_t in_flight_ = 0;
    std::uint32_t under_way_ = 0;  // retries, the clients' own included
    Counters counters_;
};

}  // namespace sluice::policy
