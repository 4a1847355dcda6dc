// The rule for KV caches: its cases one by one, then conversations simulated with the caches of the
// servers, which keep their last few prompts as llama-server's slots do.
#include "pool_rig.h"
#include "sluice/policy/prefix_index.h"

#include <algorithm>
#include <cmath>
#include <optional>

using namespace sluice;
using namespace sluice::policy;
using namespace sluice::policy::test;

namespace {

// What the index says of two backends, for a prompt of 100 blocks.
struct Known {
    std::uint64_t homes = 0;
    std::array<std::uint16_t, 2> matched{};
    std::array<double, 2> recent{};
};

PrefixMatch match_of(const Known& known) {
    PrefixMatch match;
    match.prompt_bytes = prefix_bytes(60);
    match.homes = known.homes;
    std::copy(known.matched.begin(), known.matched.end(), match.matched.begin());
    std::copy(known.recent.begin(), known.recent.end(), match.recent.begin());
    return match;
}

}  // namespace

TEST_CASE("a conversation goes home, unless its home is too busy for what it saves") {
    struct Case {
        std::string what;
        Known known;
        Candidate a, b;
        std::size_t chosen;
    };
    const Candidate free{.slots = 4};
    const auto busy = [](std::uint32_t in_flight, std::uint32_t slots = 4) {
        return Candidate{.slots = slots, .in_flight = in_flight};
    };
    for (const Case& c : std::vector<Case>{
             {"home", {0b01, {50, 0}, {90, 0}}, free, free, 0},
             {"home with a short match", {0b01, {1, 0}, {90, 0}}, free, free, 0},
             {"home without a whole block", {0b01, {0, 0}, {90, 0}}, free, free, 0},
             {"one above", {0b01, {5, 0}, {90, 0}}, busy(1), free, 0},
             {"two above, saves little", {0b01, {5, 0}, {90, 0}}, busy(2), free, 1},
             {"two above, saves half", {0b01, {30, 0}, {90, 0}}, busy(2), free, 1},
             {"three above, saves more than half", {0b01, {31, 0}, {90, 0}}, busy(3), free, 0},
             {"full", {0b01, {60, 0}, {90, 0}}, busy(4), free, 1},
             {"by slots: 3 of 8 are 1.5 of 4", {0b01, {5, 0}, {9, 0}}, busy(3, 8), busy(1), 0},
             {"no bound, some above", {0b01, {50, 0}, {90, 0}}, busy(6, 0), busy(1, 0), 0},
             {"no bound, too far above", {0b01, {50, 0}, {90, 0}}, busy(7, 0), busy(1, 0), 1},
             {"two homes: the longer match", {0b11, {40, 50}, {0, 90}}, free, busy(1), 1},
             {"two homes: the longer is full", {0b11, {40, 50}, {9, 9}}, free, busy(4), 0},
             {"two homes alike: the idler", {0b11, {50, 50}, {0, 90}}, busy(1), free, 1},
             {"a longer match is no home", {0b01, {40, 50}, {9, 9}}, free, free, 0},
             {"new: the least busy", {0, {55, 0}, {90, 0}}, busy(1), free, 1},
             {"new: fewest of late", {0, {0, 0}, {9, 9.1}}, free, free, 0},
             {"new: a whole match may be 2 ahead", {0, {60, 0}, {2.1, 0}}, free, free, 0},
             {"new: and by an eighth of all", {0, {60, 0}, {16.1, 8}}, free, free, 1},
             {"new: half of that for half a match", {0, {30, 0}, {1.0, 0}}, free, free, 0},
             {"new: and no more", {0, {30, 0}, {1.2, 0}}, free, free, 1},
             {"new: by slots", {0, {0, 0}, {9, 5}}, busy(0, 8), busy(0, 4), 0},
             {"moved away: the same", {0b01, {60, 50}, {0, 9}}, busy(4), free, 1},
         }) {
        CAPTURE(c.what);
        PoolRig pool;
        pool.add(c.a);
        pool.add(c.b);
        const PrefixMatch match = match_of(c.known);
        CHECK(pool.index({.kind = BalanceKind::prefix, .match = &match}) == c.chosen);
    }
}

TEST_CASE("equals in all rotate") {
    PoolRig pool({1, 1});
    const PrefixMatch match = match_of({});
    for (const std::size_t expected : {0, 1, 0, 1})
        CHECK(pool.index({.kind = BalanceKind::prefix, .match = &match}) == expected);
}

namespace {

struct Conversation {
    std::string prompt;  // the inside of its array of messages
    std::size_t opening = 0;
    std::vector<int> served;  // turns, by backend
};

struct Shape {
    std::size_t backends = 2;
    std::uint32_t slots = 8;  // of each server: how many conversations its cache keeps
    std::size_t system_bytes = 0;
    std::size_t at_once = 1;  // requests in flight
    bool openings = true;     // whether conversations are known by them
    BalanceKind kind = BalanceKind::prefix;
};

struct Result {
    double predicted = 0;  // share of prompt bytes that the index expects to be cached
    double cached = 0;     // that are
    double moved = 0;      // share of turns that were not served where the one before was
    double fewest = 0;     // share of turns of the backend that served fewest
};

class Simulation {
public:
    explicit Simulation(const Shape& shape) : shape_(shape), caches_(shape.backends) {
        for (std::size_t i = 0; i < shape.backends; ++i)
            pool_.add({.slots = shape.slots});
        for (std::size_t i = 0; i < 16; ++i) {
            Conversation& c = conversations_.emplace_back();
            c.prompt = R"({"role":"system","content":")" + std::string(shape.system_bytes, 's') +
                       R"("},{"role":"user","content":")" + text(200) + "\"}";
            c.opening = c.prompt.size();
            c.served.resize(shape.backends);
        }
    }

    // Conversations take turns, in another order each round.
    Result run(int rounds) {
        std::array<std::size_t, 16> order{};
        for (std::size_t i = 0; i < order.size(); ++i)
            order[i] = i;
        for (int round = 0; round < rounds; ++round) {
            for (std::size_t i = order.size(); i > 1; --i)
                std::swap(order[i - 1], order[prng_.below(i)]);
            for (const std::size_t i : order)
                take_turn(conversations_[i]);
        }
        return result(static_cast<std::size_t>(rounds));
    }

private:
    std::string text(std::size_t bytes) {
        std::string out(bytes, ' ');
        for (char& c : out)
            c = static_cast<char>('a' + prng_.below(26));
        return out;
    }

    void take_turn(Conversation& c) {
        PrefixHashes hashes;
        PrefixHasher hasher(hashes, 42, shape_.openings ? c.opening : 0);
        hasher.feed(c.prompt);
        hasher.finish();
        const PrefixMatch match = index_.lookup(hashes, pool_.candidates);
        const std::size_t i = pool_.index({.kind = shape_.kind, .match = &match});
        Candidate& backend = pool_.candidates[i];
        CHECK(index_.record(hashes, backend.backend) == match.matched_bytes(i));
        bytes_ += c.prompt.size();
        cached_ += serve(caches_[i], c.prompt);
        moved_ += last_[&c - conversations_.data()] != i ? 1 : 0;
        last_[&c - conversations_.data()] = i;
        ++c.served[i];
        ++backend.in_flight;
        CHECK(backend.in_flight <= shape_.slots);
        in_flight_.push_back(i);
        if (in_flight_.size() >= shape_.at_once) {
            const std::size_t done = prng_.below(in_flight_.size());
            --pool_.candidates[in_flight_[done]].in_flight;
            in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(done));
        }
        c.prompt += R"(,{"role":"assistant","content":")" + text(300 + prng_.below(900)) +
                    R"("},{"role":"user","content":")" + text(50 + prng_.below(500)) + "\"}";
    }

    // As a server does that keeps displaced prompts in memory: the longest common begin of all it
    // keeps is there; it keeps as many as it has slots. Returns how much was there.
    std::size_t serve(std::vector<std::string>& cache, const std::string& prompt) const {
        std::size_t best = 0;
        auto longest = cache.end();
        for (auto at = cache.begin(); at != cache.end(); ++at) {
            const auto ends = std::mismatch(prompt.begin(), prompt.end(), at->begin(), at->end());
            const auto common = static_cast<std::size_t>(ends.first - prompt.begin());
            if (common <= best) continue;
            best = common;
            longest = at;
        }
        const bool continues = longest != cache.end() && best == longest->size();
        if (continues) cache.erase(longest);
        if (cache.size() == shape_.slots) cache.erase(cache.begin());
        cache.push_back(prompt);
        return best;
    }

    Result result(std::size_t rounds) const {
        const double turns = 16.0 * static_cast<double>(rounds);
        std::vector<double> share(shape_.backends);
        for (const Conversation& c : conversations_)
            for (std::size_t i = 0; i < shape_.backends; ++i)
                share[i] += c.served[i] / turns;
        const PrefixCounters& counters = index_.counters();
        CHECK(counters.prompt_bytes == bytes_);
        const auto bytes = static_cast<double>(bytes_);
        return {.predicted = static_cast<double>(counters.predicted_bytes) / bytes,
                .cached = static_cast<double>(cached_) / bytes,
                .moved = static_cast<double>(moved_ - 16) / (turns - 16),
                .fewest = *std::min_element(share.begin(), share.end())};
    }

    Shape shape_;
    PoolRig pool_;
    Prng prng_{7};
    PrefixIndex index_{64 * 1024};
    std::vector<Conversation> conversations_;
    std::vector<std::vector<std::string>> caches_;
    std::array<std::size_t, 16> last_ = filled();
    std::vector<std::size_t> in_flight_;
    std::uint64_t bytes_ = 0;
    std::uint64_t cached_ = 0;
    std::size_t moved_ = 0;

    static std::array<std::size_t, 16> filled() {
        std::array<std::size_t, 16> none{};
        none.fill(candidates_max);
        return none;
    }
};

}  // namespace

TEST_CASE("sixteen conversations stay at home, spread evenly, and hit the cache") {
    for (const std::size_t backends : {2, 4}) {
        for (const std::size_t system_bytes : {0, 100, 3000, 20'000}) {
            CAPTURE(backends);
            CAPTURE(system_bytes);
            const auto slots = static_cast<std::uint32_t>(16 / backends);
            const Shape shape{.backends = backends, .slots = slots, .system_bytes = system_bytes};
            Shape rotating = shape;
            rotating.kind = BalanceKind::round_robin;
            const Result prefix = Simulation(shape).run(20);
            const Result rotation = Simulation(rotating).run(20);
            CHECK(prefix.moved == 0);
            CHECK(prefix.fewest >= 0.8 / static_cast<double>(backends));
            CHECK(prefix.cached > rotation.cached);
            // The index says what the servers see.
            CHECK(std::fabs(prefix.predicted - prefix.cached) < 0.03);
            // Where conversations have nothing in common: at least twice.
            if (system_bytes <= 100) CHECK(prefix.cached >= 2 * rotation.cached);
        }
    }
}

TEST_CASE("under load conversations move rarely, and slots are never exceeded") {
    for (const std::size_t backends : {2, 4}) {
        for (const std::size_t free : {1, 4, 8}) {
            CAPTURE(backends);
            CAPTURE(free);
            Shape shape{.backends = backends, .slots = static_cast<std::uint32_t>(16 / backends)};
            shape.at_once = 16 - free;  // take_turn() checks the slots
            Shape rotating = shape;
            rotating.kind = BalanceKind::round_robin;
            const Result prefix = Simulation(shape).run(30);
            const Result rotation = Simulation(rotating).run(30);
            CHECK(prefix.fewest >= 0.7 / static_cast<double>(backends));
            // With one free slot there is one place to go.
            if (free > 1) CHECK(prefix.moved < rotation.moved / 2);
            CHECK(prefix.cached > rotation.cached);
        }
    }
}

TEST_CASE("conversations that are not known by an opening are seen by their prompts") {
    const Shape shape{.openings = false};
    Shape rotating = shape;
    rotating.kind = BalanceKind::round_robin;
    const Result prefix = Simulation(shape).run(20);
    CHECK(prefix.moved < 0.05);
    CHECK(prefix.fewest >= 0.4);
    CHECK(prefix.cached >= 2 * Simulation(rotating).run(20).cached);
}
