// What rules and rewrites are compiled from, in the shape in which the configuration has it.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::policy {

// What the same value of which stays together.
struct HashSetting {
    enum class By : std::uint8_t { client, header, consumer, conversation };
    By by = By::conversation;
    std::string header;  // its name, lower case; for By::header only
};

// A header or query parameter that has to be there, with a value that fits.
struct NamedPattern {
    std::string name;   // of a header: lower case
    std::string value;  // a wildcard
};

// Both ends belong to it.
struct Range {
    std::uint64_t min = 0;
    std::uint64_t max = std::numeric_limits<std::uint64_t>::max();

    bool contains(std::uint64_t value) const { return min <= value && value <= max; }
};

// Everything that is said has to hold; what is not said always holds.
struct RuleCondition {
    std::string path;    // a prefix, whole segments of it
    std::string method;  // upper case
    std::vector<NamedPattern> headers;
    std::vector<NamedPattern> query;
    std::string model;  // a wildcard for the name that the request has
    std::optional<bool> stream;
    std::optional<bool> tools;        // whether the request offers any
    std::optional<Range> max_tokens;  // does not hold where the request sets none
    std::optional<Range> prompt_bytes;
    std::map<std::string, std::string> consumer;  // labels that the consumer has, as wildcards
};

struct RuleShare {
    std::string model;
    unsigned percent = 0;
};

// The first rule of the list that holds decides.
struct RuleSetting {
    std::string name;  // for the log
    RuleCondition when;
    std::string use;               // a model; or else
    std::vector<RuleShare> split;  // several, their percents summing up to 100
    HashSetting sticky;            // the same value of it stays with its share
};

struct RewriteSetting {
    std::string pattern;      // a regular expression of RE2's syntax for the path
    std::string replacement;  // with $1 .. $9 and ${name}
};

}  // namespace sluice::policy
