#include "sluice/config/wildcard.h"

namespace sluice::config {

// Greedy with one step back: the last star takes one character more each time what follows fails.
bool wildcard_matches(std::string_view pattern, std::string_view text) {
    constexpr std::size_t none = std::string_view::npos;
    std::size_t at = 0;
    std::size_t in = 0;
    std::size_t star = none;
    std::size_t taken = 0;
    while (in < text.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            taken = in;
        } else if (at < pattern.size() && pattern[at] == text[in]) {
            ++at;
            ++in;
        } else if (star != none) {
            at = star + 1;
            in = ++taken;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', at) == none;
}

}  // namespace sluice::config
