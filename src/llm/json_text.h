// The inside of JSON strings: skipping plain text and checking UTF-8, many bytes at a time.
//
// Internal. 16 bytes a step where the machine has SSE2, which every x86-64 has; bytes elsewhere.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace sluice::llm {

// What some servers put in front of a text (RFC 8259, section 8.1: a reader may pass over it).
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

inline std::string_view without_byte_order_mark(std::string_view text) {
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    return text;
}

// Where it is worth while: behind the blocks of 64 or 128 bytes, from `p` on, that are all plain
// text. With AVX2 if the machine has it.
const char* skip_plain_blocks(const char* p, const char* end);

// Steps of 16 bytes after which a text is taken for a long one.
inline constexpr int steps_of_short_text = 4;

#if defined(__SSE2__)
// A bit for each of the 16 bytes at `p` that is not plain text.
inline unsigned not_plain(const char* p) {
    // As signed numbers, control characters and non-ASCII bytes are both below the space. So is the
    // quote, and nothing else, once this bit is turned: '"' changes places with ' '.
    const __m128i quote_to_space = _mm_set1_epi8('"' ^ ' ');
    const __m128i behind_space = _mm_set1_epi8(' ' + 1);
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i special = _mm_cmplt_epi8(_mm_xor_si128(bytes, quote_to_space), behind_space);
    return static_cast<unsigned>(
        _mm_movemask_epi8(_mm_or_si128(special, _mm_cmpeq_epi8(bytes, backslash))));
}
#endif

// The first byte in [p, end) that is not plain ASCII text of a string: a quote, a backslash, a
// control character or a byte of 0x80 and above; or `end`.
inline const char* skip_plain_text(const char* p, const char* end) {
#if defined(__SSE2__)
    for (int step = 1; end - p >= 16; ++step) {
        const unsigned mask = not_plain(p);
        if (mask != 0) return p + std::countr_zero(mask);
        p += 16;
        if (step == steps_of_short_text) p = skip_plain_blocks(p, end);
    }
#endif
    while (p != end && static_cast<signed char>(*p) >= ' ' && *p != '"' && *p != '\\')
        ++p;
    return p;
}

// What the byte behind a backslash stands for; 0 where it is no escape of one letter.
inline constexpr auto simple_escapes = [] {
    std::array<char, 256> decoded{};
    for (const char same : {'"', '\\', '/'})
        decoded[static_cast<unsigned char>(same)] = same;
    decoded['b'] = '\b';
    decoded['f'] = '\f';
    decoded['n'] = '\n';
    decoded['r'] = '\r';
    decoded['t'] = '\t';
    return decoded;
}();
inline char simple_escape(char c) {
    return simple_escapes[static_cast<unsigned char>(c)];
}

// Likewise, but passes whole escapes of one letter: code is full of them.
inline const char* skip_escaped_text(const char* p, const char* end) {
#if defined(__SSE2__)
    int plain_steps = 0;
    while (end - p >= 17) {  // with the letter of an escape that begins in the last byte
        const char* next = p + 16;
        unsigned mask = not_plain(p);
        plain_steps = mask == 0 ? plain_steps + 1 : 0;
        while (mask != 0) {
            const int at = std::countr_zero(mask);
            if (p[at] != '\\' || simple_escape(p[at + 1]) == 0) return p + at;
            mask &= ~(3u << at);  // the letter, too, which may be a quote
            if (at == 15) ++next;
        }
        p = next;
        if (plain_steps == steps_of_short_text) {
            p = skip_plain_blocks(p, end);
            plain_steps = 0;
        }
    }
#endif
    p = skip_plain_text(p, end);
    while (end - p >= 2 && *p == '\\' && simple_escape(p[1]) != 0)
        p = skip_plain_text(p + 2, end);
    return p;
}

// The first quote or backslash in [p, end), or `end`.
inline const char* skip_any_text(const char* p, const char* end) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    while (end - p >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        const __m128i hits =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hits));
        if (mask != 0) return p + std::countr_zero(mask);
        p += 16;
    }
#endif
    while (p != end && *p != '"' && *p != '\\')
        ++p;
    return p;
}

// Likewise, but passes whole escapes of one letter.
inline const char* skip_any_escaped_text(const char* p, const char* end) {
    p = skip_any_text(p, end);
    while (end - p >= 2 && *p == '\\' && simple_escape(p[1]) != 0)
        p = skip_any_text(p + 2, end);
    return p;
}

// What may follow the first byte of a UTF-8 sequence (RFC 3629, section 4).
struct Utf8Lead {
    std::uint8_t more = 0;    // bytes that must follow; 0 where the byte cannot begin a sequence
    std::uint8_t low = 0x80;  // the range of the first of them; the others are 0x80 to 0xBF
    std::uint8_t high = 0xBF;
};

// `byte` is 0x80 or above. Overlong forms, surrogates and what lies above U+10FFFF are excluded.
constexpr Utf8Lead utf8_lead(std::uint8_t byte) {
    if (byte < 0xC2 || byte > 0xF4) return {};
    if (byte < 0xE0) return {.more = 1};
    if (byte < 0xF0) {
        if (byte == 0xE0) return {.more = 2, .low = 0xA0};
        if (byte == 0xED) return {.more = 2, .high = 0x9F};
        return {.more = 2};
    }
    if (byte == 0xF0) return {.more = 3, .low = 0x90};
    if (byte == 0xF4) return {.more = 3, .high = 0x8F};
    return {.more = 3};
}

// Length of the sequence at `p`, or 0 when it is not valid or not whole within `end`.
inline int utf8_sequence_length(const char* p, const char* end) {
    const auto at = [p](int i) { return static_cast<std::uint8_t>(p[i]); };
    if (at(0) < 0x80) return 1;
    const Utf8Lead lead = utf8_lead(at(0));
    if (lead.more == 0 || end - p <= lead.more) return 0;
    if (at(1) < lead.low || at(1) > lead.high) return 0;
    for (int i = 2; i <= lead.more; ++i) {
        if ((at(i) & 0xC0) != 0x80) return 0;
    }
    return lead.more + 1;
}

// Skips sequences of three bytes of which the first has no special range: most of the world's
// letters beyond Europe's, which come in long runs.
inline const char* skip_common_triples(const char* p, const char* end) {
    while (end - p >= 3) {
        const auto lead = static_cast<std::uint8_t>(*p);
        const unsigned tails = (p[1] & 0xC0u) << 8 | (p[2] & 0xC0u);
        if (lead < 0xE1 || lead > 0xEC || tails != 0x8080) break;
        p += 3;
    }
    return p;
}

// Skips whole valid sequences of non-ASCII text.
inline const char* skip_utf8(const char* p, const char* end) {
    while (p != end && static_cast<std::uint8_t>(*p) >= 0x80) {
        const auto lead = static_cast<std::uint8_t>(*p);
        if (lead >= 0xC2 && lead <= 0xDF && end - p >= 2 && (p[1] & 0xC0) == 0x80) {
            p += 2;
            continue;
        }
        const char* behind = skip_common_triples(p, end);
        if (behind == p) behind += utf8_sequence_length(p, end);
        if (behind == p) break;
        p = behind;
    }
    return p;
}

}  // namespace sluice::llm
