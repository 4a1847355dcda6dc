// How Go's encoding/json takes keys for the same: letters in any case, and two characters beyond
// ASCII that fold to letters. Servers written in Go (Ollama) read bodies so.
#pragma once

#include "sluice/base/assert.h"

#include <string_view>

namespace sluice::llm {

// The next byte of the key as it counts; takes what it stands for off the front of `key`.
inline char take_folded(std::string_view& key) {
    constexpr std::string_view long_s = "\xC5\xBF";      // U+017F, folds to s
    constexpr std::string_view kelvin = "\xE2\x84\xAA";  // U+212A, folds to k
    SLUICE_ASSERT(!key.empty());
    char c = key.front();
    std::size_t taken = 1;
    if (c >= 'A' && c <= 'Z') {
        c = static_cast<char>(c | 0x20);
    } else if (key.starts_with(long_s)) {
        c = 's';
        taken = long_s.size();
    } else if (key.starts_with(kelvin)) {
        c = 'k';
        taken = kelvin.size();
    }
    key.remove_prefix(taken);
    return c;
}

}  // namespace sluice::llm
