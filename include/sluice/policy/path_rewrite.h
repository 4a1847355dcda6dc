// PathRewrite: the path that a generic route's backend sees instead of the client's.
//
// First the route's prefix is cut off, then the first match of a regular expression is replaced;
// what does not match stays as it is, and so does the query. Only the path is looked at, in the
// form that authentication and routing have read (http::check_path() has passed it): nothing is
// decoded. The result is checked in the same way and may not be longer than the room for it, so
// captured pieces cannot be put together to something that those would have refused.
//
// The time is linear in the length of the path, whatever the pattern and the path (RE2). Compiled
// once by each shard: the engine keeps a cache behind a lock.
#pragma once

#include "sluice/base/result.h"
#include "sluice/policy/route_settings.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::policy {

class Regex;

class PathRewrite {
public:
    // `prefix`: what is cut off, the path of the route; empty: nothing. In the replacement $1 to
    // $9, ${12} and ${name} stand for groups of the pattern, $0 for the whole match, $$ for '$'.
    static Result<PathRewrite> compile(std::string_view prefix,
                                       const std::optional<RewriteSetting>& setting);
    PathRewrite(PathRewrite&&) noexcept;
    PathRewrite& operator=(PathRewrite&&) noexcept;
    ~PathRewrite();

    // The target for the backend, in `room`. A path without the prefix keeps all of it.
    // Errors are the client's: 414 where it does not fit, or is longer than 2 KiB and a pattern
    // would have to be tried; 400 where the new path is not one.
    Result<std::string_view> apply(std::string_view path, std::string_view query,
                                   std::span<char> room) const;

private:
    // Of the replacement: some text, then a group.
    struct Part {
        std::string text;
        std::size_t group = none;
    };
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    PathRewrite();
    Status compile_replacement(std::string_view replacement);
    Status add_group(std::string_view reference);

    std::string prefix_;
    std::unique_ptr<Regex> regex_;  // none: nothing is replaced
    std::vector<Part> replacement_;
    std::size_t groups_ = 1;  // to be found, with the whole match
};

}  // namespace sluice::policy
