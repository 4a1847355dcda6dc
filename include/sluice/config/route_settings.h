// What a user can say about which requests go where: rules that choose a model by more than its
// name, and routes for paths that are not a model's at all.
#pragma once

#include "sluice/config/model_settings.h"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::config {

// A header or query parameter that has to be there, with a value that fits.
struct NamedPattern {
    std::string name;   // of a header: lower case
    std::string value;  // a wildcard: `*` is any run of characters

    bool operator==(const NamedPattern&) const = default;
};

// Both ends belong to it.
struct Range {
    std::uint64_t min = 0;
    std::uint64_t max = std::numeric_limits<std::uint64_t>::max();

    bool contains(std::uint64_t value) const { return min <= value && value <= max; }
    bool operator==(const Range&) const = default;
};

// Everything that is said has to hold; what is not said always holds.
struct RuleCondition {
    std::string path;    // a prefix
    std::string method;  // upper case
    std::vector<NamedPattern> headers;
    std::vector<NamedPattern> query;
    std::string model;  // a wildcard for the name that the request has
    std::optional<bool> stream;
    std::optional<bool> tools;        // whether the request offers any
    std::optional<Range> max_tokens;  // does not hold where the request sets none
    std::optional<Range> prompt_bytes;
    std::map<std::string, std::string> consumer;  // labels that the consumer has

    bool operator==(const RuleCondition&) const = default;
};

struct RuleShare {
    std::string model;
    unsigned percent = 0;

    bool operator==(const RuleShare&) const = default;
};

// The first rule of the list that holds decides.
struct RuleSetting {
    std::string name;  // for the log
    RuleCondition when;
    std::string use;               // a model; or else
    std::vector<RuleShare> split;  // several, their percents summing up to 100
    HashSetting sticky;            // the same value of it stays with its share

    bool operator==(const RuleSetting&) const = default;
};

struct RewriteSetting {
    std::string pattern;      // a regular expression (RE2) for the path
    std::string replacement;  // with $1 .. $9

    bool operator==(const RewriteSetting&) const = default;
};

// A path that is relayed as it is: an internal tool or API behind the same door.
struct RouteSetting {
    std::string path;                  // a prefix, whole segments of it
    std::vector<std::string> methods;  // upper case; empty: all
    std::vector<NamedPattern> headers;
    std::vector<BackendSetting> backends;
    Balance balance = Balance::automatic;  // prefix is for models only
    HashSetting hash{HashSetting::By::client, {}};
    ModelTimeouts timeouts;
    BreakerSetting breaker;
    HealthSetting health;
    bool navigate = false;      // links of other sites may open it
    bool strip_prefix = false;  // before `rewrite`
    std::optional<RewriteSetting> rewrite;

    bool operator==(const RouteSetting&) const = default;
};

}  // namespace sluice::config
