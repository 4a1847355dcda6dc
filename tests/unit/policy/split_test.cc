#include "sluice/policy/route.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr int keys = 100'000;

RuleTable compiled(const std::vector<RuleShare>& split, HashSetting sticky = {}) {
    Result<RuleTable> table = RuleTable::compile({{.split = split, .sticky = sticky}});
    REQUIRE(table.ok());
    return std::move(table).value();
}

std::string model_of(const RuleTable& table, const std::string& key, Prng& prng) {
    RuleFacts facts;
    facts.conversation = key;
    return std::string(table.choose(facts, prng)->model);
}

using Counts = std::map<std::string, int>;

// Five standard deviations of as many coins.
void check_share(int count, unsigned percent) {
    const double p = percent / 100.0;
    const double allowed = 5 * std::sqrt(keys * p * (1 - p));
    CAPTURE(count);
    CAPTURE(percent);
    CHECK(std::abs(count - keys * p) <= allowed);
}

}  // namespace

TEST_CASE("split: keys and chance both follow the percents") {
    const std::vector<std::vector<RuleShare>> splits = {
        {{"stable", 90}, {"canary", 10}},
        {{"a", 1}, {"b", 99}},
        {{"a", 50}, {"b", 50}},
        {{"a", 100}, {"b", 0}},
        {{"a", 20}, {"b", 30}, {"c", 50}},
        {{"only", 100}},
    };
    for (const auto& split : splits) {
        const RuleTable table = compiled(split);
        Prng prng(11);
        for (const bool sticky : {true, false}) {
            CAPTURE(sticky);
            Counts counts;
            for (int i = 0; i < keys; ++i)
                ++counts[model_of(table, sticky ? "conversation " + std::to_string(i) : "", prng)];
            for (const RuleShare& share : split)
                check_share(counts[share.model], share.percent);
        }
    }
}

TEST_CASE("split: the same key gets the same answer, from every table and generator") {
    const RuleTable table = compiled({{"stable", 90}, {"canary", 10}});
    const RuleTable other = compiled({{"canary", 10}, {"stable", 90}});
    Prng first(1);
    Prng second(2);
    for (int i = 0; i < 2000; ++i) {
        const std::string key = std::to_string(i);
        const std::string model = model_of(table, key, first);
        REQUIRE(model_of(table, key, second) == model);
        REQUIRE(model_of(other, key, second) == model);
    }
    // They are the same from one version to the next as well.
    std::string pinned;
    for (int i = 0; i < 40; ++i)
        pinned += model_of(table, std::to_string(i), first)[0];
    CHECK(pinned == "ssscccscssssssssssssssscssssccsssssscsss");
}

TEST_CASE("split: a changed percentage moves the difference, and only one way") {
    const RuleTable before = compiled({{"stable", 90}, {"canary", 10}});
    const RuleTable after = compiled({{"stable", 80}, {"canary", 20}});
    Prng prng(1);
    int moved = 0;
    for (int i = 0; i < keys; ++i) {
        const std::string key = "key " + std::to_string(i);
        const std::string from = model_of(before, key, prng);
        const std::string to = model_of(after, key, prng);
        if (from == to) continue;
        REQUIRE(from == "stable");
        ++moved;
    }
    check_share(moved, 10);
}

TEST_CASE("split: of three models few keys beside the difference move") {
    const RuleTable before = compiled({{"a", 50}, {"b", 30}, {"c", 20}});
    const RuleTable after = compiled({{"a", 40}, {"b", 30}, {"c", 30}});
    Prng prng(1);
    int moved = 0;
    for (int i = 0; i < keys; ++i) {
        const std::string key = "key " + std::to_string(i);
        const std::string from = model_of(before, key, prng);
        const std::string to = model_of(after, key, prng);
        if (from == to) continue;
        REQUIRE(from != "c");
        REQUIRE(to != "a");
        ++moved;
    }
    CHECK(moved >= keys * 10 / 100 - 500);
    CHECK(moved <= keys * 15 / 100);
}

TEST_CASE("split: sticky by each key, at random without it") {
    struct Row {
        HashSetting sticky;
        std::string_view RuleFacts::* key;
    };
    const Row table[] = {
        {{HashSetting::By::client, ""}, &RuleFacts::client},
        {{HashSetting::By::consumer, ""}, &RuleFacts::consumer},
        {{HashSetting::By::conversation, ""}, &RuleFacts::conversation},
        {{HashSetting::By::header, "x-user"}, nullptr},
    };
    for (const Row& row : table) {
        const RuleTable rules = compiled({{"a", 50}, {"b", 50}}, row.sticky);
        Prng prng(3);
        Counts with_key;
        Counts without_key;
        for (int i = 0; i < 1000; ++i) {
            RuleFacts facts;
            // The others change all the time.
            const std::string noise = std::to_string(i);
            facts.client = facts.consumer = facts.conversation = noise;
            const http::Field user{"X-User", "me"};
            if (row.key != nullptr) {
                facts.*row.key = "me";
            } else {
                facts.headers = {&user, 1};
            }
            ++with_key[std::string(rules.choose(facts, prng)->model)];
            if (row.key != nullptr) facts.*row.key = {};
            facts.headers = {};
            ++without_key[std::string(rules.choose(facts, prng)->model)];
        }
        CHECK(with_key.size() == 1);
        CHECK(without_key["a"] > 400);
        CHECK(without_key["b"] > 400);
    }
}
