#include "sluice/cache/bypass.h"

#include <array>

namespace sluice::cache {

std::string_view name_of(Bypass bypass) {
    static constexpr std::array<std::string_view, bypass_count> names{
        "none",           "off",           "endpoint",      "no_store",          "no_cache",
        "not_an_object",  "too_large",     "too_deep",      "too_many_values",   "malformed",
        "trailing_bytes", "duplicate_key", "ambiguous_key", "exponent_too_long", "several_choices",
        "stateful",       "server_tools",  "not_determined"};
    return names[static_cast<std::size_t>(bypass)];
}

}  // namespace sluice::cache
