#include "sluice/base/list.h"

#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <vector>

using sluice::List;
using sluice::ListHook;
using sluice::Prng;

namespace {

struct Item {
    int value = 0;
    ListHook hook;
    ListHook other_hook;
};
using Items = List<Item, &Item::hook>;
using OtherItems = List<Item, &Item::other_hook>;

std::vector<int> values(Items& items) {
    std::vector<int> seen;
    items.for_each([&seen](const Item& item) { seen.push_back(item.value); });
    return seen;
}

}  // namespace

TEST_CASE("a list gives back its elements in order from both ends") {
    std::array<Item, 4> storage{{{1}, {2}, {3}, {4}}};
    Items items;
    CHECK(items.empty());
    items.push_back(storage[1]);
    items.push_back(storage[2]);
    items.push_front(storage[0]);
    items.push_back(storage[3]);
    CHECK(values(items) == std::vector<int>{1, 2, 3, 4});
    CHECK(items.front().value == 1);
    CHECK(items.back().value == 4);
    while (!items.empty())
        items.pop_front();
    CHECK_FALSE(storage[0].hook.linked());
}

TEST_CASE("an element may be in two lists through two hooks") {
    Item item{7};
    Items items;
    OtherItems others;
    items.push_back(item);
    others.push_back(item);
    item.hook.unlink();
    CHECK(items.empty());
    CHECK(&others.front() == &item);
    others.pop_front();
}

TEST_CASE("an element can be unlinked while the list is walked") {
    std::array<Item, 3> storage{{{1}, {2}, {3}}};
    Items items;
    for (Item& item : storage)
        items.push_back(item);
    items.for_each([](Item& item) {
        if (item.value != 2) item.hook.unlink();
    });
    CHECK(values(items) == std::vector<int>{2});
    items.pop_front();
}

TEST_CASE("a list behaves like a deque under random operations") {
    Prng prng(2024);
    std::array<Item, 40> storage;
    for (std::size_t i = 0; i < storage.size(); ++i)
        storage[i].value = static_cast<int>(i);
    Items items;
    Items second;
    std::deque<int> model;
    std::deque<int> second_model;
    for (int step = 0; step < 20'000; ++step) {
        Item& item = storage[prng.below(storage.size())];
        if (item.hook.linked()) {
            item.hook.unlink();
            std::erase(model, item.value);
            std::erase(second_model, item.value);
        } else if (prng.chance(1, 3)) {
            items.push_front(item);
            model.push_front(item.value);
        } else if (prng.chance(1, 2)) {
            items.push_back(item);
            model.push_back(item.value);
        } else {
            second.push_back(item);
            second_model.push_back(item.value);
        }
        if (prng.chance(1, 50)) {
            items.splice_back(second);
            model.insert(model.end(), second_model.begin(), second_model.end());
            second_model.clear();
        }
        REQUIRE(values(items) == std::vector<int>(model.begin(), model.end()));
        REQUIRE(second.empty() == second_model.empty());
    }
    while (!items.empty())
        items.pop_front();
    while (!second.empty())
        second.pop_front();
}
