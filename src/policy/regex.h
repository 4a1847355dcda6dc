// Regex: the one door to regular expressions (RE2).
//
// The time of a search grows with the length of the text and of the program, never faster: no
// backtracking, so no input makes it hang. Both are bounded. A byte is a character: paths have no
// other encoding than their escapes. The engine keeps a cache behind a lock, so each shard compiles
// its own.
#pragma once

#include "sluice/base/result.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace sluice::policy {

class Regex {
public:
    // Both bound the slowest of RE2's ways, which keeps the groups of all ways through an ambiguous
    // pattern: the worst that was found took 35 million machine instructions.
    static constexpr int program_size_max = 300;
    static constexpr std::size_t text_bytes_max = 2048;
    static constexpr std::size_t pattern_bytes_max = 1024;
    static constexpr std::size_t groups_max = 15;

    // An error says what the engine did not like.
    static Result<std::unique_ptr<Regex>> compile(std::string_view pattern);
    ~Regex();

    // Finds the first match in a text of at most text_bytes_max. groups[0] is all of it, groups[n]
    // what its n-th group matched: empty where it took no part. As many as asked for, at most
    // groups_max + 1.
    bool find(std::string_view text, std::span<std::string_view> groups) const;

    std::size_t groups() const;
    std::optional<std::size_t> group_of(const std::string& name) const;

private:
    explicit Regex(std::unique_ptr<re2::RE2> engine);
    std::unique_ptr<re2::RE2> engine_;
};

}  // namespace sluice::policy
