#include "sluice/http/date.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace sluice::http {

namespace {

constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> days{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                               "Friday", "Saturday", "Sunday"};

struct CivilTime {
    int year = 0;
    int month = 0;  // from 1
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
};

// Takes tokens off the begin of a text; after the first that is not there, takes nothing more.
class Cursor {
public:
    explicit Cursor(std::string_view text) : text_(text) {}

    bool done() const { return good_ && text_.empty(); }

    void literal(std::string_view expected) {
        good_ = good_ && text_.starts_with(expected);
        if (good_) text_.remove_prefix(expected.size());
    }
    int digits(std::size_t count) {
        const std::string_view run = text_.substr(0, count);
        good_ = good_ && run.size() == count && run.find_first_not_of("0123456789") == run.npos;
        int value = 0;
        if (!good_) return value;
        for (const char c : run)
            value = value * 10 + (c - '0');
        text_.remove_prefix(count);
        return value;
    }
    // asctime writes a day below 10 with a space before it.
    int spaced_digits() {
        if (!text_.starts_with(' ')) return digits(2);
        literal(" ");
        return digits(1);
    }
    int month() {
        const auto* const at = std::find(months.begin(), months.end(), text_.substr(0, 3));
        literal(at == months.end() ? months[0] : *at);
        return static_cast<int>(at - months.begin()) + 1;
    }
    // The name of a day, of so many letters or whole.
    void day_name(std::size_t letters_max) {
        const auto* const at = std::find_if(days.begin(), days.end(), [&](std::string_view day) {
            return text_.starts_with(day.substr(0, letters_max));
        });
        literal(at == days.end() ? days[0] : at->substr(0, letters_max));
    }
    void time_of_day(CivilTime& time) {
        time.hour = digits(2);
        literal(":");
        time.minute = digits(2);
        literal(":");
        time.second = digits(2);
    }

private:
    std::string_view text_;
    bool good_ = true;
};

bool read_fixdate(std::string_view text, CivilTime& time) {
    Cursor cursor(text);
    cursor.day_name(3);
    cursor.literal(", ");
    time.day = cursor.digits(2);
    cursor.literal(" ");
    time.month = cursor.month();
    cursor.literal(" ");
    time.year = cursor.digits(4);
    cursor.literal(" ");
    cursor.time_of_day(time);
    cursor.literal(" GMT");
    return cursor.done();
}

// The year is left with its two digits.
bool read_rfc850(std::string_view text, CivilTime& time) {
    Cursor cursor(text);
    cursor.day_name(std::string_view::npos);
    cursor.literal(", ");
    time.day = cursor.digits(2);
    cursor.literal("-");
    time.month = cursor.month();
    cursor.literal("-");
    time.year = cursor.digits(2);
    cursor.literal(" ");
    cursor.time_of_day(time);
    cursor.literal(" GMT");
    return cursor.done();
}

bool read_asctime(std::string_view text, CivilTime& time) {
    Cursor cursor(text);
    cursor.day_name(3);
    cursor.literal(" ");
    time.month = cursor.month();
    cursor.literal(" ");
    time.day = cursor.spaced_digits();
    cursor.literal(" ");
    cursor.time_of_day(time);
    cursor.literal(" ");
    time.year = cursor.digits(4);
    return cursor.done();
}

constexpr bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

constexpr int days_of_month(int year, int month) {
    constexpr std::array<int, 12> lengths{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return lengths[static_cast<std::size_t>(month - 1)] + (month == 2 && is_leap(year) ? 1 : 0);
}

bool is_sound(const CivilTime& time) {
    return time.month >= 1 && time.month <= 12 && time.day >= 1 &&
           time.day <= days_of_month(time.year, time.month) && time.hour < 24 && time.minute < 60 &&
           time.second <= 60;
}

// Days since 1970-01-01, years counted from March so that a leap day is the last of its year.
constexpr std::int64_t days_since_epoch(int year, int month, int day) {
    const std::int64_t y = month <= 2 ? year - 1 : year;
    const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    constexpr std::int64_t days_to_epoch = 719'468;  // from 0000-03-01
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - days_to_epoch;
}
static_assert(days_since_epoch(1970, 1, 1) == 0 && days_since_epoch(2000, 2, 29) == 11'016);

constexpr std::int64_t seconds_of_day = 24 * 60 * 60;

WallTime wall_time(const CivilTime& time) {
    const std::int64_t seconds =
        days_since_epoch(time.year, time.month, time.day) * seconds_of_day + time.hour * 3600 +
        time.minute * 60 + time.second;
    return {seconds * 1'000'000};
}

// To within a year, which is what the rule of 50 years needs.
int year_of(WallTime now) {
    constexpr std::int64_t us_of_year = 31'556'952ll * 1'000'000;  // Gregorian mean
    return 1970 + static_cast<int>(now.us / us_of_year);
}

}  // namespace

std::optional<WallTime> parse_date(std::string_view text, WallTime now) {
    CivilTime time;
    if (read_rfc850(text, time)) {
        const int this_year = year_of(now);
        time.year += this_year / 100 * 100;
        if (time.year > this_year + 50) time.year -= 100;
    } else if (!read_fixdate(text, time) && !read_asctime(text, time)) {
        return std::nullopt;
    }
    SLUICE_ASSERT(time.year >= 0 && time.year <= 9999);
    if (!is_sound(time)) return std::nullopt;
    return wall_time(time);
}

}  // namespace sluice::http
