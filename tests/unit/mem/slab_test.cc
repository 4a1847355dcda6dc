#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "sluice/mem/slab.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

using sluice::Prng;
using sluice::mem::Slab;

namespace {

struct alignas(32) Thing {
    Thing(int number, int& alive) : value(number), count(&alive) { ++*count; }
    ~Thing() { --*count; }
    int value;
    int* count;
};

}  // namespace

TEST_CASE("a slab constructs and destroys, and keeps alignment") {
    int alive = 0;
    Slab<Thing> slab(3);
    Thing* thing = slab.create(7, alive);
    REQUIRE(thing != nullptr);
    CHECK(thing->value == 7);
    CHECK(alive == 1);
    CHECK(reinterpret_cast<std::uintptr_t>(thing) % alignof(Thing) == 0);
    slab.destroy(*thing);
    CHECK(alive == 0);
    CHECK(slab.in_use() == 0);
}

TEST_CASE("a full slab gives nothing, and gives again after one object went") {
    int alive = 0;
    Slab<Thing> slab(2);
    Thing* first = slab.create(1, alive);
    Thing* second = slab.create(2, alive);
    CHECK(slab.create(3, alive) == nullptr);
    CHECK(alive == 2);
    slab.destroy(*first);
    Thing* third = slab.create(3, alive);
    CHECK(third == first);  // last freed first: the warm slot
    slab.destroy(*second);
    slab.destroy(*third);
}

TEST_CASE("objects of a slab stay where they are and what they are, over many blocks") {
    constexpr std::size_t count_max = 300;
    Prng prng(11);
    int alive = 0;
    Slab<Thing> slab(count_max);
    std::vector<Thing*> things;
    std::vector<int> expected;
    for (int step = 0; step < 20'000; ++step) {
        if (prng.chance(3, 5)) {
            Thing* thing = slab.create(step, alive);
            REQUIRE((thing == nullptr) == (things.size() == count_max));
            if (thing == nullptr) continue;
            REQUIRE(std::find(things.begin(), things.end(), thing) == things.end());
            things.push_back(thing);
            expected.push_back(step);
        } else if (!things.empty()) {
            const auto at = static_cast<std::ptrdiff_t>(prng.below(things.size()));
            REQUIRE(things[static_cast<std::size_t>(at)]->value ==
                    expected[static_cast<std::size_t>(at)]);
            slab.destroy(*things[static_cast<std::size_t>(at)]);
            things.erase(things.begin() + at);
            expected.erase(expected.begin() + at);
        }
        REQUIRE(slab.in_use() == things.size());
        REQUIRE(alive == static_cast<int>(things.size()));
    }
    for (Thing* thing : things)
        slab.destroy(*thing);
}
