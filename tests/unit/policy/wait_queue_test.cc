#include "sluice/policy/wait_queue.h"

#include "allocations.h"
#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr Duration age = Duration::seconds(2);

struct Request final : Waiter {
    std::string name;
    std::uint8_t priority = 0;
    ConsumerKey consumer = 0;
};

// A queue that is told in words: "a1" is a request of consumer a; "a1@3" one in class 3.
class Script {
public:
    explicit Script(std::size_t waiting_max) : queue_(waiting_max, age) {}
    ~Script() {
        while (!queue_.empty())
            queue_.pop_next();
    }

    bool push(std::string_view word) {
        auto& request = *requests_.emplace_back(std::make_unique<Request>());
        const std::size_t at = word.find('@');
        request.name = word.substr(0, at);
        request.consumer = static_cast<ConsumerKey>(word[0]);
        if (at != std::string_view::npos)
            std::from_chars(word.data() + at + 1, word.data() + word.size(), request.priority);
        return queue_.try_push(request, request.priority, request.consumer, now_);
    }
    void push_all(std::string_view words) {
        for_words(words, [&](std::string_view word) { REQUIRE(push(word)); });
    }
    void remove_all(std::string_view words) {
        for_words(words, [&](std::string_view word) { queue_.remove(find(word)); });
    }
    std::string pop() { return static_cast<Request&>(queue_.pop_next()).name; }
    std::string pop_all() {
        std::string order;
        while (!queue_.empty())
            order += (order.empty() ? "" : " ") + pop();
        return order;
    }
    std::size_t position(std::string_view word) { return queue_.position(find(word)); }
    WaitQueue& queue() { return queue_; }
    void wait(Duration time) { now_ = now_ + time; }

private:
    template <class F>
    static void for_words(std::string_view words, F&& f) {
        while (!words.empty()) {
            const std::size_t end = std::min(words.find(' '), words.size());
            const std::string word(words.substr(0, end));
            f(word);
            words.remove_prefix(std::min(end + 1, words.size()));
        }
    }
    Request& find(std::string_view name) {
        for (const auto& request : requests_)
            if (request->name == name && request->waiting()) return *request;
        FAIL("nobody of that name waits");
        std::abort();
    }

    std::vector<std::unique_ptr<Request>> requests_;
    WaitQueue queue_;
    Instant now_;
};

struct Order {
    std::string_view pushed;
    std::string_view removed;
    std::string_view popped;
};

const Order orders[] = {
    {"", "", ""},
    {"a1", "", "a1"},
    // --- one consumer: by arrival ---
    {"a1 a2 a3", "", "a1 a2 a3"},
    {"a1 a2 a3", "a1", "a2 a3"},
    {"a1 a2 a3", "a2", "a1 a3"},
    {"a1 a2 a3", "a3", "a1 a2"},
    {"a1 a2 a3", "a2 a1 a3", ""},
    // --- consumers take turns ---
    {"a1 a2 a3 b1", "", "a1 b1 a2 a3"},
    {"a1 a2 a3 b1 b2 c1", "", "a1 b1 c1 a2 b2 a3"},
    {"b1 a1 b2 a2", "", "b1 a1 b2 a2"},
    {"a1 a2 a3 b1 b2", "a1", "a2 b1 a3 b2"},
    // One that leaves and comes again stands behind the others.
    {"a1 b1 b2", "a1", "b1 b2"},
    // --- classes first ---
    {"a1@5 b1@2 c1@2 a2@0", "", "a2 b1 c1 a1"},
    {"a1@1 a2@1 a3@0 b1@1 b2@0", "", "a3 b2 a1 b1 a2"},
    {"a1@15 a2@15 b1@15 c1@14", "c1", "a1 b1 a2"},
};

}  // namespace

TEST_CASE("queue: the order") {
    for (const Order& row : orders) {
        CAPTURE(row.pushed);
        CAPTURE(row.removed);
        Script script(32);
        script.push_all(row.pushed);
        script.remove_all(row.removed);
        CHECK(script.pop_all() == row.popped);
        CHECK(script.queue().flows() == 0);
    }
}

TEST_CASE("queue: who comes back has earned nothing") {
    Script script(32);
    script.push_all("a1 a2 a3 a4 a5 a6");
    CHECK(script.pop() == "a1");
    CHECK(script.pop() == "a2");
    // b waits for the first time after a was served twice: it is not served twice for that.
    script.push_all("b1 b2 b3");
    CHECK(script.pop_all() == "a3 b1 a4 b2 a5 b3 a6");
    // b had nothing waiting while a was served.
    script.push_all("b4 b5 a7");
    CHECK(script.pop() == "b4");
    script.remove_all("b5");
    script.push_all("b6 b7");
    CHECK(script.pop_all() == "a7 b6 b7");
}

TEST_CASE("queue: the bound is exact") {
    for (const std::size_t bound : {1U, 2U, 3U, 64U, 65U, 2000U}) {
        CAPTURE(bound);
        Script script(bound);
        for (std::size_t i = 0; i < bound; ++i)
            REQUIRE(script.push(i % 3 == 0 ? "a" : "b"));
        CHECK(!script.push("c"));
        CHECK(!script.push("a"));
        CHECK(script.queue().size() == bound);
        script.pop();
        CHECK(script.push("c"));
        CHECK(!script.push("c"));
        script.remove_all("c");
        CHECK(script.queue().size() == bound - 1);
        CHECK(script.push("a"));
        CHECK(!script.push("b"));
    }
}

namespace {

// What the order means, said as plainly as can be: lists that are searched and copied.
class Model {
public:
    void push(int id, std::uint8_t priority, ConsumerKey consumer) {
        entries_.push_back({id, priority, consumer});
        const Turn turn{priority, consumer};
        if (std::ranges::find(turns_, turn) == turns_.end()) turns_.push_back(turn);
    }
    void remove(int id) {
        const auto at = std::ranges::find(entries_, id, &Entry::id);
        const Turn turn{at->priority, at->consumer};
        entries_.erase(at);
        if (!waits(turn)) std::erase(turns_, turn);
    }
    int pop() {
        std::uint8_t first = 255;
        for (const Entry& entry : entries_)
            first = std::min(first, entry.priority);
        const auto at = std::ranges::find(turns_, first, &Turn::priority);
        const Turn turn = *at;
        turns_.erase(at);
        const auto entry = std::ranges::find_if(entries_, [&](const Entry& e) {
            return e.priority == turn.priority && e.consumer == turn.consumer;
        });
        const int id = entry->id;
        entries_.erase(entry);
        if (waits(turn)) turns_.push_back(turn);
        return id;
    }
    // The ids in the order in which they would be popped.
    std::vector<int> order() const {
        Model copy = *this;
        std::vector<int> ids;
        while (!copy.entries_.empty())
            ids.push_back(copy.pop());
        return ids;
    }
    std::size_t size() const { return entries_.size(); }
    int id_at(std::size_t index) const { return entries_[index].id; }

private:
    struct Entry {
        int id;
        std::uint8_t priority;
        ConsumerKey consumer;
    };
    struct Turn {
        std::uint8_t priority;
        ConsumerKey consumer;
        bool operator==(const Turn&) const = default;
    };
    bool waits(const Turn& turn) const {
        return std::ranges::any_of(entries_, [&](const Entry& entry) {
            return entry.priority == turn.priority && entry.consumer == turn.consumer;
        });
    }

    std::vector<Entry> entries_;
    std::vector<Turn> turns_;
};

void compare_with_model(std::uint64_t seed) {
    CAPTURE(seed);
    Prng prng(seed);
    const std::size_t bound = prng.between(1, 24);
    const std::uint64_t classes = prng.between(1, 4);
    const std::uint64_t consumers = prng.between(1, 6);
    std::array<Request, 200> requests;
    WaitQueue queue(bound, age);
    Model model;
    int next = 0;
    const auto number = [&](Waiter& waiter) {
        return static_cast<int>(static_cast<Request*>(&waiter) - requests.data());
    };
    while (next < static_cast<int>(requests.size())) {
        const std::uint64_t dice = prng.below(10);
        if (dice < 6) {
            Request& request = requests[next];
            const auto priority = static_cast<std::uint8_t>(prng.below(classes));
            const ConsumerKey consumer = prng.below(consumers);
            const bool pushed = queue.try_push(request, priority, consumer, {});
            REQUIRE(pushed == (model.size() < bound));
            if (pushed) model.push(next, priority, consumer);
            ++next;
        } else if (model.size() > 0 && dice < 8) {
            REQUIRE(number(queue.pop_next()) == model.pop());
        } else if (model.size() > 0) {
            const int id = model.id_at(prng.below(model.size()));
            queue.remove(requests[id]);
            REQUIRE(!requests[id].waiting());
            model.remove(id);
        }
        REQUIRE(queue.size() == model.size());
        const std::vector<int> order = model.order();
        for (std::size_t i = 0; i < order.size(); ++i)
            REQUIRE(queue.position(requests[order[i]]) == i + 1);
    }
    while (!queue.empty())
        REQUIRE(number(queue.pop_next()) == model.pop());
    REQUIRE(queue.flows() == 0);
}

}  // namespace

TEST_CASE("queue: order and positions against a plain model, cancelled anywhere") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed)
        compare_with_model(seed);
}

namespace {

struct Served {
    std::array<int, 2> requests{};
};

// Two consumers that always have something waiting, however many of whom, with some giving up.
Served serve_two(std::uint64_t seed) {
    Prng prng(seed);
    const std::size_t bound = prng.between(20, 100);
    std::vector<Request> requests(bound);
    std::vector<Request*> free;
    for (Request& request : requests)
        free.push_back(&request);
    const std::uint64_t share = prng.between(1, 99);  // of the arrivals that are consumer 0's
    WaitQueue queue(bound, age);
    std::array<std::vector<Request*>, 2> waiting;
    const auto push = [&](std::size_t consumer) {
        if (free.empty()) return;
        Request* request = free.back();
        free.pop_back();
        request->consumer = consumer;
        REQUIRE(queue.try_push(*request, 3, consumer, {}));
        waiting[consumer].push_back(request);
    };
    Served served;
    for (int turn = 0; turn < 1000; ++turn) {
        for (std::uint64_t n = prng.below(4); n > 0; --n)
            push(prng.chance(share, 100) ? 0 : 1);
        for (std::size_t consumer = 0; consumer < 2; ++consumer) {
            auto& own = waiting[consumer];
            if (own.size() > 2 && prng.chance(1, 5)) {
                const std::size_t at = prng.below(own.size());
                queue.remove(*own[at]);
                free.push_back(own[at]);
                own.erase(own.begin() + static_cast<std::ptrdiff_t>(at));
            }
            // One of them at least is always there.
            if (own.empty() && free.empty()) {
                auto& other = waiting[1 - consumer];
                queue.remove(*other.back());
                free.push_back(other.back());
                other.pop_back();
            }
            while (own.size() < 2 && !free.empty())
                push(consumer);
        }
        auto& request = static_cast<Request&>(queue.pop_next());
        ++served.requests[request.consumer];
        std::erase(waiting[request.consumer], &request);
        free.push_back(&request);
    }
    while (!queue.empty())
        queue.pop_next();
    return served;
}

}  // namespace

TEST_CASE("queue: two consumers are served alike, whatever the mix") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        const Served served = serve_two(seed);
        const double first = served.requests[0];
        const double second = served.requests[1];
        CAPTURE(first);
        CAPTURE(second);
        CHECK(std::abs(first - second) <= 0.1 * std::min(first, second));
    }
}

TEST_CASE("queue: many consumers are served alike, one request a round") {
    constexpr std::size_t consumers = 50;
    constexpr std::size_t each = 20;
    std::vector<Request> requests(consumers * each);
    WaitQueue queue(requests.size(), age);
    Prng prng(7);
    // Each pushes all of its own at once, in a random order of requests over all.
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < requests.size(); ++i)
        order.insert(order.begin() + static_cast<std::ptrdiff_t>(prng.below(i + 1)), i);
    for (const std::size_t i : order) {
        requests[i].consumer = i % consumers;
        REQUIRE(queue.try_push(requests[i], 0, requests[i].consumer, {}));
    }
    for (std::size_t round = 0; round < each; ++round) {
        std::array<int, consumers> seen{};
        for (std::size_t i = 0; i < consumers; ++i)
            ++seen[static_cast<Request&>(queue.pop_next()).consumer];
        CHECK(std::ranges::all_of(seen, [](int n) { return n == 1; }));
    }
}

TEST_CASE("queue: waiting allocates nothing once the slab has grown") {
    std::array<Request, 40> requests;
    WaitQueue queue(requests.size(), age);
    const auto fill_and_empty = [&] {
        for (std::size_t i = 0; i < requests.size(); ++i)
            REQUIRE(queue.try_push(requests[i], 0, i, {}));
        CHECK(queue.flows() == requests.size());
        queue.remove(requests[11]);
        CHECK(queue.position(requests[39]) == 39);
        while (!queue.empty())
            queue.pop_next();
    };
    fill_and_empty();
    const std::size_t before = test::allocations().count;
    fill_and_empty();
    CHECK(test::allocations().count == before);
}

TEST_CASE("R18: what has waited its class times the age goes before all that comes then") {
    struct Row {
        int wait_ms;  // between the two
        std::string_view first;
        std::string_view second;
        std::string_view popped;
    };
    const Row rows[] = {
        {1999, "a1@1", "b1@0", "b1 a1"},    {2000, "a1@1", "b1@0", "b1 a1"},
        {2001, "a1@1", "b1@0", "a1 b1"},    {29'999, "a1@15", "b1@0", "b1 a1"},
        {30'001, "a1@15", "b1@0", "a1 b1"}, {2001, "a1@15", "b1@14", "a1 b1"},
        {1999, "a1@15", "b1@14", "b1 a1"},  {60'000, "a1@0", "b1@15", "a1 b1"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.wait_ms);
        CAPTURE(row.first);
        Script script(8);
        script.push_all(row.first);
        script.wait(Duration::millis(row.wait_ms));
        script.push_all(row.second);
        CHECK(script.pop_all() == row.popped);
    }
}

TEST_CASE("R18: under an endless flood of the first class the last one waits no longer than said") {
    for (const std::uint8_t priority : {std::uint8_t{1}, std::uint8_t{8}, std::uint8_t{15}}) {
        CAPTURE(priority);
        constexpr std::size_t in_line = 20;
        WaitQueue queue(in_line + 1, age);
        std::vector<std::unique_ptr<Request>> requests;
        Instant now;
        const auto push = [&](std::uint8_t its_class, ConsumerKey consumer) {
            requests.push_back(std::make_unique<Request>());
            REQUIRE(queue.try_push(*requests.back(), its_class, consumer, now));
            return requests.back().get();
        };
        for (std::size_t i = 0; i < in_line; ++i)
            push(0, i % 3);
        Request* const poor = push(priority, 77);
        const Duration service = Duration::millis(100);
        // What was in line when it was due; and a turn of each consumer before and behind that,
        // which newer requests of theirs may take.
        const Duration bound{age.ns * priority +
                             service.ns * static_cast<std::int64_t>(in_line + 2 * 3)};
        bool served = false;
        while (!served) {
            now = now + service;
            REQUIRE(now - Instant{} <= bound);
            served = &queue.pop_next() == poor;
            if (!served) push(0, requests.size() % 3);
        }
        // And not before its time: classes still mean something.
        CHECK((now - Instant{}).ns >= age.ns * priority);
        while (!queue.empty())
            queue.pop_next();
    }
}
