#include "sluice/policy/volatile_text.h"

#include "sluice/base/assert.h"
#include "volatile_bytes.h"

#include <algorithm>
#include <optional>

namespace sluice::policy {

namespace {

using Within = VolatileState::Within;

constexpr std::size_t run_bytes_max = 64;  // in which a digit decides
constexpr std::size_t blanks_max = 8;
constexpr std::size_t cache_control_bytes_max = 128;
constexpr std::string_view cache_control = "\"cache_control\"";

constexpr std::uint32_t begin_of(std::string_view name) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(name[0]) << 16 |
                                      static_cast<unsigned char>(name[1]) << 8 |
                                      static_cast<unsigned char>(name[2]));
}

// The name in full whose first three letters these are.
std::string_view calendar_name(std::string_view begin) {
    switch (begin_of(begin)) {
        case begin_of("Mon"):
            return "Monday";
        case begin_of("Tue"):
            return "Tuesday";
        case begin_of("Wed"):
            return "Wednesday";
        case begin_of("Thu"):
            return "Thursday";
        case begin_of("Fri"):
            return "Friday";
        case begin_of("Sat"):
            return "Saturday";
        case begin_of("Sun"):
            return "Sunday";
        case begin_of("Jan"):
            return "January";
        case begin_of("Feb"):
            return "February";
        case begin_of("Mar"):
            return "March";
        case begin_of("Apr"):
            return "April";
        case begin_of("May"):
            return "May";
        case begin_of("Jun"):
            return "June";
        case begin_of("Jul"):
            return "July";
        case begin_of("Aug"):
            return "August";
        case begin_of("Sep"):
            return "September";
        case begin_of("Oct"):
            return "October";
        case begin_of("Nov"):
            return "November";
        case begin_of("Dec"):
            return "December";
        default:
            return {};
    }
}

// What the first three letters of a word tell already, if they are there: most are none, and of
// most the first letter tells.
bool may_be_calendar_name(std::string_view text) {
    constexpr std::uint32_t initials = [] {
        std::uint32_t bits = 0;
        for (const char c : {'M', 'T', 'W', 'F', 'S', 'J', 'A', 'O', 'N', 'D'})
            bits |= std::uint32_t{1} << (c - 'A');
        return bits;
    }();
    if (text.size() < 3 || text[1] == 'M') return true;
    return (initials >> (text[0] - 'A') & 1) != 0 && !calendar_name(text).empty();
}

bool is_calendar_name(std::string_view word) {
    if (word == "AM" || word == "PM") return true;
    if (word.size() < 3 || word.size() > 9) return false;
    const std::string_view name = calendar_name(word);
    return !name.empty() && (word.size() == 3 || word == name);
}

// Plain, and no part of a date, a time, a version or a value that has a name.
bool is_number(std::string_view run, char before, std::string_view behind) {
    constexpr std::size_t digits_max = 9;
    if (run.size() > digits_max || !std::ranges::all_of(run, is_digit)) return false;
    if (before == ':' || before == '.' || before == '/' || before == '=') return false;
    const bool in_time = behind.size() > 1 && behind[0] == ':' && is_digit(behind[1]);
    return !in_time && !behind.starts_with('/');
}

enum class Found : std::uint8_t { no, yes, unknown };

bool separates(char c) {
    return is_blank(c) || c == ',';
}

std::size_t skip_blanks(std::string_view text, std::size_t at) {
    const std::size_t most = std::min(text.size(), at + blanks_max);
    while (at < most && is_blank(text[at]))
        ++at;
    return at;
}

// Whether the name of a month or a day stands behind a number that ends there: "30 November".
Found is_dated(std::string_view text, std::size_t end, bool whole) {
    constexpr std::size_t name_bytes_max = 9;
    const std::size_t begin = skip_blanks(text, end);
    if (begin == end) return end == text.size() && !whole ? Found::unknown : Found::no;
    if (begin == text.size()) return whole ? Found::no : Found::unknown;
    if (!is_upper(text[begin])) return Found::no;
    const std::size_t behind = run_end(text, begin);
    if (behind == text.size() && !whole && behind - begin <= name_bytes_max) return Found::unknown;
    const std::string_view name = text.substr(begin, behind - begin);
    return name != "AM" && name != "PM" && is_calendar_name(name) ? Found::yes : Found::no;
}

// Whether the member begins at `at`; then `end` is behind its value.
Found find_member(std::string_view text, std::size_t at, std::size_t& end) {
    if (at + 1 < text.size() && text[at + 1] != cache_control[1]) return Found::no;
    const std::string_view key = text.substr(at, cache_control.size());
    if (!cache_control.starts_with(key)) return Found::no;
    if (key.size() < cache_control.size()) return Found::unknown;
    std::size_t p = skip_blanks(text, at + key.size());
    if (p == text.size()) return Found::unknown;
    if (text[p] != ':') return Found::no;
    p = skip_blanks(text, p + 1);
    const std::string_view value = text.substr(p, cache_control_bytes_max);
    constexpr std::string_view none = "null";
    if (none.starts_with(value.substr(0, none.size()))) {
        end = p + none.size();
        return value.size() < none.size() ? Found::unknown : Found::yes;
    }
    if (value.front() != '{') return Found::no;
    const std::size_t brace = value.find_first_of("{}", 1);
    if (brace == value.npos)
        return value.size() == cache_control_bytes_max ? Found::no : Found::unknown;
    end = p + brace + 1;
    return value[brace] == '}' ? Found::yes : Found::no;
}

// Where a comma and the blanks behind it stand before `at`; `at` itself where there is none.
std::size_t comma_before(std::string_view text, std::size_t at) {
    const std::size_t least = at - std::min(at, blanks_max);
    std::size_t p = at;
    while (p > least && is_blank(text[p - 1]))
        --p;
    return p > 0 && text[p - 1] == ',' ? p - 1 : at;
}

VolatileCut undecided(std::size_t plain) {
    return {.plain = plain, .undecided = true};
}

VolatileCut cut_member(std::string_view text, std::size_t at, std::size_t end, bool whole) {
    std::size_t begin = comma_before(text, at);
    if (begin == at) {
        // The first member of its object: the comma is behind it.
        const std::size_t comma = skip_blanks(text, end);
        if (comma == text.size() && !whole) return undecided(at);
        if (comma < text.size() && text[comma] == ',') {
            end = skip_blanks(text, comma + 1);
            if (end == text.size() && !whole) return undecided(at);
        }
    }
    return {.plain = begin, .skipped = end - begin};
}

// Nothing was found up to the end of the text; but what stands last may be the begin of something.
VolatileCut cut_tail(std::string_view text, VolatileState& state, bool whole) {
    if (whole) return {.plain = text.size()};
    const std::size_t run = run_begin(text, text.size(), run_bytes_max);
    if (run == text.size()) {
        const std::size_t comma = comma_before(text, text.size());
        return comma == text.size() ? VolatileCut{.plain = comma} : undecided(comma);
    }
    if (text.size() - run < run_bytes_max) return undecided(run);
    state.within = Within::plain;
    return {.plain = text.size()};
}

// Behind the runs that dots join to one that ends at `end`: of a value behind '=', a version is one
// whole ("2.1.36.abc", whose last part may be letters).
std::size_t version_end(std::string_view text, std::size_t begin, std::size_t end) {
    while (end - begin < run_bytes_max && end + 1 < text.size() && text[end] == '.' &&
           in_run(text[end + 1]))
        end = run_end(text, end + 1);
    return end;
}

// The run around a digit, unless the digit comes too late. Then `at` is moved behind the run.
std::optional<VolatileCut> cut_run(std::string_view text, std::size_t& at, VolatileState& state,
                                   bool whole) {
    const std::size_t begin = run_begin(text, at, run_bytes_max);
    const char before = begin > 0 ? text[begin - 1] : state.last;
    std::size_t end = run_end(text, at);
    if (before == '=') end = version_end(text, begin, end);
    const bool open = end == text.size() && !whole;
    if (at - begin >= run_bytes_max) {
        at = end;
        if (!open) return std::nullopt;
        state.within = Within::plain;
        return VolatileCut{.plain = end};
    }
    const bool colon_last = !whole && end + 1 == text.size() &&
                            (text[end] == ':' || (before == '=' && text[end] == '.'));
    if ((open || colon_last) && end - begin < run_bytes_max) return undecided(begin);
    if (open) state.within = Within::marked;
    const std::string_view run = text.substr(begin, end - begin);
    VolatileCut cut{.plain = begin, .skipped = run.size(), .mark = true};
    if (!is_number(run, before, text.substr(end, 2))) return cut;
    const Found follows = is_dated(text, end, whole);
    if (follows == Found::unknown) return undecided(begin);
    cut.dated = follows == Found::yes ||
                (state.dated && std::ranges::all_of(text.substr(0, begin), separates));
    cut.number = !cut.dated;
    return cut;
}

// The value that begins at `at`, where it is an id that has no digit by chance. `before` is where
// the sign of it stands, by which it is found once more.
std::optional<VolatileCut> cut_letters(std::string_view text, std::size_t before, std::size_t at,
                                       bool whole) {
    constexpr std::size_t least = 8;  // no word of any language is made of so many of these letters
    if (at == text.size() && !whole) return undecided(before);
    if (at == text.size() || !is_hex_letter(text[at])) return std::nullopt;
    const std::size_t end = run_end(text, at);
    if (end == text.size() && !whole && end - at < run_bytes_max) return undecided(before);
    const std::string_view value = text.substr(at, end - at);
    if (value.size() < least || value.size() >= run_bytes_max ||
        !std::ranges::all_of(value, is_hex_letter))
        return std::nullopt;
    return VolatileCut{.plain = at, .skipped = value.size(), .mark = true};
}

VolatileCut find_cut(std::string_view text, VolatileState& state, bool whole) {
    std::size_t at = 0;
    if (state.within != Within::none) {
        at = run_end(text, 0);
        const bool marked = state.within == Within::marked;
        if (at < text.size() || whole) state.within = Within::none;
        if (marked) return {.skipped = at};
        if (at == text.size()) return {.plain = at};
    }
    Stops stops(text);
    while ((at = stops.find(at)) < text.size()) {
        const char c = text[at];
        if (is_digit(c)) {
            if (const auto cut = cut_run(text, at, state, whole)) return *cut;
        } else if (c == '"') {
            std::size_t end = 0;
            const Found found = find_member(text, at, end);
            if (found == Found::yes) return cut_member(text, at, end, whole);
            if (found == Found::unknown && !whole) return undecided(comma_before(text, at));
            if (const auto cut = cut_letters(text, at, at + 1, whole)) return *cut;
            ++at;
        } else if (c == ':') {
            const std::size_t value = skip_blanks(text, at + 1);
            if (const auto cut = cut_letters(text, at, value, whole)) return *cut;
            ++at;
        } else if (c == '=') {
            const std::size_t end = run_end(text, ++at);
            if (end == text.size() && !whole && end - at < run_bytes_max) return undecided(at - 1);
            const std::string_view value = text.substr(at, end - at);
            if (value.size() >= 4 && value.size() < run_bytes_max &&
                std::ranges::all_of(value, is_hex))
                return {.plain = at, .skipped = value.size(), .mark = true};
        } else if ((at == 0 || !in_run(text[at - 1])) && may_be_calendar_name(text.substr(at))) {
            const std::size_t end = run_end(text, at);
            if (end == text.size() && !whole && end - at < run_bytes_max) return undecided(at);
            if (is_calendar_name(text.substr(at, end - at)))
                return {.plain = at, .skipped = end - at, .mark = true, .dated = true};
            ++at;
        } else {
            ++at;
        }
    }
    return cut_tail(text, state, whole);
}

}  // namespace

VolatileCut find_volatile(std::string_view text, VolatileState& state, bool whole) {
    SLUICE_ASSERT(!text.empty());
    const VolatileCut cut = find_cut(text, state, whole);
    const std::size_t looked_at = cut.plain + cut.skipped;
    SLUICE_ASSERT(looked_at <= text.size() && (!whole || !cut.undecided));
    SLUICE_ASSERT(!cut.undecided || text.size() - looked_at <= volatile_held_max);
    if (looked_at > 0) state.last = text[looked_at - 1];
    if (cut.mark)
        state.dated = cut.dated;
    else if (state.dated && cut.plain > 0)
        state.dated = std::ranges::all_of(text.substr(0, cut.plain), separates);
    return cut;
}

}  // namespace sluice::policy
