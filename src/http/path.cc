#include "sluice/http/path.h"

#include "grammar.h"

#include <charconv>

namespace sluice::http {

namespace {

Error refuse(const char* words) {
    return Error::client(400, words);
}

bool is_control(char c) {
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

}  // namespace

Status check_path(std::string_view path) {
    if (!path.starts_with('/')) return refuse("The path does not begin with '/'.");
    for (std::size_t at = 0; at < path.size(); ++at) {
        const char c = path[at];
        if (c == '/') {
            const std::string_view rest = path.substr(at + 1);
            const std::string_view segment = rest.substr(0, rest.find('/'));
            const bool last = segment.size() == rest.size();
            if (segment.empty() && !last) return refuse("The path has an empty segment.");
            if (segment == "." || segment == "..") return refuse("The path has a dot segment.");
        } else if (c == ';' || c == '\\' || is_control(c)) {
            return refuse("The path holds a character that servers read differently.");
        } else if (c == '%') {
            char decoded = 0;
            if (!read_escape(path.substr(at), decoded)) {
                return refuse("The path has a '%' without two hexadecimal digits.");
            }
            if (ambiguous_when_encoded(decoded)) {
                return refuse("The path has an escape that servers read differently.");
            }
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
