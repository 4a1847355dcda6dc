#include "cover.h"

#include "sluice/config/wildcard.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::config {
namespace {

std::string_view without_slash(std::string_view path) {
    while (path.ends_with('/'))
        path.remove_suffix(1);
    return path;
}

// Prefixes, in whole segments; none fits all.
bool covers_path(std::string_view outer, std::string_view inner) {
    outer = without_slash(outer);
    inner = without_slash(inner);
    return inner.starts_with(outer) && (inner.size() == outer.size() || inner[outer.size()] == '/');
}

// What has to be there on one side has to be on the other, too, as narrowly at least.
bool covers_all(const std::vector<NamedPattern>& outer, const std::vector<NamedPattern>& inner) {
    return std::ranges::all_of(outer, [&](const NamedPattern& wanted) {
        return std::ranges::any_of(inner, [&](const NamedPattern& given) {
            return given.name == wanted.name && covers(wanted.value, given.value);
        });
    });
}

bool covers_all(const std::map<std::string, std::string>& outer,
                const std::map<std::string, std::string>& inner) {
    return std::ranges::all_of(outer, [&](const auto& wanted) {
        const auto given = inner.find(wanted.first);
        return given != inner.end() && covers(wanted.second, given->second);
    });
}

bool covers_range(const std::optional<Range>& outer, const std::optional<Range>& inner) {
    if (!outer) return true;
    return inner && outer->min <= inner->min && inner->max <= outer->max;
}

template <class T>
bool covers_value(const std::optional<T>& outer, const std::optional<T>& inner) {
    return !outer || outer == inner;
}

}  // namespace

// A star in the inner one is a character like others to the outer one, which only another star
// takes.
bool covers(const std::string& outer, const std::string& inner) {
    const auto wildcard = Wildcard::compile(outer);
    return wildcard.ok() && wildcard.value().matches(inner);
}

bool takes_every_request(const RuleCondition& condition) {
    return covers(condition, RuleCondition{});
}

bool covers(const RuleCondition& outer, const RuleCondition& inner) {
    return covers_path(outer.path, inner.path) &&
           (outer.method.empty() || outer.method == inner.method) &&
           covers_all(outer.headers, inner.headers) && covers_all(outer.query, inner.query) &&
           (outer.model.empty() || (!inner.model.empty() && covers(outer.model, inner.model))) &&
           covers_value(outer.stream, inner.stream) && covers_value(outer.tools, inner.tools) &&
           covers_range(outer.max_tokens, inner.max_tokens) &&
           covers_range(outer.prompt_bytes, inner.prompt_bytes) &&
           covers_all(outer.consumer, inner.consumer);
}

// The longest path decides, so only of those with the same one takes the first all.
bool covers(const RouteSetting& outer, const RouteSetting& inner) {
    if (without_slash(outer.path) != without_slash(inner.path)) return false;
    const auto takes = [&outer](const std::string& method) {
        return std::ranges::find(outer.methods, method) != outer.methods.end();
    };
    const bool methods = outer.methods.empty() ||
                         (!inner.methods.empty() && std::ranges::all_of(inner.methods, takes));
    return methods && covers_all(outer.headers, inner.headers);
}

}  // namespace sluice::config
