// Query parameters of a request, read in place.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace sluice::policy {

// Values that have to be decoded may be that long; longer ones are not found.
inline constexpr std::size_t query_decoded_bytes_max = 1024;
using QueryRoom = std::array<char, query_decoded_bytes_max>;

// The value of the first parameter of that name, decoded (into `room` where that makes a
// difference): "%20" and '+' are spaces. Empty where it has no '='. None: there is no such
// parameter. One with an escape that is none is not found.
std::optional<std::string_view> find_parameter(std::string_view query, std::string_view name,
                                               QueryRoom& room);

}  // namespace sluice::policy
