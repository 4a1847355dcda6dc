// append(): text from pieces, for JSON that reads better as it stands than as a format string.
//
//     append(out, R"({"index":)", 3, R"(,"text":")", escaped, R"("})");
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>

namespace sluice::model_sim {

inline void append_one(std::string& out, std::string_view text) {
    out += text;
}
inline void append_one(std::string& out, std::integral auto number) {
    const fmt::format_int digits(number);
    out.append(digits.data(), digits.size());
}
inline void append_one(std::string& out, char character) {
    out += character;
}
inline void append_one(std::string& out, std::floating_point auto number) {
    fmt::format_to(std::back_inserter(out), "{}", number);
}

template <class... Pieces>
void append(std::string& out, const Pieces&... pieces) {
    (append_one(out, pieces), ...);
}

template <class... Pieces>
std::string joined(const Pieces&... pieces) {
    std::string out;
    append(out, pieces...);
    return out;
}

}  // namespace sluice::model_sim
