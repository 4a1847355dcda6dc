// The small pieces that values of fields are made of: white space, lists, parameters.
//
// Pure: RFC 9110 sections 5.6.1 (lists), 5.6.3 (white space) and 5.6.6 (parameters). Views in,
// views of the same text out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::http {

constexpr bool is_space(char c) {
    return c == ' ' || c == '\t';
}  // OWS

constexpr std::string_view trim(std::string_view text) {
    while (!text.empty() && is_space(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_space(text.back()))
        text.remove_suffix(1);
    return text;
}

// What stands before the first parameter: of "text/plain; charset=utf-8" the type.
constexpr std::string_view without_parameters(std::string_view value) {
    return trim(value.substr(0, value.find(';')));
}

// Takes the next element off a comma-separated list, without the white space around it.
// Elements may be empty; false when the list is used up.
constexpr bool next_element(std::string_view& list, std::string_view& element) {
    if (list.data() == nullptr) return false;
    const std::size_t comma = list.find(',');
    if (comma == list.npos) {
        element = trim(list);
        list = {};
    } else {
        element = trim(list.substr(0, comma));
        list.remove_prefix(comma + 1);
    }
    return true;
}

inline std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

}  // namespace sluice::http
