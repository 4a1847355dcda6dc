#include "json_text.h"

#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::llm {

#if defined(__x86_64__)
namespace {

// See skip_plain_text() for what the comparisons are.
const char* skip_blocks_sse2(const char* p, const char* end) {
    const __m128i quote_to_space = _mm_set1_epi8('"' ^ ' ');
    const __m128i behind_space = _mm_set1_epi8(' ' + 1);
    const __m128i backslash = _mm_set1_epi8('\\');
    for (; end - p >= 64; p += 64) {
        __m128i special = _mm_setzero_si128();
        for (std::size_t at = 0; at < 64; at += 16) {
            const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + at));
            special = _mm_or_si128(
                special,
                _mm_or_si128(_mm_cmplt_epi8(_mm_xor_si128(bytes, quote_to_space), behind_space),
                             _mm_cmpeq_epi8(bytes, backslash)));
        }
        if (_mm_movemask_epi8(special) != 0) break;
    }
    return p;
}

[[gnu::target("avx2")]] const char* skip_blocks_avx2(const char* p, const char* end) {
    const __m256i quote_to_space = _mm256_set1_epi8('"' ^ ' ');
    const __m256i behind_space = _mm256_set1_epi8(' ' + 1);
    const __m256i backslash = _mm256_set1_epi8('\\');
    for (; end - p >= 128; p += 128) {
        __m256i special = _mm256_setzero_si256();
        for (std::size_t at = 0; at < 128; at += 32) {
            const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + at));
            special = _mm256_or_si256(
                special, _mm256_or_si256(_mm256_cmpgt_epi8(behind_space,
                                                           _mm256_xor_si256(bytes, quote_to_space)),
                                         _mm256_cmpeq_epi8(bytes, backslash)));
        }
        if (_mm256_movemask_epi8(special) != 0) break;
    }
    return p;
}

bool machine_has_avx2() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

const bool has_avx2 = machine_has_avx2();

}  // namespace

const char* skip_plain_blocks(const char* p, const char* end) {
    return has_avx2 ? skip_blocks_avx2(p, end) : skip_blocks_sse2(p, end);
}
#else
const char* skip_plain_blocks(const char* p, const char*) {
    return p;
}
#endif

}  // namespace sluice::llm
