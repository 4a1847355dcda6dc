// What changes in a prompt from request to request while the conversation is the same, found by its
// form and not by who sends it:
// - a run of letters, digits, '-' and '_' that holds a digit in its first 64 bytes, of any length:
//   dates, times, counters, versions, ids in hexadecimal or base 64. It becomes a mark;
// - the value behind a '=' where that is four or more hexadecimal digits (`cch=abcde`), behind a
//   colon or a quote where it is eight or more hexadecimal letters (an id that has no digit by
//   chance), the name of a month or of a day of the week, AM and PM: a mark as well;
// - a member "cache_control" of an object with its comma: agents move it on from one message to the
//   next. It becomes nothing. Its value must be null or a flat object of up to 128 bytes.
//
// Prompts that differ in nothing else are taken for one another. What is asked is only which
// backend may have a prompt in its cache, and a wrong guess costs a prefill. Where it matters
// whether two of them are one conversation, the plain numbers among the marks tell: templates count
// them up ("chapter 17"); parts of dates, of "November 10, 2026" as well, of times and versions are
// none of them.
//
// Pure; allocates nothing; the text may come in any split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::policy {

// No decision needs more bytes than that.
inline constexpr std::size_t volatile_held_max = 256;

// Where the text that was looked at before ended.
struct VolatileState {
    // In the middle of a run that is decided.
    enum class Within : std::uint8_t { none, plain, marked };
    Within within = Within::none;
    char last = ' ';     // the byte before
    bool dated = false;  // nothing but blanks and commas since a part of a date
};

struct VolatileCut {
    std::size_t plain = 0;    // bytes that are as they are
    std::size_t skipped = 0;  // behind them: what is taken out
    bool mark = false;        // and leaves a mark
    bool number = false;      // a plain number
    bool dated = false;       // a part of a date in words: a name, or a number beside one
    bool undecided = false;   // what follows `plain` needs more text, if there is any
};

// The first cut of a text that is not empty. `whole`: no more comes.
VolatileCut find_volatile(std::string_view text, VolatileState& state, bool whole);

}  // namespace sluice::policy
