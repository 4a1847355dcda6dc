#include "pool_rig.h"

#include <algorithm>
#include <cmath>

using namespace sluice;
using namespace sluice::policy;
using namespace sluice::policy::test;

namespace {

constexpr std::size_t keys = 30'000;

std::vector<std::size_t> place_all(PoolRig& pool) {
    std::vector<std::size_t> places;
    for (std::uint64_t key = 0; key < keys; ++key)
        places.push_back(pool.index({.kind = BalanceKind::hash, .key = key}));
    return places;
}

// Of `count` draws with probability p: four standard deviations.
bool near_share(std::size_t hits, double p, std::size_t count) {
    const double n = static_cast<double>(count);
    return std::fabs(static_cast<double>(hits) - p * n) <= 4 * std::sqrt(p * (1 - p) * n);
}

std::size_t count_of(const std::vector<std::size_t>& places, std::size_t place) {
    return static_cast<std::size_t>(std::count(places.begin(), places.end(), place));
}

}  // namespace

TEST_CASE("hash: each has its share of keys by weight") {
    for (const std::vector<std::uint32_t>& weights :
         std::vector<std::vector<std::uint32_t>>{{1, 1}, {1, 1, 1, 1, 1}, {1, 2, 3, 4}, {10, 1}}) {
        PoolRig pool(weights);
        double sum = 0;
        for (const std::uint32_t weight : weights)
            sum += weight;
        const auto places = place_all(pool);
        for (std::size_t i = 0; i < weights.size(); ++i) {
            CAPTURE(i);
            CHECK(near_share(count_of(places, i), weights[i] / sum, keys));
        }
    }
}

TEST_CASE("hash: a key keeps its place, on every shard") {
    PoolRig pool({1, 2, 3});
    const auto places = place_all(pool);
    CHECK(place_all(pool) == places);
    PoolRig other({1, 2, 3});
    other.prng = Prng(99);
    CHECK(place_all(other) == places);
}

TEST_CASE("hash: when one leaves, only its keys move, and evenly") {
    PoolRig pool({1, 2, 1, 2});
    const auto before = place_all(pool);
    pool.candidates[1].usable = false;
    const auto after = place_all(pool);
    std::vector<std::size_t> gained(4);
    for (std::size_t key = 0; key < keys; ++key) {
        if (before[key] != 1) CHECK(after[key] == before[key]);
        if (before[key] == 1) ++gained[after[key]];
    }
    const std::size_t moved = count_of(before, 1);
    for (const std::size_t i : {0, 2, 3})
        CHECK(near_share(gained[i], pool.candidates[i].weight / 4.0, moved));
    CHECK(gained[1] == 0);

    // A heavier weight only takes keys, and none moves between the others.
    pool.candidates[1].usable = true;
    pool.candidates[1].weight = 4;
    const auto heavier = place_all(pool);
    for (std::size_t key = 0; key < keys; ++key)
        CHECK((heavier[key] == before[key] || heavier[key] == 1));
}

TEST_CASE("hash: the load is bounded, also when all ask for one key") {
    for (const std::vector<std::uint32_t>& weights :
         std::vector<std::vector<std::uint32_t>>{{1, 1}, {1, 1, 1, 1}, {1, 2, 5}}) {
        std::uint32_t sum = 0;
        for (const std::uint32_t weight : weights)
            sum += weight;
        for (const bool one_key : {true, false}) {
            PoolRig pool(weights);
            std::vector<std::size_t> held;  // requests in flight, by backend
            std::size_t elsewhere = 0;
            const std::size_t home = pool.index({.kind = BalanceKind::hash, .key = 7});
            for (std::uint64_t turn = 0; turn < 4000; ++turn) {
                const std::uint64_t key = one_key ? 7 : pool.prng.below(20);
                const std::size_t i = pool.index({.kind = BalanceKind::hash, .key = key});
                ++pool.candidates[i].in_flight;
                held.push_back(i);
                elsewhere += i != home ? 1 : 0;
                const double share = 1.25 * static_cast<double>(held.size()) * weights[i] / sum;
                CHECK(pool.candidates[i].in_flight <= std::ceil(share));
                if (held.size() < 40) continue;
                const std::size_t done = pool.prng.below(held.size());
                --pool.candidates[held[done]].in_flight;
                held[done] = held.back();
                held.pop_back();
            }
            CHECK(elsewhere > 0);
        }
    }
}

TEST_CASE("hash: full ones are passed over, and count neither in the bound") {
    PoolRig pool;
    pool.add({.slots = 1, .in_flight = 1});
    pool.add({.in_flight = 9});
    for (std::uint64_t key = 0; key < 20; ++key)
        CHECK(pool.index({.kind = BalanceKind::hash, .key = key}) == 1);
}
