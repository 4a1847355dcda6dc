// Which of some names was meant by a text that is none of them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sluice::config {

// "" or "; did you mean 'x'?" with the name of fewest edits, if that is few enough.
std::string did_you_mean(std::string_view text, std::span<const std::string_view> names);

}  // namespace sluice::config
