// Line ends of an event stream: LF, CR, or CRLF, whichever comes.
//
// Internal. JSON text never holds a raw line end, so the search runs over whole data lines at once:
// 16 bytes a step where the machine has SSE2, which every x86-64 has.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>

namespace sluice::sse {

// The first LF or CR in [p, end), or `end`.
inline const char* find_line_end(const char* p, const char* end) {
#if defined(__SSE2__)
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i cr = _mm_set1_epi8('\r');
    while (end - p >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        const __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(bytes, lf), _mm_cmpeq_epi8(bytes, cr));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hits));
        if (mask != 0) return p + std::countr_zero(mask);
        p += 16;
    }
#endif
    while (p != end && *p != '\n' && *p != '\r')
        ++p;
    return p;
}

// The byte behind the line end at `eol`, CRLF taken as one. `eol` is before `end`.
inline const char* behind_line_end(const char* eol, const char* end) {
    const char* next = eol + 1;
    return *eol == '\r' && next != end && *next == '\n' ? next + 1 : next;
}

}  // namespace sluice::sse
