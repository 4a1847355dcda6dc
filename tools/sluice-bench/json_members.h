// Members of a JSON text by their names' ends, however its writer spaces it.
//
// Pure, and no parser: the measured loop looks for two or three names in every event. A name is
// found by its last characters and closing quote; what stands within a string of the document has
// its quotes escaped and is not taken for one.
#pragma once

#include <cstddef>
#include <string_view>

namespace sluice::bench {

inline std::string_view skip_json_space(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size() &&
           (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        ++at;
    return text.substr(at);
}

// What follows the colon of a name that ends just before `text`; empty where that was no name.
inline std::string_view value_behind_name(std::string_view text) {
    text = skip_json_space(text);
    return text.starts_with(':') ? skip_json_space(text.substr(1)) : std::string_view();
}

// Whether f(the text from the value on) holds for some member whose name ends as `name_end` does,
// which has the closing quote: 'content"' is also reasoning_content.
template <class F>
bool any_member(std::string_view text, std::string_view name_end, F&& f) {
    for (auto at = text.find(name_end); at != std::string_view::npos;
         at = text.find(name_end, at + name_end.size())) {
        const auto value = value_behind_name(text.substr(at + name_end.size()));
        if (!value.empty() && f(value)) return true;
    }
    return false;
}

// The text from the value of the last such member on; empty when there is none.
inline std::string_view last_member(std::string_view text, std::string_view name_end) {
    for (auto at = text.rfind(name_end); at != std::string_view::npos;
         at = at == 0 ? std::string_view::npos : text.rfind(name_end, at - 1)) {
        const auto value = value_behind_name(text.substr(at + name_end.size()));
        if (!value.empty()) return value;
    }
    return {};
}

}  // namespace sluice::bench
