#include "pattern.h"

#include "text.h"

// g++ 12 with sanitizers takes a member of the library's states for uninitialized.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <regex>

namespace sluice::config {

Result<unsigned> groups_of(const std::string& pattern) {
    if (pattern.size() > pattern_bytes_max)
        return Error::gateway("a regular expression has at most " +
                              std::to_string(pattern_bytes_max) + " bytes");
    try {
        return std::regex(pattern, std::regex::ECMAScript).mark_count();
    } catch (const std::regex_error& error) {
        return Error::gateway("no regular expression: '" + shown(pattern) + "' (" + error.what() +
                              ")");
    }
}

}  // namespace sluice::config
