// RuleTable: the rules that choose a model by more than its name.
//
// The first rule all of whose conditions hold decides. It names one model, or splits its requests
// between several by percent. A split sticks to a key (conversation, client, header or consumer):
// the same key gets the same model as long as the split is the same, on every shard and after a
// restart, and when two models' percents change only the keys of the difference move. Weighted
// rendezvous hashing: the order in which the models are written does not matter, and with three or
// more of them few keys beside the difference move. A request without the key is split at random.
//
// Compiled once from the configuration. Matching allocates nothing, and reads the target that was
// parsed once for everybody: http::check_path() has passed its path.
#pragma once

#include "sluice/base/prng.h"
#include "sluice/base/result.h"
#include "sluice/http/head.h"
#include "sluice/policy/route_settings.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::policy {

struct Label {
    std::string_view name;
    std::string_view value;
};

// The model that a request finds, which may be written otherwise than in a rule.
class FoundModel {
public:
    // Whether a request for that name would find the same one.
    virtual bool is_found_by(std::string_view name) const = 0;
    // Whether one of its own names is like this.
    virtual bool is_like(const Wildcard& pattern) const = 0;

protected:
    ~FoundModel() = default;
};

// What rules ask about a request. Views of it: they outlive only the call.
struct RuleFacts {
    std::string_view method;
    std::string_view path;
    std::string_view query;  // without the '?'
    std::span<const http::Field> headers;
    std::string_view model;             // as the request writes it
    const FoundModel* found = nullptr;  // what it finds; null: nothing, or nobody knows
    bool stream = false;
    bool tools = false;
    std::optional<std::uint64_t> max_tokens;
    std::uint64_t prompt_bytes = 0;
    std::span<const Label> labels;  // the consumer's
    // The keys of a split; empty where there is none.
    std::string_view client;
    std::string_view consumer;
    std::string_view conversation;
};

struct RuleChoice {
    std::string_view rule;  // its name
    std::string_view model;
};

class RuleTable {
public:
    RuleTable() = default;
    // An error names the rule and what is wrong with it.
    static Result<RuleTable> compile(const std::vector<RuleSetting>& settings);

    // None: no rule holds, the request's own model name counts. Views of the table.
    std::optional<RuleChoice> choose(const RuleFacts& facts, Prng& prng) const;

    // Whether some split sticks to that: what costs something is found out only then.
    bool splits_by(HashSetting::By key) const;

    bool empty() const { return rules_.empty(); }
    std::size_t size() const { return rules_.size(); }

private:
    struct Named {
        std::string name;
        Wildcard value;
    };
    struct Share {
        std::string model;
        unsigned percent = 0;
        std::uint64_t hash = 0;  // of the model's name
    };
    struct Rule {
        std::string name;
        std::string path;
        std::string method;
        std::vector<Named> headers;
        std::vector<Named> query;
        std::optional<Wildcard> model;
        std::optional<bool> stream;
        std::optional<bool> tools;
        std::optional<Range> max_tokens;
        std::optional<Range> prompt_bytes;
        std::vector<Named> labels;
        std::vector<Share> shares;  // one: all
        HashSetting sticky;
    };

    static Status compile_condition(const RuleCondition& when, Rule& rule);
    static Status compile_shares(const RuleSetting& setting, Rule& rule);
    static bool holds(const Rule& rule, const RuleFacts& facts);
    static bool is_model_of(const Rule& rule, const RuleFacts& facts);
    static std::string_view split(const Rule& rule, const RuleFacts& facts, Prng& prng);

    std::vector<Rule> rules_;
};

}  // namespace sluice::policy
