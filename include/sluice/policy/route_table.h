// RouteTable: which generic route serves a path that is no model's.
//
// The longest path that is a prefix of the request's, by whole segments, decides; of several routes
// with it the first in the settings whose headers and method fit. Where only headers do not fit a
// shorter path may serve; where only the method does not fit none does (405). Paths are compared as
// they are (see path_prefix.h): http::check_path() has passed them.
//
// Compiled once by each shard (see PathRewrite). Finding allocates nothing but the Allow of a 405.
#pragma once

#include "sluice/base/result.h"
#include "sluice/http/head.h"
#include "sluice/policy/path_rewrite.h"
#include "sluice/policy/route_settings.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::policy {

struct RouteFacts {
    std::string_view method;
    std::string_view path;
    std::span<const http::Field> headers;
};

class RouteTable {
public:
    struct Route {
        struct Header {
            std::string name;
            Wildcard value;
        };

        std::string path;
        std::size_t number = 0;            // in the settings
        std::vector<std::string> methods;  // empty: all
        std::vector<Header> headers;
        PathRewrite rewrite;
        bool navigate = false;  // links of other sites may open it

        // HEAD goes wherever GET goes (RFC 9110 section 9.3.2).
        bool allows(std::string_view method) const;
    };
    struct Finding {
        const Route* route = nullptr;
        // Where only the method does not fit: the value of Allow.
        std::string allow;
    };

    RouteTable() = default;
    // An error names the route and what is wrong with it.
    static Result<RouteTable> compile(const std::vector<RouteSetting>& settings);

    Finding find(const RouteFacts& facts) const;
    bool empty() const { return routes_.empty(); }

private:
    static Status compile_headers(const RouteSetting& setting, Route& route);
    std::string allow_of(std::size_t first, const RouteFacts& facts) const;

    std::vector<Route> routes_;  // the longest path first
};

}  // namespace sluice::policy
