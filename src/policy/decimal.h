// Spans of time as clients and servers write them in fields: decimal numbers of a unit.
//
// Internal. Digits with at most one point ("2", "0.5", "1500.25"), nothing else: no sign, exponent
// or space. More than the bound is the bound.
#pragma once

#include "sluice/base/clock.h"

#include <optional>
#include <string_view>

namespace sluice::policy {

std::optional<Duration> parse_decimal(std::string_view text, Duration unit, Duration bound);

}  // namespace sluice::policy
