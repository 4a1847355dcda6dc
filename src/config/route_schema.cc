// The tables of rules and routes.
#include "conflicts.h"
#include "cover.h"
#include "schema.h"
#include "values.h"

#include <algorithm>
#include <set>
#include <string>

namespace sluice::config {
namespace {

// Without prefix: a path that is no model's has no prompt.
const Choice<Balance> route_balances{{{"auto", Balance::automatic},
                                      {"round-robin", Balance::round_robin},
                                      {"least-busy", Balance::least_busy},
                                      {"least-latency", Balance::least_latency},
                                      {"hash", Balance::hash}}};

constexpr std::int64_t bound_max = 1'000'000'000'000;

const Section& range_section() {
    static const Section section =
        Table<Range>("Both ends belong to it.")
            .key("min", &Range::min, Whole<std::uint64_t>{0, bound_max, "tokens or bytes"},
                 {"At least", "1000"})
            .key("max", &Range::max, Whole<std::uint64_t>{0, bound_max, "tokens or bytes"},
                 {"At most; without it no bound", "8000"})
            .checked([](Reader& reader, const Node& node, Range& range) {
                if (range.min > range.max) reader.problem(node.at, "'min' is more than 'max'");
            });
    return section;
}

const Section& condition_section() {
    using C = RuleCondition;
    static const Section section =
        Table<C>("Everything that is said has to hold; what is not said always does.")
            .key("path", &C::path, path_prefix(),
                 {"How the path begins, in whole segments", "/v1/chat"})
            .key("method", &C::method, method_name(), {"The method", "POST"})
            .key("headers", &C::headers, TextMap{header_name(), wildcard()},
                 {"Headers that are there and whose values fit", "{x-team: \"blue*\"}"})
            .key("query", &C::query, TextMap{plain_text("names"), wildcard()},
                 {"Query parameters that are there and whose values fit", "{beta: \"1\"}"})
            .key("model", &C::model, wildcard(),
                 {"The model that the request names, as it is written or by what it finds: aliases "
                  "and "
                  "Ollama's spellings (`tiny`, `TINY:latest`, `library/tiny:latest`) are the same "
                  "model",
                  "gpt-4o*"})
            .key("stream", &C::stream, Truth{}, {"Whether it asks for a stream", "true"})
            .key("tools", &C::tools, Truth{}, {"Whether it offers tools", "false"})
            .map("max_tokens", &C::max_tokens, range_section(),
                 {"What it sets as its bound of tokens; does not hold where it sets none", ""})
            .map("prompt_bytes", &C::prompt_bytes, range_section(),
                 {"The size in bytes of its messages (prompt, input) and its instructions", ""})
            .key("consumer", &C::consumer, TextMap{plain_text("names"), wildcard()},
                 {"Labels that its consumer has and whose values fit", "{team: a}"})
            .checked([](Reader& reader, const Node& node, C& condition) {
                if (!condition.consumer.empty()) reader.needs_consumers("'consumer'", node.at);
            });
    return section;
}

const Section& share_section() {
    using S = RuleShare;
    static const Section section =
        Table<S>("A model and its share.")
            .key("model", &S::model, model_reference(), {"Which one", "qwen-coder", true})
            .key("percent", &S::percent, Whole<unsigned>{0, 100, "percent"},
                 {"Of the requests; all of a split make 100", "10", true})
            .done();
    return section;
}

// The first rule that holds decides.
void check_reached(Reader& reader, const Node& node, const RuleSetting& rule) {
    for (const auto& before : reader.rules) {
        const RuleCondition& when = before.setting.when;
        if (!covers(when, rule.when)) continue;
        reader.problem(node.at,
                       "is never reached: the rule '" + shown(before.setting.name) + "' in line " +
                           std::to_string(before.at.line) +
                           (when == RuleCondition{}     ? " has no 'when' and takes every request"
                            : takes_every_request(when) ? " takes every request"
                            : when == rule.when         ? " has the same 'when'"
                                                : " takes all that this one could: put it behind"));
        break;
    }
    reader.rules.push_back({rule, node.at});
}

void check_rule(Reader& reader, const Node& node, RuleSetting& rule) {
    const Node* name = node.find("name");
    if (name != nullptr) reader.given_once("name of a rule", rule.name, name->at);
    check_reached(reader, node, rule);
    const bool uses = node.find("use") != nullptr;
    const Node* split = node.find("split");
    if (uses == (split != nullptr))
        return reader.problem(node.at, uses ? "either 'use' or 'split', not both"
                                            : "needs 'use' with a model, or 'split' with several");
    if (split == nullptr) {
        if (const Node* sticky = node.find("sticky"); sticky != nullptr)
            reader.problem(sticky->at, "'sticky' does nothing without a 'split'");
        return;
    }
    unsigned sum = 0;
    std::set<std::string> models;
    for (const RuleShare& share : rule.split) {
        sum += share.percent;
        if (!models.insert(share.model).second)
            reader.problem(split->at,
                           "'split' names '" + shown(share.model) + "' twice: give it one share");
    }
    if (sum == 100) return;
    reader.problem(split->at,
                   "the percents of 'split' make " + std::to_string(sum) + ": expected 100");
}

const Section& rewrite_section() {
    using R = RewriteSetting;
    static const Section section =
        Table<R>(
            "The path is changed where the pattern fits the whole of it or a part; what does "
            "not fit stays as it is, and so does the query.")
            .key("pattern", &R::pattern, plain_text("a regular expression"),
                 {"What is replaced: the first match of a regular expression in the syntax of RE2, "
                  "which has no look-around and no back-references",
                  "^/v1/(.*)$", true})
            .key("replacement", &R::replacement, any_text("a text"),
                 {"By what: $1 to $9, ${12} and ${name} are groups of the pattern, $0 is the whole "
                  "match, $$ a '$'; \"\" cuts the match out",
                  "/api/$1", true})
            .checked([](Reader& reader, const Node& node, RewriteSetting& rewrite) {
                const auto& judge = reader.checks().rewrite;
                if (!judge) return;
                // By itself first: then it is known which of the two is wrong.
                const Status pattern = judge({rewrite.pattern, {}});
                const Status both = pattern ? judge(rewrite) : pattern;
                if (both) return;
                const char* wrong = pattern ? "replacement" : "pattern";
                const Reader::Step step(reader, wrong);
                reader.problem(node.find(wrong)->at, both.error().message);
            });
    return section;
}

void check_reached(Reader& reader, const Node& node, const RouteSetting& route) {
    for (const auto& before : reader.routes) {
        if (!covers(before.setting, route)) continue;
        reader.problem(node.at, "is never reached: the route in line " +
                                    std::to_string(before.at.line) +
                                    " has the same path and takes all of it");
        break;
    }
    reader.routes.push_back({route, node.at});
}

BackendSetting backend_of_route(const RouteSetting& route) {
    BackendSetting backend;
    backend.timeouts = route.timeouts;
    return backend;
}

}  // namespace

const Section& rule_section() {
    using R = RuleSetting;
    static const Section section =
        Table<R>(
            "Which model serves a request, by more than the name it asks for. The first rule "
            "of the list that holds decides.")
            .key("name", &R::name, plain_text("a text"), {"For the log", "long-prompts", true})
            .map("when", &R::when, condition_section(), {"What has to hold; without it all", ""})
            .key("use", &R::use, model_reference(), {"The model that serves it", "qwen-coder"})
            .maps("split", &R::split, share_section(), [](const R&) { return RuleShare{}; },
                  {"Or several models by percentage", ""})
            .map("sticky", &R::sticky, hash_section(), {"Who stays with its share of a split", ""})
            .checked(check_rule);
    return section;
}

const Section& route_section() {
    using R = RouteSetting;
    static const Section section =
        Table<R>(
            "A path that is relayed as it is, for tools and APIs that are no models. The longest "
            "path that fits a request decides, then the order of the list; endpoints of models "
            "and the gateway's own paths are never a route's. A request that was sent is tried "
            "again on another backend only if its method is GET, HEAD, OPTIONS, PUT or DELETE.")
            .key("path", &R::path, path_prefix(),
                 {"How the path begins, in whole segments", "/ai/predict", true})
            .key("methods", &R::methods, Texts{method_name()},
                 {"Only these; without it all", "[GET, POST]"})
            .key("headers", &R::headers, TextMap{header_name(), wildcard()},
                 {"Only with these headers, whose values fit", "{x-version: \"2*\"}"})
            .key("balance", &R::balance, route_balances,
                 {"How one of the backends is chosen; auto: least-busy", "round-robin"})
            .map("hash", &R::hash, hash_section(),
                 {"For `balance: hash`; without it by client", ""})
            .map("timeouts", &R::timeouts, timeouts_section(),
                 {"Its own deadlines; what is not said is that of `defaults`", ""})
            .map("breaker", &R::breaker, breaker_section(), {"When a backend is left alone", ""})
            .map("health", &R::health, health_section(),
                 {"How backends are watched; without `path` any answer to GET / will do", ""})
            .maps("backends", &R::backends, route_backend_section(), backend_of_route,
                  {"Who serves it; at least one, at most " +
                       std::to_string(limits::pool_backends_max),
                   "", true})
            .key("navigate", &R::navigate, Truth{},
                 {"It is a web UI: links on other sites may open it. Otherwise a browser that "
                  "comes from another site is refused",
                  "true"})
            .key("strip_prefix", &R::strip_prefix, Truth{},
                 {"Take `path` off the front of the path, before `rewrite`", "true"})
            .map("rewrite", &R::rewrite, rewrite_section(), {"Change the path", ""})
            .checked([](Reader& reader, const Node& node, RouteSetting& route) {
                const Node* backends = node.find("backends");
                if (backends != nullptr && backends->kind == Node::Kind::list &&
                    route.backends.empty())
                    reader.problem(backends->at, "a route needs at least one backend");
                check_hash(reader, node, route.balance);
                if (backends != nullptr) {
                    check_pool(reader, backends->at, route.backends.size());
                    check_twice(reader, *backends, route.backends);
                }
                check_reached(reader, node, route);
                if (!reader.checks().route) return;
                const Reader::Step step(reader, "path");
                if (const Status status = reader.checks().route(route.path); !status)
                    reader.problem(node.find("path")->at, status.error().message);
            });
    return section;
}

}  // namespace sluice::config
