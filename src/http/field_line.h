// One field line that is plainly well formed, found in one pass: 16 bytes a step where the machine
// has SSE2, which every x86-64 has.
//
// Internal. It only ever says yes or "not plainly": what is wrong with a line, if anything, is
// llhttp's to say.
#pragma once

#include "grammar.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <string_view>

namespace sluice::http {

struct FieldLine {
    std::string_view name;
    std::string_view value;   // without the white space around it
    bool underscore = false;  // in the name
    bool as_is = false;       // in the text it is name ": " value CRLF, and nothing else
};

// Behind the letters, digits and '-' that [p, end) begins with; or somewhere among them.
inline const char* skip_name(const char* p, const char* end) {
#if defined(__SSE2__)
    while (end - p >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        // A range of unsigned numbers: below its size once its first is taken away.
        const __m128i letter =
            _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        const __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
        const __m128i fits = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
                         _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit)),
            _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(fits));
        if (mask != 0xffff) return p + std::countr_one(mask);
        p += 16;
    }
#endif
    return p;
}

// The first byte of [p, end) that cannot stand in a field value; or `end`.
inline const char* skip_value(const char* p, const char* end) {
#if defined(__SSE2__)
    const __m128i control = _mm_set1_epi8(0x1f);
    const __m128i del = _mm_set1_epi8(0x7f);
    while (end - p >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        const __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes),
                                          _mm_cmpeq_epi8(bytes, del));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hits));
        if (mask == 0) {
            p += 16;
            continue;
        }
        p += std::countr_zero(mask);
        if (*p != '\t') return p;
        ++p;
    }
#endif
    while (p != end && is(value_char, *p))
        ++p;
    return p;
}

// Reads the line that begins at `p`; returns what is behind it, or null: not plainly a field line.
inline const char* read_field_line(const char* p, const char* end, FieldLine& line) {
    const char* const begin = p;
    p = skip_name(p, end);
    line.underscore = false;
    while (p != end && *p != ':' && is(token_char, *p)) {
        line.underscore = line.underscore || *p == '_';
        ++p;
    }
    if (p == begin || end - p < 3 || *p != ':') return nullptr;
    line.name = {begin, static_cast<std::size_t>(p - begin)};
    line.as_is = p[1] == ' ';
    const char* first = p + (line.as_is ? 2 : 1);
    while (is_space(*first) && first + 1 != end) {
        ++first;
        line.as_is = false;
    }
    const char* const stop = skip_value(first, end);
    if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n') return nullptr;
    const char* last = stop;
    while (last != first && is_space(last[-1])) {
        --last;
        line.as_is = false;
    }
    line.value = {first, static_cast<std::size_t>(last - first)};
    return stop + 2;
}

}  // namespace sluice::http
