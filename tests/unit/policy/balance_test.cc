#include "sluice/policy/balance.h"

#include "pool_rig.h"

#include <algorithm>
#include <array>
#include <cmath>

using namespace sluice;
using namespace sluice::policy;
using namespace sluice::policy::test;

namespace {

constexpr BalanceKind kinds[] = {BalanceKind::round_robin, BalanceKind::least_busy,
                                 BalanceKind::least_latency, BalanceKind::hash,
                                 BalanceKind::prefix};

std::string rotation(PoolRig& pool, std::size_t turns,
                     BalanceKind kind = BalanceKind::round_robin) {
    std::string sequence;
    for (std::size_t i = 0; i < turns; ++i)
        sequence += static_cast<char>('a' + pool.index({.kind = kind}));
    return sequence;
}

}  // namespace

TEST_CASE("every kind chooses among the usable ones of the lowest priority") {
    for (const BalanceKind kind : kinds) {
        CAPTURE(static_cast<int>(kind));
        PoolRig pool;
        pool.add({.priority = 0, .usable = false});
        pool.add({.priority = 2});
        pool.add({.priority = 1, .slots = 2});
        pool.add({.priority = 1, .slots = 2, .usable = false});
        for (std::uint64_t key = 0; key < 50; ++key) {
            CHECK(pool.index({.kind = kind, .key = key}) == 2);
            CHECK(pool.index({.kind = kind, .spill = true, .key = key}) == 2);
        }
        pool.candidates[2].in_flight = 2;
        CHECK(pool.ask({.kind = kind}).outcome == Choice::Outcome::full);
        CHECK(pool.index({.kind = kind, .spill = true}) == 1);
        pool.candidates[1].slots = 1;
        pool.candidates[1].in_flight = 1;
        CHECK(pool.ask({.kind = kind, .spill = true}).outcome == Choice::Outcome::full);
        for (Candidate& candidate : pool.candidates)
            candidate.usable = false;
        CHECK(pool.ask({.kind = kind, .spill = true}).outcome == Choice::Outcome::none);
        CHECK(choose({.kind = kind}, {}, pool.prng).outcome == Choice::Outcome::none);
    }
}

TEST_CASE("every kind chooses among as many as there may be") {
    for (const BalanceKind kind : kinds) {
        CAPTURE(static_cast<int>(kind));
        PoolRig pool(std::vector<std::uint32_t>(candidates_max, 1));
        std::vector<int> seen(candidates_max);
        for (std::uint64_t key = 0; key < 4000; ++key)
            ++seen[pool.index({.kind = kind, .key = key})];
        for (std::size_t i = 0; i < candidates_max; ++i)
            CHECK(seen[i] > 0);
        for (Candidate& candidate : pool.candidates)
            candidate.usable = false;
        pool.candidates.back().usable = true;
        CHECK(pool.index({.kind = kind}) == candidates_max - 1);
    }
}

TEST_CASE("round robin is smooth: the sequence of nginx") {
    PoolRig pool({5, 1, 1});
    CHECK(rotation(pool, 14) == "aabacaaaabacaa");
    PoolRig equal({1, 1, 1});
    CHECK(rotation(equal, 7) == "abcabca");
    PoolRig halves({2, 4, 2});
    CHECK(rotation(halves, 8) == "bacbbacb");
}

TEST_CASE("round robin keeps its shares where one comes and goes") {
    PoolRig pool({3, 2, 1});
    rotation(pool, 4);
    pool.candidates[0].usable = false;
    const std::string without = rotation(pool, 300);
    CHECK(std::count(without.begin(), without.end(), 'b') == doctest::Approx(200).epsilon(0.02));
    pool.candidates[0].usable = true;
    const std::string with = rotation(pool, 600);
    CHECK(std::count(with.begin(), with.end(), 'a') == doctest::Approx(300).epsilon(0.02));
    CHECK(std::count(with.begin(), with.end(), 'c') == doctest::Approx(100).epsilon(0.03));
}

TEST_CASE("least busy compares by slots, else by weight") {
    struct Case {
        Candidate a, b;
        std::size_t chosen;
    };
    for (const Case& c : std::vector<Case>{
             {{.in_flight = 1}, {.in_flight = 2}, 0},
             {{.weight = 1, .in_flight = 1}, {.weight = 3, .in_flight = 2}, 1},
             {{.slots = 8, .in_flight = 3}, {.slots = 2, .in_flight = 1}, 0},
             {{.slots = 8, .in_flight = 5}, {.slots = 2, .in_flight = 1}, 1},
             {{.weight = 9, .slots = 2, .in_flight = 1}, {.slots = 8, .in_flight = 3}, 1},
         }) {
        PoolRig pool;
        pool.add(c.a);
        pool.add(c.b);
        for (int i = 0; i < 3; ++i)
            CHECK(pool.index({.kind = BalanceKind::least_busy}) == c.chosen);
    }
}

TEST_CASE("least busy: equals rotate by weight") {
    PoolRig pool({1, 1, 1});
    CHECK(rotation(pool, 6, BalanceKind::least_busy) == "abcabc");
    PoolRig weighted({2, 1});
    CHECK(rotation(weighted, 6, BalanceKind::least_busy) == "abaaba");
    // prefix, where there is no prompt
    PoolRig prefix({1, 1});
    CHECK(rotation(prefix, 4, BalanceKind::prefix) == "abab");
}

TEST_CASE("least busy fills slots in proportion") {
    PoolRig pool;
    pool.add({.slots = 8});
    pool.add({.slots = 4});
    pool.add({.slots = 2});
    for (std::uint32_t n = 1; n <= 14; ++n) {
        ++pool.candidates[pool.index({.kind = BalanceKind::least_busy})].in_flight;
        for (const Candidate& candidate : pool.candidates)
            CHECK(std::fabs(candidate.in_flight - n * candidate.slots / 14.0) <= 1.0);
    }
    CHECK(pool.ask({.kind = BalanceKind::least_busy}).outcome == Choice::Outcome::full);
}

TEST_CASE("peak EWMA rises at once, falls slowly and fades") {
    PeakEwma latency;
    Instant now{1'000'000'000};
    CHECK_FALSE(latency.measured());
    latency.observe(Duration::millis(100), now);
    CHECK(latency.measured());
    CHECK(latency.at(now) == doctest::Approx(100e6));
    latency.observe(Duration::millis(900), now);
    CHECK(latency.at(now) == doctest::Approx(900e6));
    now = now + PeakEwma::memory;
    const double kept = std::exp(-1.0);
    CHECK(latency.at(now) == doctest::Approx(900e6 * kept));
    latency.observe(Duration::millis(100), now);
    CHECK(latency.at(now) == doctest::Approx(900e6 * kept + 100e6 * (1 - kept)));
    // A measurement of the same moment changes nothing but a peak.
    latency.observe(Duration::millis(1), now);
    CHECK(latency.at(now) == doctest::Approx(900e6 * kept + 100e6 * (1 - kept)));
    CHECK(latency.at(now + PeakEwma::memory * 20) < 10.0);
}

TEST_CASE("least latency goes to the faster one, until it is busy") {
    PoolRig pool({1, 1});
    const Instant now{0};
    pool.candidates[0].state->latency.observe(Duration::millis(100), now);
    pool.candidates[1].state->latency.observe(Duration::millis(340), now);
    for (const std::size_t expected : {0, 0, 0, 1, 0, 0, 0, 1}) {
        CHECK(pool.index({.kind = BalanceKind::least_latency, .now = now}) == expected);
        ++pool.candidates[expected].in_flight;
    }
}

TEST_CASE("least latency draws two of many: the slowest is never chosen, the fastest most") {
    PoolRig pool({1, 1, 1, 1});
    for (int i = 0; i < 4; ++i)
        pool.candidates[i].state->latency.observe(Duration::millis(100 * (i + 1)), {});
    std::array<double, 4> share{};
    constexpr int count = 12'000;
    for (int i = 0; i < count; ++i)
        share[pool.index({.kind = BalanceKind::least_latency})] += 1.0 / count;
    // Of the six pairs the fastest wins three, the next two, the next one. Four deviations.
    const double tolerance = 4 * std::sqrt(0.25 / count);
    for (int i = 0; i < 4; ++i)
        CHECK(std::fabs(share[i] - (3 - i) / 6.0) < tolerance);
}

TEST_CASE("least latency tries one that was never measured, one request at a time") {
    PoolRig pool({1, 1});
    pool.candidates[0].state->latency.observe(Duration::millis(1), {});
    CHECK(pool.index({.kind = BalanceKind::least_latency}) == 1);
    pool.candidates[1].in_flight = 1;
    pool.candidates[0].in_flight = 1000;
    CHECK(pool.index({.kind = BalanceKind::least_latency}) == 0);
    pool.candidates[1].state->latency.observe(Duration::millis(1), {});
    CHECK(pool.index({.kind = BalanceKind::least_latency}) == 1);
    // A slow one is tried again when what is known of it has faded.
    pool.candidates[0].in_flight = pool.candidates[1].in_flight = 0;
    pool.candidates[1].state->latency.observe(Duration::seconds(9), {});
    const Instant later = Instant{} + PeakEwma::memory * 3;
    pool.candidates[0].state->latency.observe(Duration::millis(600), later);
    CHECK(pool.index({.kind = BalanceKind::least_latency, .now = Instant{}}) == 0);
    CHECK(pool.index({.kind = BalanceKind::least_latency, .now = later}) == 1);
}

TEST_CASE("least latency regards weights") {
    PoolRig pool({1, 3});
    pool.candidates[0].state->latency.observe(Duration::millis(100), {});
    pool.candidates[1].state->latency.observe(Duration::millis(200), {});
    CHECK(pool.index({.kind = BalanceKind::least_latency}) == 1);
}
