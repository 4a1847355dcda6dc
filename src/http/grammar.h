// The small pieces of HTTP's grammar that several files share: character classes, tokens, hosts.
//
// RFC 9110 section 5.6.2 (tokens), RFC 3986 section 3.2.2 (host). Of values, see value.h.
#pragma once

#include "sluice/http/value.h"

#include <array>
#include <string_view>

namespace sluice::http {

enum CharClass : unsigned char {
    token_char = 1,   // RFC 9110 section 5.6.2
    target_char = 2,  // visible ASCII without '#': what a request target may be made of
    value_char = 4,   // HTAB, SP, visible ASCII and obs-text: RFC 9110 section 5.5
    host_char = 8,    // letters, digits, '.', '-', '_': a name or an IPv4 address
};

constexpr std::array<unsigned char, 256> make_char_classes() {
    std::array<unsigned char, 256> table{};
    for (unsigned c = 0; c < 256; ++c) {
        const bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const std::string_view token_marks = "!#$%&'*+-.^_`|~";
        const std::string_view host_marks = ".-_";
        const char letter = static_cast<char>(c);
        unsigned char classes = 0;
        if (alphanumeric || (c < 128 && token_marks.find(letter) != token_marks.npos))
            classes |= token_char;
        if (c > 0x20 && c < 0x7f && c != '#') classes |= target_char;
        if (c == '\t' || (c >= 0x20 && c != 0x7f)) classes |= value_char;
        if (alphanumeric || (c < 128 && host_marks.find(letter) != host_marks.npos))
            classes |= host_char;
        table[c] = classes;
    }
    return table;
}

inline constexpr std::array<unsigned char, 256> char_classes = make_char_classes();

constexpr bool is(CharClass wanted, char c) {
    return (char_classes[static_cast<unsigned char>(c)] & wanted) != 0;
}

// Whether every character is of that class; true for an empty text.
constexpr bool all(CharClass wanted, std::string_view text) {
    for (const char c : text) {
        if (!is(wanted, c)) return false;
    }
    return true;
}

constexpr bool is_token(std::string_view text) {
    return !text.empty() && all(token_char, text);
}

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

constexpr char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// Whether `text` is host[:port], strictly: a name or IPv4 address of letters, digits, '.', '-' and
// '_' without empty labels (one closing dot is fine), or an IPv6 address in brackets without zone;
// the port is 1 to 65535 without leading zeros. No userinfo, no percent-encoding.
bool is_authority(std::string_view text);

}  // namespace sluice::http
