// Small things about texts: how they are shown in a message, and which of some names was meant.
#pragma once

#include "sluice/config/suggest.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sluice::config {

// Length of the UTF-8 sequence at the start of `text`; 0 if it is none (RFC 3629).
std::size_t utf8_length(std::string_view text);

inline constexpr std::size_t shown_bytes_max = 60;

// About `bytes_max` of it and whole characters, none of them a control character.
std::string shown(std::string_view text, std::size_t bytes_max = shown_bytes_max);

// "a, b or c"
std::string one_of(std::span<const std::string_view> names);

}  // namespace sluice::config
