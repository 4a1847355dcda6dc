// Wildcards: a pattern in which `*` stands for any run of characters, also none; everything else
// stands for itself. Matching takes time in proportion to pattern times text at most.
#pragma once

#include <cstddef>
#include <string_view>

namespace sluice::config {

inline constexpr std::size_t wildcard_stars_max = 4;

inline bool is_wildcard(std::string_view pattern) {
    return pattern.find('*') != std::string_view::npos;
}

bool wildcard_matches(std::string_view pattern, std::string_view text);

}  // namespace sluice::config
