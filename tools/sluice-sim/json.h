// Finds values in JSON text that is known to be well formed; nothing is copied.
//
// A value is the run of text that it stands in, without white space around it; an empty view means
// that there is none. Keys are compared as they are written, without decoding escapes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::model_sim::json {

// The value of `key` in an object; the first one when there are several.
std::string_view member(std::string_view object, std::string_view key);
// The values in an array, in order.
std::vector<std::string_view> elements(std::string_view array);

inline bool is_string(std::string_view value) {
    return !value.empty() && value[0] == '"';
}
inline bool is_array(std::string_view value) {
    return !value.empty() && value[0] == '[';
}
inline bool is_object(std::string_view value) {
    return !value.empty() && value[0] == '{';
}

// The text that a JSON string means; empty when the value is not a string.
std::string decoded(std::string_view value);
// A number without sign, point and exponent.
std::optional<std::uint64_t> whole_number(std::string_view value);

}  // namespace sluice::model_sim::json
