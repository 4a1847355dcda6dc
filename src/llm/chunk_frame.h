// The frame of an OpenAI chunk: what stands around its "choices", which is most of its bytes and
// the same in every event of a stream.
//
// Internal. Looks at the frame only for the words that could matter, 16 bytes a step; where one of
// them is there, or where the event has another form, it says so and the event is read as a whole.
#pragma once

#include "json_text.h"

#include <cstddef>
#include <cstring>
#include <string_view>

namespace sluice::llm {

// The first '{' or '[' in [p, end), or `end`.
inline const char* find_container(const char* p, const char* end) {
#if defined(__SSE2__)
    // '[' is 0x5B and '{' is 0x7B: one bit apart, which is the bit of case.
    const __m128i brace = _mm_set1_epi8('{');
    const __m128i case_bit = _mm_set1_epi8(0x20);
    while (end - p >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        const __m128i hits = _mm_cmpeq_epi8(_mm_or_si128(bytes, case_bit), brace);
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hits));
        if (mask != 0) return p + std::countr_zero(mask);
        p += 16;
    }
#endif
    while (p != end && *p != '{' && *p != '[')
        ++p;
    return p;
}

// Whether `text`, behind its first character, begins with the rest of `word`. Its size is known, so
// that nothing is called.
template <std::size_t size>
bool goes_on_as(std::string_view text, const char (&word)[size]) {
    return text.size() >= size - 1 && std::memcmp(text.data() + 1, word + 1, size - 2) == 0;
}

// Whether a quote in `text` is followed by a word that must be looked at: a key, or the end of a
// string, as it may be.
inline bool has_word_of_interest(std::string_view text) {
    const auto is_word = [text](std::size_t at) {
        const std::string_view rest = text.substr(at);
        switch (rest.size() > 1 ? rest[1] : '\0') {
            case 'u':
                return goes_on_as(rest, "\"usage\"");
            case 't':
                return goes_on_as(rest, "\"timings\"") || goes_on_as(rest, "\"tokens_");
            case 'e':
                return goes_on_as(rest, "\"error\"") || goes_on_as(rest, "\"eval_");
            case 'p':
                return goes_on_as(rest, "\"prompt_eval_") || goes_on_as(rest, "\"prompt_pro");
            default:
                return false;
        }
    };
    std::size_t at = 0;
#if defined(__SSE2__)
    constexpr std::size_t step = 16;
    const __m128i quote = _mm_set1_epi8('"');
    // Two bits apart are 'p', 't', 'u' and 'q', with which none begins.
    const __m128i two_bits = _mm_set1_epi8('u' - 'p');
    const __m128i letter_u = _mm_set1_epi8('u');
    const __m128i letter_e = _mm_set1_epi8('e');
    // Whether one begins in the 16 bytes from there on; reads one more.
    const auto begins_in = [&](std::size_t begin) {
        const auto* p = reinterpret_cast<const __m128i*>(text.data() + begin);
        const auto* next = reinterpret_cast<const __m128i*>(text.data() + begin + 1);
        const __m128i second = _mm_loadu_si128(next);
        const __m128i letters =
            _mm_or_si128(_mm_cmpeq_epi8(_mm_or_si128(second, two_bits), letter_u),
                         _mm_cmpeq_epi8(second, letter_e));
        const __m128i hits = _mm_and_si128(_mm_cmpeq_epi8(_mm_loadu_si128(p), quote), letters);
        auto mask = static_cast<unsigned>(_mm_movemask_epi8(hits));
        for (; mask != 0; mask &= mask - 1) {
            if (is_word(begin + static_cast<std::size_t>(std::countr_zero(mask)))) return true;
        }
        return false;
    };
    for (; text.size() - at > step; at += step) {
        if (begins_in(at)) return true;
    }
    // What is left, together with bytes before it; none begins in the very last one.
    if (at > 0) return begins_in(text.size() - step - 1);
#endif
    for (; at < text.size(); ++at) {
        if (text[at] == '"' && is_word(at)) return true;
    }
    return false;
}

// Where the value of "choices" begins in an event that is an object whose first container it is, at
// the top level; null in any other.
inline const char* find_choices(std::string_view data) {
    constexpr std::string_view key = "\"choices\":";
    if (data.size() < key.size() + 4 || data.front() != '{' || data.back() != '}') return nullptr;
    const char* const begin = data.data();
    const char* p = find_container(begin + 1, begin + data.size());
    if (p == begin + data.size() || *p != '[') return nullptr;
    if (static_cast<std::size_t>(p - begin) <= key.size()) return nullptr;
    // Of that size: no call.
    if (std::memcmp(p - key.size(), key.data(), key.size()) != 0) return nullptr;
    const char separator = *(p - key.size() - 1);
    return separator == '{' || separator == ',' ? p : nullptr;
}

}  // namespace sluice::llm
