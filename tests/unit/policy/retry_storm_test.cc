// The bounds of retry_budget.h under storms: every try fails, clients and arrivals of many kinds,
// and every failed try asks for another. A failure prints its seed.
#include "sluice/base/prng.h"
#include "sluice/policy/retry_budget.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <queue>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Duration length = Duration::seconds(60);

struct Pattern {
    std::string_view name;
    int clients;
    Duration think;        // between two requests of a client
    Duration burst_every;  // else: they all come together, at multiples of it
    Duration try_length;   // until a try fails
    int sdk_retries;       // of the client's own, each with its count in the head
    bool obeys;            // x-should-retry: false
};

constexpr Pattern patterns[] = {
    {"200 clients, refused at once",
     200,
     Duration::millis(500),
     {},
     Duration::micros(200),
     2,
     true},
    {"200 clients that retry whatever they are told",
     200,
     Duration::millis(500),
     {},
     Duration::micros(200),
     2,
     false},
    {"200 clients, slow failures", 200, Duration::millis(500), {}, Duration::seconds(2), 2, true},
    {"200 clients, slow failures, retrying",
     200,
     Duration::seconds(1),
     {},
     Duration::millis(300),
     2,
     false},
    {"bursts", 200, {}, Duration::seconds(5), Duration::millis(10), 0, true},
    {"bursts of retrying clients", 100, {}, Duration::seconds(15), Duration::millis(50), 2, false},
    {"one client", 1, Duration::seconds(1), {}, Duration::millis(1), 2, true},
    {"one client that never stops", 1, Duration::micros(100), {}, Duration::micros(10), 0, true},
    {"a few slow ones", 8, Duration::seconds(3), {}, Duration::seconds(1), 2, false},
};

struct Arrival {
    Instant at;
    bool client_retry;
};

class Storm {
public:
    Storm(const Pattern& pattern, std::uint64_t seed) : pattern_(pattern), prng_(seed) {
        for (int i = 0; i < pattern.clients; ++i)
            send_later(first_time(), 0);
    }

    void run() {
        while (!events_.empty() && events_.top().at.ns <= length.ns) {
            const Event event = events_.top();
            events_.pop();
            now_ = event.at;
            event.exchange < 0 ? arrive(event.client_tries) : try_failed(event.exchange);
            check_at_once();
        }
    }

    std::vector<Arrival> arrivals;
    std::vector<Instant> retries;  // of the gateway

private:
    struct Event {
        Instant at;
        int exchange = -1;  // a try of it fails; below 0: a client sends
        int client_tries = 0;
        bool operator<(const Event& other) const { return at > other.at; }  // earliest first
    };
    struct Exchange {
        RetryBudget::Request request;
        RetryBudget::Retry retry;
        int client_tries = 0;
    };

    Duration around(Duration span) {
        return {static_cast<std::int64_t>(prng_.between(
            static_cast<std::uint64_t>(span.ns) / 2, static_cast<std::uint64_t>(span.ns) * 3 / 2))};
    }
    Instant first_time() {
        if (pattern_.burst_every.ns > 0) return Instant{} + pattern_.burst_every;
        return Instant{} + Duration{static_cast<std::int64_t>(
                               prng_.below(static_cast<std::uint64_t>(pattern_.think.ns)))};
    }
    Instant next_time() {
        if (pattern_.burst_every.ns == 0) return now_ + around(pattern_.think);
        const std::int64_t every = pattern_.burst_every.ns;
        return {(now_.ns / every + 1) * every};
    }
    void send_later(Instant at, int client_tries) { events_.push({at, -1, client_tries}); }
    void fail_later(int exchange) {
        events_.push({now_ + around(pattern_.try_length), exchange, 0});
    }

    void arrive(int client_tries) {
        arrivals.push_back({now_, client_tries > 0});
        int slot = 0;
        if (free_.empty()) {
            slot = static_cast<int>(exchanges_.size());
            exchanges_.emplace_back();
        } else {
            slot = free_.back();
            free_.pop_back();
        }
        Exchange& exchange = exchanges_[static_cast<std::size_t>(slot)];
        exchange.client_tries = client_tries;
        exchange.request = budget_.offer(client_tries > 0);
        fail_later(slot);
    }

    void try_failed(int slot) {
        Exchange& exchange = exchanges_[static_cast<std::size_t>(slot)];
        ours_ -= exchange.retry ? 1u : 0u;
        exchange.retry.end();
        exchange.retry = budget_.take(now_);
        if (exchange.retry) {
            ++ours_;
            retries.push_back(now_);
            return fail_later(slot);
        }
        exchange.request.settle();
        free_.push_back(slot);
        const bool again = !pattern_.obeys && exchange.client_tries < pattern_.sdk_retries;
        if (!again) return send_later(next_time(), 0);
        const Duration backoff = Duration::millis(500) * (std::int64_t{1} << exchange.client_tries);
        send_later(now_ + around(backoff), exchange.client_tries + 1);
    }

    void check_at_once() {
        most_in_flight_ = std::max(most_in_flight_, budget_.in_flight());
        // Only ours are bounded: a client's own retry is never refused here.
        if (ours_ <= budget_.under_way() && ours_ <= std::max(3u, most_in_flight_ / 5)) return;
        FAIL_CHECK("too many retries at once: " << ours_);
    }

    const Pattern& pattern_;
    Prng prng_;
    RetryBudget budget_{RetryBudgetLimits{}};
    std::vector<Exchange> exchanges_;
    std::vector<int> free_;
    std::priority_queue<Event> events_;
    Instant now_;
    std::uint32_t ours_ = 0;  // retries under way that are the gateway's
    std::uint32_t most_in_flight_ = 0;
};

// How many of a sorted list are in [from, to].
template <class T, class At>
std::int64_t count_between(const std::vector<T>& list, Instant from, Instant to, At at) {
    return std::count_if(list.begin(), list.end(),
                         [&](const T& one) { return at(one) >= from && at(one) <= to; });
}

void check_bound(const Storm& storm, Instant from, Instant to, std::uint32_t saved) {
    const RetryBudgetLimits limits;
    const auto offered =
        count_between(storm.arrivals, from, to, [](const Arrival& a) { return a.at; });
    const auto first = std::count_if(
        storm.arrivals.begin(), storm.arrivals.end(),
        [&](const Arrival& a) { return !a.client_retry && a.at >= from && a.at <= to; });
    const auto retries = count_between(storm.retries, from, to, [](Instant at) { return at; });
    const double by_time = static_cast<double>(limits.floor) * static_cast<double>((to - from).ns) /
                           static_cast<double>(limits.refill.ns);
    const double earned = static_cast<double>(first) * limits.percent / 100;
    CHECK(static_cast<double>(retries) <= earned + saved + by_time + 1e-6);
    CHECK(static_cast<double>(offered + retries) <=
          1.2 * static_cast<double>(offered) + saved + by_time + 1e-6);
}

}  // namespace

TEST_CASE("in a storm the tries are at most 1.2 times what is offered, and a constant") {
    const RetryBudgetLimits limits;
    for (const Pattern& pattern : patterns) {
        for (std::uint64_t seed = 1; seed <= 2; ++seed) {
            CAPTURE(pattern.name);
            CAPTURE(seed);
            Storm storm(pattern, seed);
            storm.run();
            REQUIRE_FALSE(storm.arrivals.empty());
            // From the start, up to any time.
            Prng prng(seed);
            for (int i = 1; i <= 40; ++i)
                check_bound(storm, {0}, Instant{} + length * i / 40, limits.floor);
            // Any time in between.
            for (int i = 0; i < 200; ++i) {
                const auto a =
                    static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>(length.ns)));
                const auto b =
                    static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>(length.ns)));
                check_bound(storm, {std::min(a, b)}, {std::max(a, b)}, limits.saved_max);
            }
        }
    }
}

TEST_CASE("a storm's bound is not reached by refusing everything") {
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
        CAPTURE(seed);
        Storm storm(patterns[0], seed);
        storm.run();
        // Failures at once leave room: nearly all that is earned is used.
        CHECK(storm.arrivals.size() > 10'000);
        CHECK(static_cast<double>(storm.retries.size()) >
              0.19 * static_cast<double>(storm.arrivals.size()));
        // The retries of clients that do not obey take the place of ours.
        Storm stubborn(patterns[1], seed);
        stubborn.run();
        CHECK(stubborn.retries.size() < storm.retries.size() / 10);
        Storm quiet(patterns[8], seed);
        quiet.run();
        CHECK(quiet.retries.size() >= 3);
    }
}
