#include "decimal.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstdint>

namespace sluice::policy {

std::optional<Duration> parse_decimal(std::string_view text, Duration unit, Duration bound) {
    SLUICE_ASSERT(unit.ns > 0 && bound >= unit);
    const std::size_t point = std::min(text.find('.'), text.size());
    const std::string_view whole = text.substr(0, point);
    const std::string_view fraction = point == text.size() ? "" : text.substr(point + 1);
    constexpr std::string_view digits = "0123456789";
    if (whole.empty() || (point != text.size() && fraction.empty())) return std::nullopt;
    if (whole.find_first_not_of(digits) != whole.npos) return std::nullopt;
    if (fraction.find_first_not_of(digits) != fraction.npos) return std::nullopt;

    const std::int64_t units_max = bound.ns / unit.ns;
    std::int64_t units = 0;
    for (const char c : whole)
        units = std::min(units * 10 + (c - '0'), units_max + 1);
    std::int64_t part = unit.ns;  // of one unit of the place at hand
    std::int64_t rest = 0;
    for (const char c : fraction) {
        part /= 10;
        rest += part * (c - '0');
    }
    return std::min(bound, units > units_max ? bound : unit * units + Duration{rest});
}

}  // namespace sluice::policy
