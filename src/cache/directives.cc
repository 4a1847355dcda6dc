#include "sluice/cache/directives.h"

#include "sluice/http/value.h"

#include <algorithm>
#include <array>

namespace sluice::cache {

namespace {

// Seconds that are more than any answer is kept, and whose nanoseconds fit (RFC 9111 section 1.2.2
// asks for 2^31 at least where a number does not fit).
constexpr std::int64_t seconds_max = std::int64_t{1} << 32;
constexpr Duration without_end = Duration::seconds(seconds_max);

// Takes the next directive off the list: up to a comma that stands in no quotes.
std::string_view take_directive(std::string_view& list) {
    bool quoted = false;
    std::size_t at = 0;
    for (; at < list.size() && (quoted || list[at] != ','); ++at) {
        if (list[at] == '"') quoted = !quoted;
        if (quoted && list[at] == '\\') ++at;
    }
    at = std::min(at, list.size());
    const std::string_view taken = http::trim(list.substr(0, at));
    list.remove_prefix(std::min(at + 1, list.size()));
    return taken;
}

std::string_view without_quotes(std::string_view value) {
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    return quoted ? http::trim(value.substr(1, value.size() - 2)) : value;
}

std::optional<Duration> read_seconds(std::string_view value) {
    const bool all_digits = std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
    if (value.empty() || !all_digits) return std::nullopt;
    std::int64_t seconds = 0;
    for (const char c : value)
        seconds = std::min(seconds * 10 + (c - '0'), seconds_max);
    return Duration::seconds(seconds);
}

}  // namespace

void add_directives(std::string_view value, Directives& directives) {
    while (!value.empty()) {
        const std::string_view directive = take_directive(value);
        const std::size_t equals = std::min(directive.find('='), directive.size());
        const std::string_view name = http::trim(directive.substr(0, equals));
        const bool has_value = equals < directive.size();
        const std::string_view text =
            has_value ? without_quotes(http::trim(directive.substr(equals + 1))) : "";
        const auto is = [name](std::string_view known) { return http::same_name(name, known); };
        if (is("no-store")) {
            directives.no_store = true;
        } else if (is("no-cache")) {
            directives.no_cache = true;
        } else if (is("only-if-cached")) {
            directives.only_if_cached = true;
        } else if (is("max-age")) {
            const Duration asked = read_seconds(text).value_or(Duration{});
            directives.max_age = std::min(asked, directives.max_age.value_or(without_end));
        } else if (is("min-fresh")) {
            const Duration asked = read_seconds(text).value_or(without_end);
            directives.min_fresh = std::max(asked, directives.min_fresh);
        } else if (is("max-stale")) {
            const auto asked = has_value ? read_seconds(text) : without_end;
            const Duration before = directives.max_stale.value_or(without_end);
            directives.max_stale = std::min(asked.value_or(Duration{}), before);
        }
    }
}

Directives read_directives(const http::Head& head) {
    Directives directives;
    if (!head.has(http::FieldId::cache_control)) return directives;
    for (const http::Field& field : head.fields()) {
        if (field.id == http::FieldId::cache_control) add_directives(field.value, directives);
    }
    return directives;
}

Use use(std::optional<StoredAge> stored, const Directives& directives) {
    const auto judged = [&] {
        if (directives.no_store) return Use::bypass;
        if (directives.no_cache || !stored) return Use::miss;
        if (directives.max_age && stored->age > *directives.max_age) return Use::miss;
        const Duration fresh = stored->ttl - stored->age;
        if (fresh.ns > 0 && fresh >= directives.min_fresh) return Use::hit;
        // Whoever asks for some freshness to be left takes nothing that is over.
        const bool wants_fresh = directives.min_fresh.ns > 0 || !directives.max_stale;
        if (wants_fresh || Duration{-fresh.ns} > *directives.max_stale) return Use::miss;
        return Use::stale;
    }();
    const bool found = judged == Use::hit || judged == Use::stale;
    return directives.only_if_cached && !found ? Use::refuse : judged;
}

std::string_view name_of(Outcome outcome) {
    static constexpr std::array<std::string_view, outcome_count> names{
        "hit", "miss", "bypass", "joined", "stale", "partial"};
    return names[static_cast<std::size_t>(outcome)];
}

std::uint64_t age_seconds(Duration age) {
    return age.ns <= 0 ? 0 : static_cast<std::uint64_t>(age.ns / Duration::seconds(1).ns);
}

}  // namespace sluice::cache
