// The text that a JSON string stands for: its escapes decoded, one character at a time.
//
// Internal, for strings as JsonWalker hands them on: what stands between the quotes. Half of a
// surrogate pair is a character of its own here, because some servers send the two halves of a pair
// in two events; who joins them decides.
#pragma once

#include "json_text.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

// One character of a string, and the byte behind it.
struct JsonCharacter {
    const char* behind = nullptr;  // null where the string is not well formed
    std::uint32_t code_point = 0;  // 0xD800 to 0xDFFF: half of a pair
};

constexpr bool is_high_surrogate(std::uint32_t code_point) {
    return code_point >= 0xD800 && code_point <= 0xDBFF;
}
constexpr bool is_low_surrogate(std::uint32_t code_point) {
    return code_point >= 0xDC00 && code_point <= 0xDFFF;
}
constexpr std::uint32_t join_surrogates(std::uint32_t high, std::uint32_t low) {
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

// `p` is in front of the four digits; -1 where they are none.
inline std::int32_t read_four_hex_digits(const char* p, const char* end) {
    if (end - p < 4) return -1;
    std::int32_t value = 0;
    for (int i = 0; i < 4; ++i) {
        const char c = p[i];
        const char lower = static_cast<char>(c | 0x20);
        const bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (lower < 'a' || lower > 'f')) return -1;
        value = value * 16 + (is_digit ? c - '0' : lower - 'a' + 10);
    }
    return value;
}

// The escape at `p`, which is at a backslash. A pair of surrogates in a row is one character.
inline JsonCharacter read_json_escape(const char* p, const char* end) {
    if (end - p < 2) return {};
    static constexpr std::string_view letters = "\"\\/bfnrt";
    static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    if (p[1] != 'u') {
        const std::size_t at = letters.find(p[1]);
        if (at == letters.npos) return {};
        return {p + 2, static_cast<std::uint8_t>(meanings[at])};
    }
    const std::int32_t unit = read_four_hex_digits(p + 2, end);
    if (unit < 0) return {};
    const auto first = static_cast<std::uint32_t>(unit);
    if (!is_high_surrogate(first) || end - p < 8 || p[6] != '\\' || p[7] != 'u') {
        return {p + 6, first};
    }
    const std::int32_t second = read_four_hex_digits(p + 8, end);
    if (second < 0 || !is_low_surrogate(static_cast<std::uint32_t>(second))) return {p + 6, first};
    return {p + 12, join_surrogates(first, static_cast<std::uint32_t>(second))};
}

// The bytes of a code point in UTF-8; none for half of a pair.
struct Utf8Bytes {
    std::array<char, 4> bytes{};
    std::size_t size = 0;
    std::string_view view() const { return {bytes.data(), size}; }
};

constexpr Utf8Bytes encode_utf8(std::uint32_t code_point) {
    const auto tail = [](std::uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
    const auto lead = [](std::uint32_t bits) { return static_cast<char>(bits); };
    if (code_point < 0x80) return {{lead(code_point)}, 1};
    if (code_point < 0x800) return {{lead(0xC0 | code_point >> 6), tail(code_point)}, 2};
    if (is_high_surrogate(code_point) || is_low_surrogate(code_point)) return {};
    if (code_point < 0x10000) {
        return {{lead(0xE0 | code_point >> 12), tail(code_point >> 6), tail(code_point)}, 3};
    }
    return {{lead(0xF0 | code_point >> 18), tail(code_point >> 12), tail(code_point >> 6),
             tail(code_point)},
            4};
}

// Calls on_text(view) for runs of plain text and on_half(code point) for halves of pairs, until one
// of them returns false. False where that happened, or where the string is not well formed: a bad
// escape, a control character, text that is not UTF-8.
template <class OnText, class OnHalf>
bool decode_json_string(std::string_view raw, OnText&& on_text, OnHalf&& on_half) {
    const char* p = raw.data();
    const char* const end = p + raw.size();
    while (p != end) {
        const char* const behind = skip_utf8(skip_plain_text(p, end), end);
        if (behind != p) {
            if (!on_text(std::string_view(p, static_cast<std::size_t>(behind - p)))) return false;
            p = behind;
            continue;
        }
        if (*p != '\\') return false;
        const JsonCharacter c = read_json_escape(p, end);
        if (c.behind == nullptr) return false;
        const Utf8Bytes bytes = encode_utf8(c.code_point);
        if (!(bytes.size == 0 ? on_half(c.code_point) : on_text(bytes.view()))) return false;
        p = c.behind;
    }
    return true;
}

}  // namespace sluice::llm
