// JsonScanner, its part for strings: escapes, surrogates, UTF-8 and their splits.
//
// Internal, included by json_scanner.h alone. A string that lies in one run and has no escape is
// handed on as a view of the run; of any other the first text_bytes_max decoded bytes are kept.
#pragma once

#include "json_scanner.h"

#include <algorithm>

namespace sluice::llm {

inline constexpr std::uint32_t replacement_character = 0xFFFD;

// `p` is at the opening quote.
template <class Handler>
const char* JsonScanner<Handler>::begin_string(const char* p, const char* end, bool is_key) {
    s_.token_begin = offset_of(p);
    s_.string_is_key = is_key;
    s_.step = JsonStep::in_string;
    ++p;
    const char* q = skip_text(p, end);
    if (q != end && *q == '"') [[likely]] {
        return string_done(q + 1, {p, static_cast<std::size_t>(q - p)}, false, false);
    }
    s_.string_step = JsonStringStep::text;
    s_.text_size = 0;
    s_.text_truncated = false;
    s_.high_surrogate = 0;
    s_.half_character = false;
    keep(p, q);
    return read_string(q, end);
}

template <class Handler>
const char* JsonScanner<Handler>::skip_text(const char* p, const char* end) {
    return strict ? skip_plain_text(p, end) : skip_any_text(p, end);
}

// The same where nothing of it is kept any more.
template <class Handler>
const char* JsonScanner<Handler>::skip_escapes(const char* p, const char* end) {
    return strict ? skip_escaped_text(p, end) : skip_any_escaped_text(p, end);
}

// Goes on inside a string.
template <class Handler>
const char* JsonScanner<Handler>::read_string(const char* p, const char* end) {
    while (p != end) {
        if (s_.string_step != JsonStringStep::text) [[unlikely]] {
            p = read_string_byte(p);
            continue;
        }
        const char* q = s_.text_truncated ? skip_escapes(p, end) : skip_text(p, end);
        keep(p, q);
        if (q == end) return end;
        if (*q == '"') {
            return string_done(q + 1, {s_.text.data(), s_.text_size}, s_.text_truncated,
                               s_.half_character);
        }
        if (end - q >= 2 && *q == '\\' && simple_escape(q[1]) != 0) {
            keep_byte(simple_escape(q[1]));
            p = q + 2;
            continue;
        }
        p = skip_utf8(q, end);
        if (p != q) {
            keep(q, p);
            continue;
        }
        p = read_special(q, end);
    }
    return p;
}

// At a byte of a string that is neither plain text nor the begin of whole, valid UTF-8.
template <class Handler>
const char* JsonScanner<Handler>::read_special(const char* p, const char* end) {
    if (*p == '\\') {
        s_.string_step = JsonStringStep::escape;
        return p + 1 == end ? end : read_escape(p + 1);
    }
    if (static_cast<unsigned char>(*p) < 0x20) return fail("a control character in a string", p);
    return begin_utf8(p);
}

template <class Handler>
const char* JsonScanner<Handler>::read_string_byte(const char* p) {
    switch (s_.string_step) {
        case JsonStringStep::escape:
            return read_escape(p);
        case JsonStringStep::hex:
            return read_hex_digit(p);
        case JsonStringStep::low_backslash:
            s_.string_step = JsonStringStep::low_u;
            if (*p == '\\') return p + 1;
            keep_half();
            s_.string_step = JsonStringStep::text;
            return p;
        case JsonStringStep::low_u:
            if (*p != 'u') {
                keep_half();
                return read_escape(p);
            }
            s_.string_step = JsonStringStep::hex;
            s_.hex_left = 4;
            s_.code_unit = 0;
            return p + 1;
        default:
            break;
    }
    SLUICE_ASSERT(s_.string_step == JsonStringStep::utf8 && s_.utf8_left > 0);
    const auto byte = static_cast<std::uint8_t>(*p);
    if (byte < s_.utf8_low || byte > s_.utf8_high) return fail("text that is not UTF-8", p);
    keep(p, p + 1);
    s_.utf8_low = 0x80;
    s_.utf8_high = 0xBF;
    if (--s_.utf8_left == 0) s_.string_step = JsonStringStep::text;
    return p + 1;
}

// At the byte behind a backslash.
template <class Handler>
const char* JsonScanner<Handler>::read_escape(const char* p) {
    if (*p == 'u') {
        s_.string_step = JsonStringStep::hex;
        s_.hex_left = 4;
        s_.code_unit = 0;
        return p + 1;
    }
    const char decoded = simple_escape(*p);
    if (decoded == 0) return fail("an unknown escape", p);
    keep_byte(decoded);
    s_.string_step = JsonStringStep::text;
    return p + 1;
}

template <class Handler>
const char* JsonScanner<Handler>::read_hex_digit(const char* p) {
    SLUICE_ASSERT(s_.hex_left > 0);
    const char c = *p;
    unsigned digit = 0;
    if (c >= '0' && c <= '9') {
        digit = static_cast<unsigned>(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        digit = static_cast<unsigned>((c | 0x20) - 'a') + 10;
    } else {
        return fail("an escape that is not four hex digits", p);
    }
    s_.code_unit = static_cast<std::uint16_t>(s_.code_unit * 16u + digit);
    return --s_.hex_left > 0 ? p + 1 : end_of_code_unit(p);
}

// At the last hex digit of \uXXXX.
template <class Handler>
const char* JsonScanner<Handler>::end_of_code_unit(const char* p) {
    const std::uint32_t unit = s_.code_unit;
    const bool is_high = unit >= 0xD800 && unit <= 0xDBFF;
    const bool is_low = unit >= 0xDC00 && unit <= 0xDFFF;
    s_.string_step = JsonStringStep::text;
    if (!strict) {
        keep_code_point(is_high || is_low ? replacement_character : unit);
        return p + 1;
    }
    if (is_low && s_.high_surrogate != 0) {
        keep_code_point(0x10000 + ((s_.high_surrogate - 0xD800u) << 10) + (unit - 0xDC00));
        s_.high_surrogate = 0;
        return p + 1;
    }
    if (is_low || s_.high_surrogate != 0) keep_half();
    if (is_high) {
        s_.high_surrogate = s_.code_unit;
        s_.string_step = JsonStringStep::low_backslash;
    } else if (!is_low) {
        keep_code_point(unit);
    }
    return p + 1;
}

// The other half of a pair has not come.
template <class Handler>
void JsonScanner<Handler>::keep_half() {
    keep_code_point(replacement_character);
    s_.half_character = true;
    s_.high_surrogate = 0;
}

// At the first byte of a sequence that the run does not hold as a whole, or that is not valid.
template <class Handler>
const char* JsonScanner<Handler>::begin_utf8(const char* p) {
    const Utf8Lead lead = utf8_lead(static_cast<std::uint8_t>(*p));
    if (lead.more == 0) return fail("text that is not UTF-8", p);
    s_.string_step = JsonStringStep::utf8;
    s_.utf8_left = lead.more;
    s_.utf8_low = lead.low;
    s_.utf8_high = lead.high;
    keep(p, p + 1);
    return p + 1;
}

template <class Handler>
const char* JsonScanner<Handler>::string_done(const char* behind, std::string_view text,
                                              bool truncated, bool half_character) {
    const JsonText string{text, truncated, {s_.token_begin, offset_of(behind)}, half_character};
    if (strict && half_character && s_.string_is_key && s_.depth == 1)
        return fail("half of a surrogate pair in a key", string.span.begin);
    const char* problem =
        s_.string_is_key ? handler_.on_key(s_.depth, string) : handler_.on_string(s_.depth, string);
    if (problem != nullptr) return fail(problem, string.span.begin);
    if (!s_.string_is_key) {
        value_done();
    } else if (behind != run_end_ && *behind == ':') {
        s_.step = JsonStep::value;
        ++behind;
    } else {
        s_.step = JsonStep::colon;
    }
    return behind;
}

template <class Handler>
void JsonScanner<Handler>::keep(const char* begin, const char* end) {
    if (s_.text_truncated) return;
    const auto size = static_cast<std::size_t>(end - begin);
    const std::size_t room = s_.text.size() - s_.text_size;
    if (size > room) s_.text_truncated = true;
    const std::size_t kept = std::min(size, room);
    std::memcpy(s_.text.data() + s_.text_size, begin, kept);
    s_.text_size = static_cast<std::uint16_t>(s_.text_size + kept);
}

// No call, which keep() may be: code is full of escapes.
template <class Handler>
inline void JsonScanner<Handler>::keep_byte(char byte) {
    if (s_.text_truncated) return;
    s_.text_truncated = s_.text_size == s_.text.size();
    if (!s_.text_truncated) s_.text[s_.text_size++] = byte;
}

template <class Handler>
void JsonScanner<Handler>::keep_code_point(std::uint32_t code_point) {
    const auto tail = [code_point](int shift) {
        return static_cast<char>(0x80 | (code_point >> shift & 0x3F));
    };
    std::array<char, 4> utf8{};
    std::size_t size = 1;
    if (code_point < 0x80) {
        utf8 = {static_cast<char>(code_point)};
    } else if (code_point < 0x800) {
        utf8 = {static_cast<char>(0xC0 | code_point >> 6), tail(0)};
        size = 2;
    } else if (code_point < 0x10000) {
        utf8 = {static_cast<char>(0xE0 | code_point >> 12), tail(6), tail(0)};
        size = 3;
    } else {
        utf8 = {static_cast<char>(0xF0 | code_point >> 18), tail(12), tail(6), tail(0)};
        size = 4;
    }
    keep(utf8.data(), utf8.data() + size);
}

}  // namespace sluice::llm
