// A rewritten path must obey what was asked of the path, whatever the pattern, the replacement and
// the path; and a wildcard must match what it means.
//
// Input: four lines: a pattern (a regular expression, and a wildcard), the replacement, the prefix
// of the route, the target.
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"
#include "sluice/config/wildcard.h"
#include "sluice/http/path.h"
#include "sluice/policy/path_prefix.h"
#include "sluice/policy/path_rewrite.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

std::string_view take_until(std::string_view& text, char end) {
    const std::string_view taken = text.substr(0, text.find(end));
    text.remove_prefix(std::min(taken.size() + 1, text.size()));
    return taken;
}

// Which beginnings of the text the beginning of the pattern matches, pattern byte by byte.
bool matches_plainly(std::string_view pattern, std::string_view text) {
    std::vector<char> reached(text.size() + 1, 0);
    reached[0] = 1;
    for (const char c : pattern) {
        if (c == '*') {
            for (std::size_t i = 1; i <= text.size(); ++i)
                reached[i] = reached[i] | reached[i - 1];
            continue;
        }
        for (std::size_t i = text.size(); i > 0; --i)
            reached[i] = reached[i - 1] && text[i - 1] == c;
        reached[0] = 0;
    }
    return reached[text.size()] != 0;
}

void check_wildcard(std::string_view pattern, std::string_view text) {
    const Result<Wildcard> wildcard = Wildcard::compile(pattern);
    SLUICE_ASSERT(wildcard.ok() ==
                  (!pattern.empty() && pattern.size() <= Wildcard::pattern_bytes_max));
    if (!wildcard.ok() || text.size() > limits::KiB) return;
    SLUICE_ASSERT(wildcard.value().matches(text) == matches_plainly(pattern, text));
}

void check_rewrite(const PathRewrite& rewrite, std::string_view path, std::string_view query) {
    std::array<char, limits::request_line_bytes_max> room;
    const Result<std::string_view> target = rewrite.apply(path, query, room);
    if (!target.ok()) {
        SLUICE_ASSERT(target.error().status == 400 || target.error().status == 414);
        return;
    }
    SLUICE_ASSERT(target.value().size() <= room.size());
    const std::size_t mark = target.value().find('?');
    SLUICE_ASSERT(http::check_path(target.value().substr(0, mark)).ok());
    if (query.empty()) {
        SLUICE_ASSERT(mark == std::string_view::npos);
    } else {
        SLUICE_ASSERT(target.value().substr(mark + 1) == query);
    }
    // The same path again gives the same.
    std::array<char, limits::request_line_bytes_max> second;
    SLUICE_ASSERT(rewrite.apply(path, query, second).value() == target.value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::string_view pattern = take_until(input, '\n');
    const std::string_view replacement = take_until(input, '\n');
    const std::string_view prefix = take_until(input, '\n');
    check_wildcard(pattern, input);

    const std::string_view path = take_until(input, '?');
    if (!http::check_path(path).ok()) return 0;
    const Result<PathRewrite> stripped = PathRewrite::compile(prefix, {});
    if (!stripped.ok()) return 0;
    check_rewrite(stripped.value(), path, input);
    if (!prefix.empty()) SLUICE_ASSERT(path_has_prefix(prefix, prefix));
    const RewriteSetting setting{std::string(pattern), std::string(replacement)};
    const Result<PathRewrite> rewrite = PathRewrite::compile(prefix, setting);
    if (rewrite.ok()) check_rewrite(rewrite.value(), path, input);
    return 0;
}
