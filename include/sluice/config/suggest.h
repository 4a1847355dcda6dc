// Which of some names was meant by a text that is none of them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sluice::config {

// The name of fewest edits, if that is few enough; else "".
std::string_view nearest_of(std::string_view text, std::span<const std::string_view> names);
// "" or "; did you mean 'x'?" with that name.
std::string did_you_mean(std::string_view text, std::span<const std::string_view> names);

}  // namespace sluice::config
