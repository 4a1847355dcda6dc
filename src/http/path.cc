#include "sluice/http/path.h"

#include "grammar.h"

#include <array>
#include <charconv>
#include <cstddef>

namespace sluice::http {

namespace {

Error refuse(const char* words) {
    return Error::client(400, words);
}

constexpr bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// RFC 3986 section 2.3.
bool is_unreserved(char c) {
    const char lower = to_lower(c);
    return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

// Reads the "%xy" at the begin of `text`.
bool read_escape(std::string_view text, char& decoded) {
    if (text.size() < 3) return false;
    unsigned char value = 0;
    const char* end = text.data() + 3;
    const auto result = std::from_chars(text.data() + 1, end, value, 16);
    decoded = static_cast<char>(value);
    return result.ec == std::errc{} && result.ptr == end;
}

// Whether an escape of this character reads differently from server to server.
bool ambiguous_when_encoded(char c) {
    return is_control(c) || is_unreserved(c) || c == '/' || c == '\\' || c == ';' || c == '%';
}

// What a path is checked for; most of it is nothing of that.
constexpr auto is_looked_at = [] {
    std::array<bool, 256> looked_at{};
    for (std::size_t i = 0; i < looked_at.size(); ++i) {
        const char c = static_cast<char>(i);
        looked_at[i] = c == '/' || c == '%' || c == ';' || c == '\\' || is_control(c);
    }
    return looked_at;
}();

bool begins_with_dot_segment(std::string_view path) {
    if (!path.starts_with('.')) return false;
    const std::string_view segment = path.substr(0, path.find('/'));
    return segment == "." || segment == "..";
}

}  // namespace

Status check_path(std::string_view path) {
    if (!path.starts_with('/')) return refuse("The path does not begin with '/'.");
    for (std::size_t at = 0; at < path.size(); ++at) {
        const char c = path[at];
        if (!is_looked_at[static_cast<unsigned char>(c)]) continue;
        if (c == '/') {
            const std::string_view rest = path.substr(at + 1);
            if (rest.starts_with('/')) return refuse("The path has an empty segment.");
            if (begins_with_dot_segment(rest)) return refuse("The path has a dot segment.");
        } else if (c == '%') {
            char decoded = 0;
            if (!read_escape(path.substr(at), decoded)) {
                return refuse("The path has a '%' without two hexadecimal digits.");
            }
            if (ambiguous_when_encoded(decoded)) {
                return refuse("The path has an escape that servers read differently.");
            }
        } else {
            return refuse("The path holds a character that servers read differently.");
        }
    }
    return Done{};
}

Result<std::string> decode_segment(std::string_view segment) {
    std::string text;
    text.reserve(segment.size());
    for (std::size_t at = 0; at < segment.size(); ++at) {
        char c = segment[at];
        if (c == '%') {
            if (!read_escape(segment.substr(at), c)) {
                return refuse("The path has a '%' without two hexadecimal digits.");
            }
            at += 2;
        }
        if (is_control(c)) return refuse("The path has a control character.");
        text += c;
    }
    return text;
}

}  // namespace sluice::http
