#include "sluice/cache/eligible.h"

#include "sluice/cache/canonical.h"
#include "sluice/http/value.h"

#include <algorithm>
#include <string_view>

namespace sluice::cache {

namespace {

Bypass before_body(Sharing sharing, Bypass asked) {
    return sharing == Sharing::never ? Bypass::off : asked;
}

Bypass with_body(Bypass so_far, Sharing sharing, Bypass body, bool deterministic) {
    if (so_far != Bypass::none) return so_far;
    if (body != Bypass::none) return body;
    const bool shared = deterministic || sharing == Sharing::always;
    return shared ? Bypass::none : Bypass::not_determined;
}

bool begins_with(std::string_view name, std::string_view prefix) {
    return name.size() >= prefix.size() && http::same_name(name.substr(0, prefix.size()), prefix);
}

bool changes_the_answer(std::string_view name) {
    static constexpr std::string_view families[] = {"anthropic-", "helicone-", "openai-",
                                                    "x-litellm-", "x-portkey-"};
    return std::ranges::any_of(families,
                               [name](std::string_view each) { return begins_with(name, each); }) &&
           !http::same_name(name, "anthropic-dangerous-direct-browser-access");
}

}  // namespace

Eligible eligible(SharingSettings settings, const llm::Endpoint& endpoint,
                  const Directives& directives) {
    Bypass both = is_shareable(endpoint) ? Bypass::none : Bypass::endpoint;
    if (both == Bypass::none && directives.no_store) both = Bypass::no_store;
    const Bypass join = both == Bypass::none && directives.no_cache ? Bypass::no_cache : both;
    return {before_body(settings.join, join), before_body(settings.cache, both)};
}

Eligible eligible(Eligible so_far, SharingSettings settings, Bypass body, bool deterministic) {
    return {with_body(so_far.join, settings.join, body, deterministic),
            with_body(so_far.cache, settings.cache, body, deterministic)};
}

std::string fields_of_key(std::string_view lines) {
    std::string out;
    while (!lines.empty()) {
        const auto end = std::min(lines.find("\r\n"), lines.size());
        const auto line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 2, lines.size()));
        const auto colon = std::min(line.find(':'), line.size());
        if (!changes_the_answer(line.substr(0, colon))) continue;
        const auto value = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
        out.append(http::lower_case(line.substr(0, colon))).append(":");
        out.append(line.substr(value)).append("\n");
    }
    return out;
}

}  // namespace sluice::cache
