#include "sluice/policy/route.h"

#include "find_header.h"
#include "sluice/http/path.h"
#include "sluice/policy/hash.h"
#include "sluice/policy/path_prefix.h"
#include "sluice/policy/query.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace sluice::policy {

namespace {

Error bad_rule(const std::string& what) {
    return Error::client(400, what);
}

// Uniform in (0, 1], from the upper 53 bits.
double unit(std::uint64_t hash) {
    return (static_cast<double>(hash >> 11) + 1) * 0x1p-53;
}

}  // namespace

// --- compiling ------------------------------------------------------------------------------

Result<RuleTable> RuleTable::compile(const std::vector<RuleSetting>& settings) {
    RuleTable table;
    for (std::size_t i = 0; i < settings.size(); ++i) {
        const RuleSetting& setting = settings[i];
        Rule rule;
        rule.name = setting.name.empty() ? "#" + std::to_string(i + 1) : setting.name;
        rule.sticky = setting.sticky;
        Status status = compile_condition(setting.when, rule);
        if (status.ok()) status = compile_shares(setting, rule);
        if (!status.ok()) return bad_rule("Rule " + rule.name + ": " + status.error().message);
        table.rules_.push_back(std::move(rule));
    }
    return table;
}

Status RuleTable::compile_condition(const RuleCondition& when, Rule& rule) {
    const auto add = [](std::vector<Named>& to, const char* what, const std::string& name,
                        const std::string& value) -> Status {
        if (name.empty()) return bad_rule(std::string("a ") + what + " has no name.");
        Result<Wildcard> pattern = Wildcard::compile(value);
        if (!pattern.ok()) return bad_rule(name + ": " + pattern.error().message);
        to.push_back({name, std::move(pattern).value()});
        return Done{};
    };
    if (!when.path.empty()) {
        const Status path = http::check_path(when.path);
        if (!path.ok()) {
            return bad_rule("no request has the path \"" + when.path +
                            "\": " + path.error().message);
        }
    }
    if (!when.model.empty()) {
        Result<Wildcard> model = Wildcard::compile(when.model);
        if (!model.ok()) return bad_rule("model: " + model.error().message);
        rule.model = std::move(model).value();
    }
    for (const NamedPattern& header : when.headers)
        if (Status s = add(rule.headers, "header", header.name, header.value); !s.ok()) return s;
    for (const NamedPattern& parameter : when.query)
        if (Status s = add(rule.query, "query parameter", parameter.name, parameter.value); !s.ok())
            return s;
    for (const auto& [name, value] : when.consumer)
        if (Status s = add(rule.labels, "label", name, value); !s.ok()) return s;
    for (const auto& range : {when.max_tokens, when.prompt_bytes}) {
        if (range && range->min > range->max) {
            return bad_rule("a range from " + std::to_string(range->min) + " to " +
                            std::to_string(range->max) + " is empty.");
        }
    }
    rule.path = when.path;
    rule.method = when.method;
    rule.stream = when.stream;
    rule.tools = when.tools;
    rule.max_tokens = when.max_tokens;
    rule.prompt_bytes = when.prompt_bytes;
    return Done{};
}

Status RuleTable::compile_shares(const RuleSetting& setting, Rule& rule) {
    if (setting.use.empty() == setting.split.empty()) {
        return bad_rule("name one model with `use`, or several with `split`.");
    }
    if (setting.sticky.by == HashSetting::By::header && setting.sticky.header.empty()) {
        return bad_rule("`sticky` by header needs the header's name.");
    }
    if (!setting.use.empty()) {
        rule.shares.push_back({setting.use, 100, hash_text(setting.use)});
        return Done{};
    }
    std::uint64_t sum = 0;
    for (const RuleShare& share : setting.split) {
        if (share.model.empty()) return bad_rule("a share of the split names no model.");
        if (std::ranges::find(rule.shares, share.model, &Share::model) != rule.shares.end()) {
            return bad_rule("\"" + share.model + "\" is in the split twice.");
        }
        sum += share.percent;
        rule.shares.push_back({share.model, share.percent, hash_text(share.model)});
    }
    if (sum != 100) {
        return bad_rule("the split sums up to " + std::to_string(sum) + " percent, not to 100.");
    }
    return Done{};
}

// --- matching -------------------------------------------------------------------------------

// By the name that was written, or by the model that it finds: else another spelling of the name
// would pass around the rule.
bool RuleTable::is_model_of(const Rule& rule, const RuleFacts& facts) {
    if (rule.model->matches(facts.model)) return true;
    if (facts.found == nullptr) return false;
    return rule.model->exact() ? facts.found->is_found_by(rule.model->pattern())
                               : facts.found->is_like(*rule.model);
}

// The cheap ones first.
bool RuleTable::holds(const Rule& rule, const RuleFacts& facts) {
    if (rule.stream && *rule.stream != facts.stream) return false;
    if (rule.tools && *rule.tools != facts.tools) return false;
    if (rule.max_tokens && !(facts.max_tokens && rule.max_tokens->contains(*facts.max_tokens)))
        return false;
    if (rule.prompt_bytes && !rule.prompt_bytes->contains(facts.prompt_bytes)) return false;
    if (!rule.method.empty() && rule.method != facts.method) return false;
    if (rule.model && !is_model_of(rule, facts)) return false;
    if (!rule.path.empty() && !path_has_prefix(facts.path, rule.path)) return false;
    for (const Named& label : rule.labels) {
        const auto at = std::ranges::find(facts.labels, label.name, &Label::name);
        if (at == facts.labels.end() || !label.value.matches(at->value)) return false;
    }
    for (const Named& header : rule.headers) {
        const auto value = find_header(facts.headers, header.name);
        if (!value || !header.value.matches(*value)) return false;
    }
    for (const Named& parameter : rule.query) {
        QueryRoom room;
        const auto value = find_parameter(facts.query, parameter.name, room);
        if (!value || !parameter.value.matches(*value)) return false;
    }
    return true;
}

bool RuleTable::splits_by(HashSetting::By key) const {
    return std::ranges::any_of(rules_, [key](const Rule& rule) {
        return rule.shares.size() > 1 && rule.sticky.by == key;
    });
}

std::optional<RuleChoice> RuleTable::choose(const RuleFacts& facts, Prng& prng) const {
    for (const Rule& rule : rules_)
        if (holds(rule, facts)) return RuleChoice{rule.name, split(rule, facts, prng)};
    return {};
}

std::string_view RuleTable::split(const Rule& rule, const RuleFacts& facts, Prng& prng) {
    SLUICE_ASSERT(!rule.shares.empty());
    if (rule.shares.size() == 1) return rule.shares.front().model;
    std::string_view key;
    switch (rule.sticky.by) {
        case HashSetting::By::client:
            key = facts.client;
            break;
        case HashSetting::By::header:
            key = find_header(facts.headers, rule.sticky.header).value_or(std::string_view());
            break;
        case HashSetting::By::consumer:
            key = facts.consumer;
            break;
        case HashSetting::By::conversation:
            key = facts.conversation;
            break;
    }
    const std::uint64_t hash = key.empty() ? prng.next() : hash_text(key);
    // Each share draws a waiting time of its rate from the key; the first one wins.
    const Share* winner = nullptr;
    double least = std::numeric_limits<double>::infinity();
    for (const Share& share : rule.shares) {
        if (share.percent == 0) continue;
        const double time = -std::log(unit(mix(hash ^ share.hash))) / share.percent;
        if (winner != nullptr && time >= least) continue;
        winner = &share;
        least = time;
    }
    SLUICE_ASSERT(winner != nullptr);
    return winner->model;
}

}  // namespace sluice::policy
