// SHA-256 (FIPS 180-4) of what must not be kept as it is: keys.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(std::string_view text);

// In a time that says nothing of where they differ.
bool same_digest(const Digest& a, const Digest& b);

// 64 hexadecimal digits, in any case. None: it is something else.
std::optional<Digest> parse_digest(std::string_view hex);

}  // namespace sluice
