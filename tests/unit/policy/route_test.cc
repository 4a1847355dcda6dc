#include "sluice/policy/route.h"

#include "allocations.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

constexpr std::array<http::Field, 4> headers = {{
    {"Host", "localhost"},
    {"X-Tier", "gold"},
    {"x-version", "canary-7"},
    {"X-Tier", "silver"},
}};
constexpr std::array<Label, 2> labels = {{{"team", "a"}, {"env", "dev-2"}}};

// A request that conditions are held against; rows change it.
RuleFacts request() {
    return {.method = "POST",
            .path = "/v1/chat/completions",
            .query = "a=1&flag&name=J%C3%BCrgen+K&a=2&bad=%4&empty=",
            .headers = headers,
            .model = "gpt-4o-mini",
            .stream = true,
            .tools = false,
            .max_tokens = 100,
            .prompt_bytes = 5000,
            .labels = labels};
}

RuleTable compiled(const std::vector<RuleSetting>& settings) {
    Result<RuleTable> table = RuleTable::compile(settings);
    if (!table.ok()) FAIL(table.error().message);
    return std::move(table).value();
}

bool holds(const RuleCondition& when, const RuleFacts& facts = request()) {
    Prng prng(1);
    const RuleTable table = compiled({{.name = "one", .when = when, .use = "m"}});
    return table.choose(facts, prng).has_value();
}

}  // namespace

TEST_CASE("C2: a rule's model is the one that is written, or the one that is found") {
    struct Found final : FoundModel {
        bool is_found_by(std::string_view name) const override { return name == "tiny"; }
        bool is_like(const Wildcard& pattern) const override {
            return pattern.matches("tiny:latest");
        }
    };
    const Found found;
    RuleFacts facts = request();
    CHECK_FALSE(holds({.model = "tiny"}, facts));
    CHECK_FALSE(holds({.model = "tiny*"}, facts));
    facts.found = &found;
    CHECK(holds({.model = "tiny"}, facts));
    CHECK(holds({.model = "tiny*"}, facts));
    CHECK(holds({.model = "gpt-4o-mini"}, facts));
    CHECK(holds({.model = "gpt*"}, facts));
    CHECK_FALSE(holds({.model = "other"}, facts));
    CHECK_FALSE(holds({.model = "other*"}, facts));
}

TEST_CASE("rules: each condition") {
    struct Row {
        RuleCondition when;
        bool holds;
    };
    const Row table[] = {
        {{}, true},
        {{.path = "/v1"}, true},
        {{.path = "/v1/chat/completions"}, true},
        {{.path = "/v1/chat/complete"}, false},
        {{.path = "/v2"}, false},
        {{.method = "POST"}, true},
        {{.method = "GET"}, false},
        {{.method = "POS"}, false},
        {{.headers = {{"x-tier", "gold"}}}, true},
        {{.headers = {{"X-TIER", "gold"}}}, true},
        {{.headers = {{"x-tier", "GOLD"}}}, false},
        // The first field of a name counts.
        {{.headers = {{"x-tier", "silver"}}}, false},
        {{.headers = {{"x-tier", "g*"}}}, true},
        {{.headers = {{"x-tier", "*"}, {"x-version", "canary-*"}}}, true},
        {{.headers = {{"x-tier", "*"}, {"x-version", "stable-*"}}}, false},
        {{.headers = {{"x-other", "*"}}}, false},
        {{.query = {{"a", "1"}}}, true},
        {{.query = {{"a", "2"}}}, false},
        {{.query = {{"flag", "*"}}}, true},
        {{.query = {{"flag", "1"}}}, false},
        {{.query = {{"fla", "*"}}}, false},
        {{.query = {{"empty", "*"}}}, true},
        {{.query = {{"name", "J\xc3\xbcrgen K"}}}, true},
        {{.query = {{"name", "J*K"}}}, true},
        {{.query = {{"bad", "*"}}}, false},
        {{.query = {{"none", "*"}}}, false},
        {{.model = "gpt-4o*"}, true},
        {{.model = "gpt-4o"}, false},
        {{.model = "*mini"}, true},
        {{.stream = true}, true},
        {{.stream = false}, false},
        {{.tools = false}, true},
        {{.tools = true}, false},
        {{.max_tokens = Range{100, 100}}, true},
        {{.max_tokens = Range{.min = 101}}, false},
        {{.max_tokens = Range{.max = 99}}, false},
        {{.prompt_bytes = Range{.min = 5000}}, true},
        {{.prompt_bytes = Range{.max = 4999}}, false},
        {{.consumer = {{"team", "a"}}}, true},
        {{.consumer = {{"team", "a"}, {"env", "dev*"}}}, true},
        {{.consumer = {{"team", "a"}, {"env", "prod*"}}}, false},
        {{.consumer = {{"site", "*"}}}, false},
        // All have to hold.
        {{.path = "/v1", .method = "POST", .model = "gpt*", .stream = true}, true},
        {{.path = "/v1", .method = "POST", .model = "gpt*", .stream = false}, false},
    };
    for (std::size_t i = 0; i < std::size(table); ++i) {
        CAPTURE(i);
        CHECK(holds(table[i].when) == table[i].holds);
    }
}

TEST_CASE("rules: what a request does not have") {
    RuleFacts facts;
    facts.method = "GET";
    facts.path = "/";
    CHECK(holds({}, facts));
    CHECK(!holds({.query = {{"a", "*"}}}, facts));
    CHECK(!holds({.headers = {{"a", "*"}}}, facts));
    // No bound is not a bound of any size.
    CHECK(!holds({.max_tokens = Range{}}, facts));
    CHECK(holds({.prompt_bytes = Range{0, 0}}, facts));
    // No model is matched by what matches nothing as well.
    CHECK(holds({.model = "*"}, facts));
    CHECK(!holds({.model = "?*"}, facts));
}

TEST_CASE("rules: hostile queries") {
    RuleFacts facts = request();
    std::string query;
    for (int i = 0; i < 2000; ++i)
        query += "&&==&%&+&%zz=1&";
    facts.query = query;
    CHECK(!holds({.query = {{"a", "*"}}}, facts));
    query += "a=b";
    facts.query = query;
    CHECK(holds({.query = {{"a", "b"}}}, facts));
    // A plain value may have any length, one to decode may not.
    const std::string longest = "a=" + std::string(1023, 'x') + "%20";
    facts.query = longest;
    CHECK(holds({.query = {{"a", "*x "}}}, facts));
    const std::string too_long = "a=" + std::string(1024, 'x') + "%20";
    facts.query = too_long;
    CHECK(!holds({.query = {{"a", "*"}}}, facts));
    const std::string plain = "a=" + std::string(8000, 'x');
    facts.query = plain;
    CHECK(holds({.query = {{"a", "x*x"}}}, facts));
}

TEST_CASE("rules: the first that holds decides, and matching allocates nothing") {
    std::vector<RuleSetting> settings;
    for (int i = 0; i < 20; ++i) {
        settings.push_back(
            {.name = "tier " + std::to_string(i),
             .when = {.path = "/v1", .headers = {{"x-tier", "level-" + std::to_string(i)}}},
             .use = "model-" + std::to_string(i)});
    }
    settings.push_back({.when = {.query = {{"name", "J*"}}}, .use = "first"});
    settings.push_back({.name = "later", .when = {.model = "gpt*"}, .use = "second"});
    const RuleTable table = compiled(settings);
    CHECK(table.size() == 22);
    Prng prng(1);
    RuleFacts facts = request();
    const std::size_t before = test::allocations().count;
    auto choice = table.choose(facts, prng);
    CHECK(test::allocations().count == before);
    REQUIRE(choice.has_value());
    CHECK(choice->model == "first");
    CHECK(choice->rule == "#21");
    facts.query = {};
    choice = table.choose(facts, prng);
    REQUIRE(choice.has_value());
    CHECK(choice->rule == "later");
    facts.model = "qwen";
    CHECK(!table.choose(facts, prng).has_value());
    CHECK(!RuleTable().choose(facts, prng).has_value());
}

TEST_CASE("rules: what cannot be compiled is said with its rule") {
    struct Row {
        RuleSetting setting;
        std::string_view message;
    };
    const Row table[] = {
        {{.name = "r"}, "Rule r: name one model with `use`, or several with `split`."},
        {{.name = "r", .use = "m", .split = {{"n", 100}}},
         "Rule r: name one model with `use`, or several with `split`."},
        {{.split = {{"a", 90}, {"b", 9}}}, "Rule #1: the split sums up to 99 percent, not to 100."},
        {{.split = {{"a", 4294967295}, {"b", 101}}},
         "Rule #1: the split sums up to 4294967396 percent, not to 100."},
        {{.split = {{"a", 50}, {"a", 50}}}, "Rule #1: \"a\" is in the split twice."},
        {{.split = {{"", 100}}}, "Rule #1: a share of the split names no model."},
        {{.when = {.path = "v1"}, .use = "m"},
         "Rule #1: no request has the path \"v1\": The path does not begin with '/'."},
        {{.when = {.path = "/a/../b"}, .use = "m"},
         "Rule #1: no request has the path \"/a/../b\": The path has a dot segment."},
        {{.when = {.headers = {{"", "x"}}}, .use = "m"}, "Rule #1: a header has no name."},
        {{.when = {.query = {{"q", ""}}}, .use = "m"},
         "Rule #1: q: A pattern is empty: write '*' for anything."},
        {{.when = {.max_tokens = Range{5, 4}}, .use = "m"},
         "Rule #1: a range from 5 to 4 is empty."},
        {{.use = "m", .sticky = {HashSetting::By::header, ""}},
         "Rule #1: `sticky` by header needs the header's name."},
    };
    for (const Row& row : table) {
        CAPTURE(row.message);
        const Result<RuleTable> result = RuleTable::compile({row.setting});
        REQUIRE(!result.ok());
        CHECK(result.error().message == row.message);
    }
}
