// What it costs to find the rule of a request, the model of a split, and a backend's path.
#include "sluice/policy/route.h"

#include "sluice/base/limits.h"
#include "sluice/config/wildcard.h"
#include "sluice/policy/path_rewrite.h"

#include <benchmark/benchmark.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::policy {

namespace {

constexpr std::array<http::Field, 6> headers = {{
    {"Host", "localhost:8642"},
    {"User-Agent", "OpenAI/JS 5.0"},
    {"Content-Type", "application/json"},
    {"Authorization", "Bearer sk-something-of-usual-length"},
    {"X-Stainless-Retry-Count", "0"},
    {"X-Tier", "gold"},
}};
constexpr std::array<Label, 2> labels = {{{"team", "a"}, {"env", "dev"}}};

RuleFacts request() {
    return {.method = "POST",
            .path = "/v1/chat/completions",
            .query = "trace=1&version=2",
            .headers = headers,
            .model = "gpt-4o-mini",
            .stream = true,
            .max_tokens = 512,
            .prompt_bytes = 4000,
            .labels = labels,
            .conversation = "0123456789abcdef"};
}

// Rules of each kind, of which the last of twenty holds.
RuleTable twenty_rules() {
    const std::vector<RuleCondition> misses = {
        {.path = "/v1/embeddings"},
        {.headers = {{"x-tier", "silver*"}}},
        {.query = {{"version", "3"}}},
        {.model = "gpt-*-large"},
        {.tools = true},
        {.max_tokens = Range{.min = 4096}},
        {.consumer = {{"team", "b"}}},
    };
    std::vector<RuleSetting> settings;
    for (std::size_t i = 0; i < 19; ++i)
        settings.push_back({.when = misses[i % misses.size()], .use = "other"});
    settings.push_back(
        {.when = {.path = "/v1", .model = "gpt-4o*"}, .split = {{"stable", 90}, {"canary", 10}}});
    return std::move(RuleTable::compile(settings)).value();
}

void rule_of_twenty(benchmark::State& state) {
    const RuleTable table = twenty_rules();
    const RuleFacts facts = request();
    Prng prng(1);
    for ([[maybe_unused]] auto _ : state)
        benchmark::DoNotOptimize(table.choose(facts, prng));
}

void model_of_a_thousand_names(benchmark::State& state) {
    config::WildcardTable table;
    for (std::size_t i = 0; i < 1000; ++i)
        benchmark::DoNotOptimize(table.add("model-" + std::to_string(i), i).ok());
    for ([[maybe_unused]] auto _ : state)
        benchmark::DoNotOptimize(table.find("model-777"));
}

void rewrite(benchmark::State& state, const std::optional<RewriteSetting>& setting) {
    const auto rewritten = PathRewrite::compile("/ai", setting);
    std::array<char, limits::request_line_bytes_max> room;
    for ([[maybe_unused]] auto _ : state)
        benchmark::DoNotOptimize(rewritten.value().apply("/ai/predict/7", "a=1", room).ok());
}
void rewrite_of_a_prefix(benchmark::State& state) {
    rewrite(state, {});
}
void rewrite_with_a_pattern(benchmark::State& state) {
    rewrite(state, RewriteSetting{"^/([a-z]+)/(.*)$", "/v2/$2/$1"});
}

BENCHMARK(rule_of_twenty);
BENCHMARK(model_of_a_thousand_names);
BENCHMARK(rewrite_of_a_prefix);
BENCHMARK(rewrite_with_a_pattern);

}  // namespace

}  // namespace sluice::policy
