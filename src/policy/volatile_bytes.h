// The bytes that what is volatile in a text is made of, and the search for them.
//
// Internal to volatile_text.cc. Most bytes of a prompt begin nothing: they are passed 16 a step
// where the machine has SSE2, which every x86-64 has; one by one elsewhere, with the same result.
#pragma once

#include "sluice/base/assert.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <string_view>

namespace sluice::policy {

constexpr bool is_digit(char c) {
    return static_cast<unsigned char>(c - '0') < 10;
}
constexpr bool is_upper(char c) {
    return static_cast<unsigned char>(c - 'A') < 26;
}
constexpr bool is_run(char c) {
    return is_digit(c) || is_upper(static_cast<char>(c & ~0x20)) || c == '-' || c == '_';
}
constexpr bool is_hex(char c) {
    return is_digit(c) || static_cast<unsigned char>((c & ~0x20) - 'A') < 6;
}
constexpr bool is_hex_letter(char c) {
    return static_cast<unsigned char>((c & ~0x20) - 'A') < 6;
}
constexpr bool is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
// What may begin something, or shows that it began before.
constexpr bool is_stop(char c) {
    return is_digit(c) || is_upper(c) || c == '"' || c == ':' || c == '=';
}

using ByteTable = std::array<bool, 256>;
constexpr ByteTable table_of(bool (*is_in)(char)) {
    ByteTable table{};
    for (std::size_t i = 0; i < table.size(); ++i)
        table[i] = is_in(static_cast<char>(i));
    return table;
}
inline constexpr ByteTable run_table = table_of(is_run);
inline constexpr ByteTable stop_table = table_of(is_stop);

inline bool in_run(char c) {
    return run_table[static_cast<unsigned char>(c)];
}

#if defined(__SSE2__)
inline __m128i load_step(const char* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

// All bits of each byte that is one of the `count` bytes from `first` on.
inline __m128i is_within(__m128i bytes, char first, int count) {
    // Moved to where the lowest signed numbers are.
    const __m128i moved = _mm_sub_epi8(bytes, _mm_set1_epi8(static_cast<char>(first + 0x80)));
    return _mm_cmplt_epi8(moved, _mm_set1_epi8(static_cast<char>(0x80 + count)));
}

// A bit for each of the 16 bytes at `p` that is a stop.
inline unsigned stops_in(const char* p) {
    const __m128i bytes = load_step(p);
    const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                       _mm_cmpeq_epi8(bytes, _mm_set1_epi8('=')));
    // The colon is behind the digits.
    const __m128i named = _mm_or_si128(is_within(bytes, '0', 11), is_within(bytes, 'A', 26));
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(marks, named)));
}

// A bit for each of the 16 bytes at `p` that ends a run.
inline unsigned run_ends_in(const char* p) {
    const __m128i bytes = load_step(p);
    const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')),
                                       _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')));
    const __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    const __m128i named = _mm_or_si128(is_within(bytes, '0', 10), is_within(lower, 'a', 26));
    return 0xFFFFu ^ static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(marks, named)));
}

// Behind the blocks of 64 bytes, from `at` on, that hold no stop: neither a quote nor anything from
// '0' to 'Z', which is more than the stops and asked at once.
inline std::size_t skip_blocks(std::string_view text, std::size_t at) {
    constexpr std::size_t block = 64;
    constexpr char most = 'Z' - '0';
    for (; text.size() - at >= block; at += block) {
        __m128i least = _mm_set1_epi8(most + 1);
        __m128i quotes = _mm_setzero_si128();
        for (std::size_t i = 0; i < block; i += 16) {
            const __m128i bytes = load_step(text.data() + at + i);
            least = _mm_min_epu8(least, _mm_sub_epi8(bytes, _mm_set1_epi8('0')));
            quotes = _mm_or_si128(quotes, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
        }
        const __m128i stops = _mm_cmplt_epi8(least, _mm_set1_epi8(most + 1));
        if (_mm_movemask_epi8(_mm_or_si128(quotes, stops)) != 0) break;
    }
    return at;
}
#endif

// The stops of a text, one behind the other. Most are near; behind that it goes by blocks.
class Stops {
public:
    explicit Stops(std::string_view text) : text_(text) {}

    // The first from `at` on, or the end. `at` is not before what was found last.
    std::size_t find(std::size_t at) {
#if defined(__SSE2__)
        if (at - step_ < 16) {
            const unsigned left = stops_ >> (at - step_);
            if (left != 0) return at + static_cast<unsigned>(std::countr_zero(left));
            at = step_ + 16;
        }
        SLUICE_ASSERT(at <= text_.size());
        constexpr int near_steps = 4;
        for (int steps = 1; text_.size() - at >= 16; ++steps) {
            stops_ = stops_in(text_.data() + at);
            step_ = at;
            if (stops_ != 0) return at + static_cast<unsigned>(std::countr_zero(stops_));
            at += 16;
            if (steps % near_steps == 0) at = skip_blocks(text_, at);
        }
#endif
        while (at < text_.size() && !stop_table[static_cast<unsigned char>(text_[at])])
            ++at;
        return at;
    }

private:
    std::string_view text_;
    std::size_t step_ = std::size_t{0} - 16;  // where the step stood that `stops_` is of: nowhere
    unsigned stops_ = 0;
};

// Behind the run that `at` is in.
inline std::size_t run_end(std::string_view text, std::size_t at) {
    SLUICE_ASSERT(at <= text.size());
#if defined(__SSE2__)
    for (; text.size() - at >= 16; at += 16) {
        const unsigned ends = run_ends_in(text.data() + at);
        if (ends != 0) return at + static_cast<unsigned>(std::countr_zero(ends));
    }
#endif
    while (at < text.size() && in_run(text[at]))
        ++at;
    return at;
}

// Where the run before `at` begins, but at most so many bytes before it.
inline std::size_t run_begin(std::string_view text, std::size_t at, std::size_t bytes_max) {
    SLUICE_ASSERT(at <= text.size());
    const std::size_t least = at - std::min(at, bytes_max);
#if defined(__SSE2__)
    for (; at - least >= 16; at -= 16) {
        const unsigned ends = run_ends_in(text.data() + at - 16);
        if (ends != 0) return at - static_cast<unsigned>(std::countl_zero(ends << 16));
    }
#endif
    while (at > least && in_run(text[at - 1]))
        --at;
    return at;
}

}  // namespace sluice::policy
