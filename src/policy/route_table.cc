#include "sluice/policy/route_table.h"

#include "find_header.h"
#include "sluice/policy/path_prefix.h"

#include <algorithm>
#include <utility>

namespace sluice::policy {
namespace {

bool headers_fit(const RouteTable::Route& route, std::span<const http::Field> headers) {
    return std::ranges::all_of(route.headers, [&](const RouteTable::Route::Header& wanted) {
        const auto value = find_header(headers, wanted.name);
        return value && wanted.value.matches(*value);
    });
}

}  // namespace

// --- compiling ------------------------------------------------------------------------------

Result<RouteTable> RouteTable::compile(const std::vector<RouteSetting>& settings) {
    RouteTable table;
    for (std::size_t i = 0; i < settings.size(); ++i) {
        const RouteSetting& setting = settings[i];
        const auto refuse = [&](const Error& error) {
            return Error::gateway("Route " + setting.path + ": " + error.message);
        };
        // Checks the path too.
        auto rewrite = PathRewrite::compile(setting.path, setting.rewrite);
        if (rewrite && !setting.strip_prefix) rewrite = PathRewrite::compile({}, setting.rewrite);
        if (!rewrite) return refuse(rewrite.error());
        Route route{.path = setting.path,
                    .number = i,
                    .methods = setting.methods,
                    .headers = {},
                    .rewrite = std::move(rewrite).value(),
                    .navigate = setting.navigate};
        if (const Status status = compile_headers(setting, route); !status)
            return refuse(status.error());
        table.routes_.push_back(std::move(route));
    }
    std::ranges::sort(table.routes_, [](const Route& a, const Route& b) {
        if (a.path.size() != b.path.size()) return a.path.size() > b.path.size();
        return a.number < b.number;
    });
    return table;
}

Status RouteTable::compile_headers(const RouteSetting& setting, Route& route) {
    for (const NamedPattern& header : setting.headers) {
        auto value = Wildcard::compile(header.value);
        if (!value) return Error::gateway(header.name + ": " + value.error().message);
        route.headers.push_back({header.name, std::move(value).value()});
    }
    return Done{};
}

// --- finding --------------------------------------------------------------------------------

bool RouteTable::Route::allows(std::string_view method) const {
    if (methods.empty()) return true;
    return std::ranges::any_of(methods, [method](const std::string& allowed) {
        return allowed == method || (method == "HEAD" && allowed == "GET");
    });
}

RouteTable::Finding RouteTable::find(const RouteFacts& facts) const {
    constexpr std::size_t none = static_cast<std::size_t>(-1);
    std::size_t refused = none;  // the first one that only the method does not fit
    for (std::size_t i = 0; i < routes_.size(); ++i) {
        const Route& route = routes_[i];
        if (refused != none && route.path.size() < routes_[refused].path.size()) break;
        if (!path_has_prefix(facts.path, route.path) || !headers_fit(route, facts.headers))
            continue;
        if (route.allows(facts.method)) return {.route = &route, .allow = {}};
        if (refused == none) refused = i;
    }
    if (refused == none) return {};
    return {.route = nullptr, .allow = allow_of(refused, facts)};
}

// What all routes of that path take together.
std::string RouteTable::allow_of(std::size_t first, const RouteFacts& facts) const {
    std::vector<std::string_view> all;
    const auto add = [&all](std::string_view method) {
        if (std::ranges::find(all, method) == all.end()) all.push_back(method);
    };
    for (std::size_t i = first; i < routes_.size(); ++i) {
        const Route& route = routes_[i];
        if (route.path.size() < routes_[first].path.size()) break;
        if (!path_has_prefix(facts.path, route.path) || !headers_fit(route, facts.headers))
            continue;
        for (const std::string& method : route.methods) {
            add(method);
            if (method == "GET") add("HEAD");
        }
    }
    std::string text;
    for (const std::string_view method : all)
        text.append(text.empty() ? "" : ", ").append(method);
    SLUICE_ASSERT(!text.empty());
    return text;
}

}  // namespace sluice::policy
