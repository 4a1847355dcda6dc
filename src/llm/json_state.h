// JsonState: where an incremental reader of JSON text stands between two runs of bytes.
//
// Only the data: a member of the readers of this module (BodyReader, ResponseReader), which alone
// know how to move it on. Nothing here points outside, so a reader can be moved at any time.
#pragma once

#include "sluice/base/limits.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::llm {

// What may come next, or which token the last run ended in.
enum class JsonStep : std::uint8_t {
    value,
    value_or_end,  // just behind '['
    key,
    key_or_end,  // just behind '{'
    colon,
    comma_or_end,
    nothing,  // the value is complete
    in_string,
    in_number,
    in_literal,
    failed,
};

// Where inside a string the last run ended.
enum class JsonStringStep : std::uint8_t { text, escape, hex, low_backslash, low_u, utf8 };

// Where inside a number; the order matters: from `zero` on, every second part may be the last.
enum class JsonNumberStep : std::uint8_t {
    minus,  // a digit must follow
    zero,
    integer,
    point,  // a digit must follow
    fraction,
    exponent_sign,   // a sign or a digit must follow
    exponent_digit,  // a digit must follow
    exponent,
};

// `text_bytes` is how much of a split or escaped string is kept; of a longer one only the begin is.
template <std::size_t text_bytes>
struct JsonState {
    // Nesting: one bit a level, set for objects.
    std::array<std::uint64_t, limits::json_depth_max / 64> objects{};
    std::uint16_t depth = 0;
    JsonStep step = JsonStep::value;

    std::size_t offset = 0;       // bytes taken before the current run
    std::size_t token_begin = 0;  // of the string, number or literal that is being read

    // --- string ---
    JsonStringStep string_step = JsonStringStep::text;
    bool string_is_key = false;
    bool text_truncated = false;
    bool half_character = false;  // an escape in it is half of a surrogate pair
    std::uint8_t hex_left = 0;
    std::uint8_t utf8_left = 0;
    std::uint8_t utf8_low = 0;
    std::uint8_t utf8_high = 0;
    std::uint16_t code_unit = 0;
    std::uint16_t high_surrogate = 0;  // waits for its other half
    std::uint16_t text_size = 0;
    std::array<char, text_bytes> text{};

    // --- number ---
    JsonNumberStep number_step = JsonNumberStep::minus;
    bool number_negative = false;
    bool number_too_large = false;  // for 64 bits
    bool number_nonzero = false;
    bool exponent_negative = false;
    std::int32_t exponent = 0;   // without its sign, held below a bound
    std::int64_t magnitude = 0;  // power of ten of the first digit that is not 0
    std::uint64_t number = 0;    // the integer part

    // --- literal ---
    std::uint8_t literal = 0;        // which one
    std::uint8_t literal_bytes = 0;  // of it that have come

    // --- failure ---
    const char* problem = nullptr;  // what was wrong, in a few words
    std::size_t problem_at = 0;     // at which byte

    static_assert(limits::json_depth_max % 64 == 0);
};

}  // namespace sluice::llm
