// The nearest question: what is found, what is not, and in how much memory.
#include "sluice/cache/semantic/index.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::cache;
using namespace sluice::cache::semantic;

namespace {

constexpr std::size_t all = ~std::size_t{0};
constexpr Duration hour = Duration::seconds(3600);

Key key(std::uint64_t number) {
    return {sha256(std::to_string(number))};
}

std::vector<float> random_vector(Prng& prng, std::size_t dimensions) {
    std::vector<float> out(dimensions);
    for (float& number : out)
        number = static_cast<float>(static_cast<std::int64_t>(prng.below(2001)) - 1000) / 500;
    return out;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        ab += double{a[i]} * double{b[i]};
        aa += double{a[i]} * double{a[i]};
        bb += double{b[i]} * double{b[i]};
    }
    return ab / std::sqrt(aa * bb);
}

std::optional<Match> nearest(const Index& index, const std::vector<float>& question,
                             const Key& context, float threshold, Instant now = {},
                             Duration max_age = hour) {
    Search search(index, context, threshold, max_age);
    REQUIRE(search.set_question(question));
    CHECK(!search.step(all, all, now));
    return search.best();
}

}  // namespace

TEST_CASE("the nearest one is found, whatever the dimensions") {
    Prng prng(1);
    for (const std::size_t dimensions : {1, 2, 7, 8, 9, 31, 32, 33, 100, 384, 768, 1023}) {
        Index index(dimensions);
        std::vector<std::vector<float>> vectors;
        for (std::uint64_t i = 0; i < 150; ++i) {
            vectors.push_back(random_vector(prng, dimensions));
            vectors.back()[0] += 0.001f;  // it has a direction
            REQUIRE(index.add(vectors.back(), key(7), key(i), {}));
        }
        for (int round = 0; round < 20; ++round) {
            auto question = random_vector(prng, dimensions);
            question[0] += 0.001f;
            double best = -2;
            for (const auto& vector : vectors)
                best = std::max(best, cosine(question, vector));
            const auto found = nearest(index, question, key(7), -1.1f);
            REQUIRE(found.has_value());
            CHECK(std::abs(double{found->similarity} - best) < 1e-5);
        }
        const auto same = nearest(index, vectors[33], key(7), 0.9999f);
        REQUIRE(same.has_value());
        if (dimensions > 8) CHECK(same->answer == key(33));
    }
}

TEST_CASE("threshold, context and age") {
    Index index(2);
    REQUIRE(index.add(std::vector<float>{1, 0}, key(1), key(10), {}));
    REQUIRE(index.add(std::vector<float>{3, 3}, key(1), key(11), {Duration::seconds(10).ns}));
    REQUIRE(index.add(std::vector<float>{0, 9}, key(2), key(12), {Duration::seconds(20).ns}));
    const Instant now{Duration::seconds(20).ns};
    const std::vector<float> up{0, 1};
    CHECK(!nearest(index, up, key(1), 0.8f, now));
    const auto found = nearest(index, up, key(1), 0.7f, now);
    REQUIRE(found.has_value());
    CHECK(found->answer == key(11));
    CHECK(found->age == Duration::seconds(10));
    CHECK(std::abs(found->similarity - std::sqrt(0.5f)) < 1e-6f);
    CHECK(nearest(index, up, key(2), 0.99f, now)->answer == key(12));
    CHECK(!nearest(index, up, key(3), -1, now));
    CHECK(!nearest(index, up, key(1), 0.7f, now, Duration::seconds(9)));
    CHECK(nearest(index, up, key(1), 0.7f, now, Duration::seconds(10)).has_value());
    // Of two that are as near the newer one.
    REQUIRE(index.add(std::vector<float>{0, 2}, key(2), key(13), now));
    CHECK(nearest(index, up, key(2), 0.99f, now)->answer == key(13));
}

TEST_CASE("vectors that are none") {
    Index index(3);
    const float infinite = std::numeric_limits<float>::infinity();
    const float nothing = std::numeric_limits<float>::quiet_NaN();
    for (const std::vector<float>& each : {std::vector<float>{0, 0, 0},
                                           {1, 2},
                                           {1, 2, 3, 4},
                                           {},
                                           {1, infinite, 0},
                                           {nothing, 1, 1}}) {
        CHECK(!index.add(each, key(1), key(2), {}));
        Search search(index, key(1), 0.9f, hour);
        CHECK(!search.set_question(each));
    }
    CHECK(index.size() == 0);
    const float huge = std::numeric_limits<float>::max();
    REQUIRE(index.add(std::vector<float>{huge, huge, 0}, key(1), key(2), {}));
    CHECK(nearest(index, {1e-9f, 1e-9f, 0}, key(1), 0.999f)->answer == key(2));
}

TEST_CASE("a full index lets the oldest go") {
    Index index(4, {.entries = 100});
    for (std::uint64_t i = 0; i < 250; ++i) {
        const auto angle = static_cast<float>(i) / 100;
        REQUIRE(index.add(std::vector<float>{std::cos(angle), std::sin(angle), 0, 0}, key(1),
                          key(i), {static_cast<std::int64_t>(i)}));
        CHECK(index.size() == std::min<std::uint64_t>(i + 1, 100));
    }
    CHECK(nearest(index, {1, 0, 0, 0}, key(1), -1)->answer == key(150));
    const auto last = nearest(index, {std::cos(2.49f), std::sin(2.49f), 0, 0}, key(1), 0.9f);
    CHECK(last->answer == key(249));
    index.clear();
    CHECK(index.size() == 0);
    CHECK(!nearest(index, {1, 0, 0, 0}, key(1), -1));
}

TEST_CASE("its memory is bounded") {
    for (const std::uint64_t bytes : {0u, 1'000u, 100'000u, 3'000'000u}) {
        Index index(384, {.entries = 50'000, .bytes = bytes});
        CHECK(index.entries_max() <= bytes / (384 * sizeof(float)));
        Prng prng(1);
        const auto vector = random_vector(prng, 384);
        for (int i = 0; i < 3'000; ++i) {
            CHECK(index.add(vector, key(1), key(2), {}) == (index.entries_max() > 0));
            CHECK(index.bytes() <= bytes);
        }
        CHECK(index.size() == index.entries_max());
    }
    CHECK(Index(1024).entries_max() == 50'000);
    CHECK(Index(768, {.entries = 10}).entries_max() == 10);
}

TEST_CASE("a search is made in steps, and entries may come meanwhile") {
    Index index(2, {.entries = 64});
    const auto add = [&index](std::uint64_t number, std::uint64_t context) {
        REQUIRE(index.add(std::vector<float>{1, static_cast<float>(number)}, key(context),
                          key(number), {}));
    };
    for (std::uint64_t i = 0; i < 64; ++i)
        add(i, i % 2);
    Search search(index, key(0), 0.9f, hour);
    REQUIRE(search.set_question(std::vector<float>{1, 0}));
    CHECK(search.step(4, 100, {}));
    CHECK(!search.best());
    CHECK(search.step(100, 4, {}));
    // The older half goes while it is on its way: it ends where the index begins now.
    for (std::uint64_t i = 100; i < 132; ++i)
        add(i, 0);
    CHECK(!search.step(all, all, {}));
    CHECK(!search.best());
    CHECK(!search.step(all, all, {}));
    Search whole(index, key(0), 0.9f, hour);
    REQUIRE(whole.set_question(std::vector<float>{1, 100}));
    CHECK(whole.step(16, all, {}));
    CHECK(whole.best()->similarity > 0.999f);
    index.clear();
    CHECK(!whole.step(all, all, {}));
}
