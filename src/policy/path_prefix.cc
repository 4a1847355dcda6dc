#include "sluice/policy/path_prefix.h"

#include "sluice/base/assert.h"

namespace sluice::policy {

namespace {

char to_upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

}  // namespace

bool path_has_prefix(std::string_view path, std::string_view prefix) {
    SLUICE_ASSERT(!prefix.empty());
    if (path.size() < prefix.size()) return false;
    int digits = 0;  // of an escape that are still to come
    for (std::size_t at = 0; at < prefix.size(); ++at) {
        const bool same =
            digits > 0 ? to_upper(path[at]) == to_upper(prefix[at]) : path[at] == prefix[at];
        if (!same) return false;
        digits = prefix[at] == '%' ? 2 : digits - (digits > 0 ? 1 : 0);
    }
    return path.size() == prefix.size() || prefix.back() == '/' || path[prefix.size()] == '/';
}

}  // namespace sluice::policy
