// JsonScanner, its part for numbers (RFC 8259, section 6).
//
// Internal, included by json_scanner.h alone. The value is wanted only where it is a whole number;
// of others only the size is known, so that what no double can hold is refused by a strict reader.
#pragma once

#include "json_scanner.h"

namespace sluice::llm {

template <class Handler>
const char* JsonScanner<Handler>::begin_number(const char* p, const char* end) {
    const bool negative = *p == '-';
    const bool digit = *p >= '0' && *p <= '9';
    if (!negative && !digit) return fail("a value was expected", p);
    s_.token_begin = offset_of(p);
    s_.step = JsonStep::in_number;
    s_.number_step = JsonNumberStep::minus;
    s_.number_negative = negative;
    s_.number_too_large = false;
    s_.number_nonzero = false;
    s_.exponent_negative = false;
    s_.exponent = 0;
    s_.magnitude = 0;
    s_.number = 0;
    return read_number(negative ? p + 1 : p, end);
}

// Reads until the number ends: at the first byte that cannot be part of it.
template <class Handler>
const char* JsonScanner<Handler>::read_number(const char* p, const char* end) {
    using Step = JsonNumberStep;
    // Far above what a double can hold, far below what an int can.
    constexpr std::int32_t exponent_bound = 100'000'000;
    for (; p != end; ++p) {
        const char c = *p;
        const auto digit = static_cast<unsigned>(c - '0');
        if (digit <= 9) {
            switch (s_.number_step) {
                case Step::minus:
                    s_.number_step = digit == 0 ? Step::zero : Step::integer;
                    s_.number = digit;
                    s_.number_nonzero = digit != 0;
                    continue;
                case Step::integer:
                    if (__builtin_mul_overflow(s_.number, 10u, &s_.number) ||
                        __builtin_add_overflow(s_.number, digit, &s_.number)) {
                        s_.number_too_large = true;
                    }
                    ++s_.magnitude;
                    continue;
                case Step::point:
                    s_.number_step = Step::fraction;
                    [[fallthrough]];
                case Step::fraction:
                    if (!s_.number_nonzero) --s_.magnitude;
                    s_.number_nonzero |= digit != 0;
                    continue;
                case Step::exponent_sign:
                case Step::exponent_digit:
                    s_.number_step = Step::exponent;
                    [[fallthrough]];
                case Step::exponent:
                    if (s_.exponent < exponent_bound) {
                        s_.exponent = s_.exponent * 10 + static_cast<std::int32_t>(digit);
                    }
                    continue;
                case Step::zero:
                    return fail("a number with a leading zero", p);
            }
        }
        if (c == '.' && (s_.number_step == Step::zero || s_.number_step == Step::integer)) {
            s_.number_step = Step::point;
        } else if ((c == 'e' || c == 'E') && number_may_end() && s_.number_step != Step::exponent) {
            s_.number_step = Step::exponent_sign;
        } else if ((c == '+' || c == '-') && s_.number_step == Step::exponent_sign) {
            s_.exponent_negative = c == '-';
            s_.number_step = Step::exponent_digit;
        } else if (!number_may_end()) {
            return fail("a digit was expected", p);
        } else {
            return number_done(offset_of(p)) ? p : end;
        }
    }
    return p;
}

template <class Handler>
bool JsonScanner<Handler>::number_may_end() const {
    using Step = JsonNumberStep;
    return s_.number_step == Step::zero || s_.number_step == Step::integer ||
           s_.number_step == Step::fraction || s_.number_step == Step::exponent;
}

// False when the number, or the handler's mind about it, is a failure.
template <class Handler>
bool JsonScanner<Handler>::number_done(std::size_t number_end) {
    using Step = JsonNumberStep;
    const std::int64_t power = s_.magnitude + (s_.exponent_negative ? -s_.exponent : s_.exponent);
    if (strict && s_.number_nonzero && power >= 308) {
        fail("a number that is too large", s_.token_begin);
        return false;
    }
    const bool whole = s_.number_step == Step::zero || s_.number_step == Step::integer;
    JsonNumber number{{}, {s_.token_begin, number_end}};
    if (whole && !s_.number_negative && !s_.number_too_large) number.count = s_.number;
    if (const char* problem = handler_.on_number(s_.depth, number)) {
        fail(problem, s_.token_begin);
        return false;
    }
    value_done();
    return true;
}

}  // namespace sluice::llm
