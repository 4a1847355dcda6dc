#include "canonical_text.h"

#include "fold_key.h"
#include "json_string.h"
#include "json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

namespace sluice::llm {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// RFC 8259 section 6, taken apart. `sound` is false where the text is something else.
struct NumberParts {
    bool sound = false;
    bool negative = false;
    std::string_view whole;
    std::string_view fraction;
    bool exponent_negative = false;
    std::string_view exponent;
};

std::string_view take_digits(std::string_view& text) {
    std::size_t size = 0;
    while (size < text.size() && is_digit(text[size]))
        ++size;
    const std::string_view digits = text.substr(0, size);
    text.remove_prefix(size);
    return digits;
}

NumberParts take_apart(std::string_view text) {
    NumberParts parts;
    const auto take = [&text](char c) {
        const bool there = text.starts_with(c);
        if (there) text.remove_prefix(1);
        return there;
    };
    parts.negative = take('-');
    parts.whole = take_digits(text);
    if (parts.whole.empty() || (parts.whole.size() > 1 && parts.whole[0] == '0')) return parts;
    if (take('.')) {
        parts.fraction = take_digits(text);
        if (parts.fraction.empty()) return parts;
    }
    if (take('e') || take('E')) {
        parts.exponent_negative = take('-');
        if (!parts.exponent_negative) take('+');
        parts.exponent = take_digits(text);
        if (parts.exponent.empty()) return parts;
    }
    parts.sound = text.empty();
    return parts;
}

// Digits of the whole and the fraction as one row.
struct Digits {
    std::string_view whole;
    std::string_view fraction;

    std::size_t size() const { return whole.size() + fraction.size(); }
    char at(std::size_t i) const {
        return i < whole.size() ? whole[i] : fraction[i - whole.size()];
    }
    void append(std::size_t begin, std::size_t end, std::string& out) const {
        if (begin < whole.size()) {
            const std::size_t upto = end < whole.size() ? end : whole.size();
            out += whole.substr(begin, upto - begin);
            begin = upto;
        }
        if (begin < end) out += fraction.substr(begin - whole.size(), end - begin);
    }
};

// Any text of a body is shorter than 2^60 digits, so that the sum below cannot overflow.
constexpr std::size_t exponent_digits_max = 17;

}  // namespace

Spelled spell_number(std::string_view text, std::string& out) {
    const NumberParts parts = take_apart(text);
    if (!parts.sound) return {.fault = JsonFault::malformed};
    const Digits digits{parts.whole, parts.fraction};
    std::size_t begin = 0;
    std::size_t end = digits.size();
    while (begin < end && digits.at(begin) == '0')
        ++begin;
    while (end > begin && digits.at(end - 1) == '0')
        --end;
    if (begin == end) {  // whatever its sign and its exponent are
        if (text == "0") return {};
        out += '0';
        return {.same = false};
    }
    const bool bare = parts.fraction.empty() && parts.exponent.empty();
    if (bare && end == digits.size()) return {};

    std::string_view exponent_text = parts.exponent;
    while (exponent_text.starts_with('0'))
        exponent_text.remove_prefix(1);
    if (exponent_text.size() > exponent_digits_max) return {.fault = JsonFault::exponent_too_long};
    std::int64_t exponent = 0;
    for (const char c : exponent_text)
        exponent = exponent * 10 + (c - '0');
    if (parts.exponent_negative) exponent = -exponent;
    // Of the last digit that is written.
    exponent += static_cast<std::int64_t>(parts.whole.size()) - static_cast<std::int64_t>(end);
    if (parts.negative) out += '-';
    digits.append(begin, end, out);
    if (exponent != 0) fmt::format_to(std::back_inserter(out), "e{}", exponent);
    return {.same = false};
}

namespace {

// A slash behind a backslash: an escape that is not canonical, or a slash behind an escaped
// backslash.
bool may_escape_slash(std::string_view raw) {
    const char* p = raw.data();
    const char* const end = p + raw.size();
#if defined(__SSE2__)
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i slash = _mm_set1_epi8('/');
    for (; end - p >= 17; p += 16) {
        const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        const __m128i next = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 1));
        const __m128i both =
            _mm_and_si128(_mm_cmpeq_epi8(here, backslash), _mm_cmpeq_epi8(next, slash));
        if (_mm_movemask_epi8(both) != 0) return true;
    }
#endif
    return std::string_view(p, static_cast<std::size_t>(end - p)).find("\\/") !=
           std::string_view::npos;
}

// Whether it certainly is its own canonical spelling.
bool is_canonical(std::string_view raw) {
    const char* p = raw.data();
    const char* const end = p + raw.size();
    bool escapes = false;
    while (p != end) {
        const char* const behind = skip_utf8(skip_plain_text(p, end), end);
        if (behind == end) break;
        if (*behind == '\\') {
            escapes = true;
            p = skip_escaped_text(behind, end);
        } else {
            p = behind;
        }
        // No way on: an escape by number, or what no string may have.
        if (p == behind && (*p == '\\' || static_cast<signed char>(*p) < ' ')) return false;
    }
    return !escapes || !may_escape_slash(raw);
}

constexpr auto escapes_by_letter = [] {
    std::array<char, 256> letters{};
    letters['"'] = '"';
    letters['\\'] = '\\';
    letters['\b'] = 'b';
    letters['\f'] = 'f';
    letters['\n'] = 'n';
    letters['\r'] = 'r';
    letters['\t'] = 't';
    return letters;
}();

// What an escape stands for is one character; everything longer has nothing to be escaped.
void append_canonical(std::string_view text, std::string& out) {
    const auto byte = static_cast<std::uint8_t>(text.front());
    if (text.size() > 1) {
        out += text;
    } else if (escapes_by_letter[byte] != 0) {
        out += '\\';
        out += escapes_by_letter[byte];
    } else if (byte < 0x20) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(byte));
    } else {
        out += text;
    }
}

}  // namespace

Spelled spell_string(std::string_view raw, bool is_key, std::string& out) {
    if (is_canonical(raw)) return {};
    bool ambiguous = false;
    const auto on_text = [&](std::string_view text) {
        ambiguous |= is_key && text.find('\0') != text.npos;
        append_canonical(text, out);
        return true;
    };
    const auto on_half = [&](std::uint32_t half) {
        ambiguous |= is_key;
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", half);
        return true;
    };
    if (!decode_json_string(raw, on_text, on_half)) return {.fault = JsonFault::malformed};
    if (ambiguous) return {.fault = JsonFault::ambiguous_key};
    return {.same = false};
}

bool may_fold(std::string_view key) {
    return std::ranges::any_of(
        key, [](char c) { return (c >= 'A' && c <= 'Z') || static_cast<std::uint8_t>(c) >= 0x80; });
}

std::uint64_t hash_folded(std::string_view key) {
    std::uint64_t hash = 0xcbf29ce484222325;
    while (!key.empty())
        hash = (hash ^ static_cast<std::uint8_t>(take_folded(key))) * 0x100000001b3;
    return hash;
}

}  // namespace sluice::llm
