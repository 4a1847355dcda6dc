// IP addresses as a Host or an Origin has them: read strictly, and what some of them hide.
//
// Pure. An IPv4 address has one form, four decimal numbers; what else resolvers take for one
// (127.1, 2130706433, 0x7f.1, 0177.0.0.1) is none here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::proxy {

// Four numbers from 0 to 255 without leading zeros.
bool is_ipv4(std::string_view text);

using Ipv6 = std::array<std::uint16_t, 8>;
// The text without its brackets (RFC 4291 section 2.2); no zone.
std::optional<Ipv6> read_ipv6(std::string_view text);

// Whether it leads to an IPv4 address, or stands for any: mapped, translated, compatible, ::. Not
// so ::1.
bool holds_ipv4(const Ipv6& address);

}  // namespace sluice::proxy
