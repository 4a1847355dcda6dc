// Dates of HTTP fields (RFC 9110 section 5.6.7), read in all three forms that a recipient must
// accept.
//
//     Sun, 06 Nov 1994 08:49:37 GMT    IMF-fixdate
//     Sunday, 06-Nov-94 08:49:37 GMT   RFC 850: a year more than 50 years ahead is a past one
//     Sun Nov  6 08:49:37 1994         asctime
//
// Pure. The form is exact (case, spaces, two digits); whether the name of the day is that of the
// date is not checked. A second 60 is the second after it.
#pragma once

#include "sluice/base/clock.h"

#include <optional>
#include <string_view>

namespace sluice::http {

// `now` decides the century of a year of two digits.
std::optional<WallTime> parse_date(std::string_view text, WallTime now);

}  // namespace sluice::http
