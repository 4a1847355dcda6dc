// Pieces of a JSON text.
#pragma once

#include <string>
#include <string_view>

namespace sluice::bench {

// A string with its quotes; valid UTF-8, whatever the bytes.
std::string json_quoted(std::string_view text);
// null where there is no number of it.
std::string json_number(double value);

}  // namespace sluice::bench
