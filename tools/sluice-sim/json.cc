#include "json.h"

#include <charconv>

namespace sluice::model_sim::json {
namespace {

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::size_t skip_space(std::string_view text, std::size_t at) {
    while (at < text.size() && is_space(text[at]))
        ++at;
    return at;
}

// Just behind the string that begins at `at`.
std::size_t skip_string(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\') ++at;
    return at + 1;
}

// Just behind the value that begins at `at`.
std::size_t skip_value(std::string_view text, std::size_t at) {
    int depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = skip_string(text, at);
        } else if (c == '{' || c == '[') {
            ++depth;
            ++at;
        } else if (c == '}' || c == ']') {
            --depth;
            ++at;
        } else if (depth == 0) {  // a number or a word
            while (at < text.size() && !is_space(text[at]) && text[at] != ',' && text[at] != '}' &&
                   text[at] != ']')
                ++at;
        } else {
            ++at;
            continue;
        }
        if (depth <= 0) return at;
    }
    return text.size();
}

unsigned hex4(std::string_view text) {
    unsigned value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return value;
}

void append_utf8(std::string& out, unsigned code) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xc0 | (code >> 6));
        tail(0);
    } else if (code < 0x10000) {
        out += static_cast<char>(0xe0 | (code >> 12));
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xf0 | (code >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

// Appends what the escape at `at` (its backslash) means; returns where it ends.
std::size_t append_escape(std::string& out, std::string_view text, std::size_t at) {
    const char kind = at + 1 < text.size() ? text[at + 1] : '\\';
    if (kind != 'u') {
        constexpr std::string_view from = "bfnrt";
        constexpr std::string_view to = "\b\f\n\r\t";
        const auto found = from.find(kind);
        out += found == std::string_view::npos ? kind : to[found];
        return at + 2;
    }
    unsigned code = hex4(text.substr(at + 2, 4));
    at += 6;
    if (code >= 0xd800 && code < 0xdc00 && text.substr(at, 2) == "\\u") {
        const unsigned low = hex4(text.substr(at + 2, 4));
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    }
    append_utf8(out, code);
    return at;
}

}  // namespace

std::string_view member(std::string_view object, std::string_view key) {
    if (!is_object(object)) return {};
    std::size_t at = 1;
    while (true) {
        at = skip_space(object, at);
        if (at >= object.size() || object[at] != '"') return {};
        const std::size_t name = at;
        at = skip_string(object, at);
        const auto written = object.substr(name + 1, at - name - 2);
        at = skip_space(object, skip_space(object, at) + 1);  // the colon
        const std::size_t begin = at;
        at = skip_value(object, at);
        if (written == key) return object.substr(begin, at - begin);
        at = skip_space(object, at) + 1;  // the comma
    }
}

std::vector<std::string_view> elements(std::string_view array) {
    std::vector<std::string_view> values;
    if (!is_array(array)) return values;
    std::size_t at = skip_space(array, 1);
    while (at < array.size() && array[at] != ']') {
        const std::size_t begin = at;
        at = skip_value(array, at);
        values.push_back(array.substr(begin, at - begin));
        at = skip_space(array, at);
        if (at < array.size() && array[at] == ',') at = skip_space(array, at + 1);
    }
    return values;
}

std::string decoded(std::string_view value) {
    std::string out;
    if (!is_string(value) || value.size() < 2) return out;
    const auto inside = value.substr(1, value.size() - 2);
    out.reserve(inside.size());
    for (std::size_t at = 0; at < inside.size();) {
        if (inside[at] == '\\') {
            at = append_escape(out, inside, at);
        } else {
            out += inside[at++];
        }
    }
    return out;
}

std::optional<std::uint64_t> whole_number(std::string_view value) {
    std::uint64_t number = 0;
    const auto* end = value.data() + value.size();
    const auto [stop, failure] = std::from_chars(value.data(), end, number);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return number;
}

}  // namespace sluice::model_sim::json
