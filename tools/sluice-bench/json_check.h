// JsonCheck: whether bytes that come in any split are one JSON document (RFC 8259).
//
// Pure; keeps a state and no text. Numbers are checked for their characters, strings for their
// escapes and control characters, not for UTF-8. At most 256 levels deep.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::bench {

class JsonCheck {
public:
    void reset() { *this = {}; }
    // False: what came so far cannot become a document.
    bool feed(std::string_view bytes);
    // Whether what came is a whole document.
    bool complete() const;

    static bool valid(std::string_view text) {
        JsonCheck check;
        return check.feed(text) && check.complete();
    }

private:
    enum class State : std::uint8_t {
        value,        // one must come
        first_value,  // or ']'
        first_key,    // or '}'
        key,
        colon,
        after_value,  // ',' or the end of what it is in
        string,
        escape,
        unicode,
        number,
        word,  // true, false, null
    };
    static constexpr std::size_t depth_max = 256;

    bool step(char c);
    bool begin_value(char c);
    bool after_value(char c);
    bool number(char c);
    bool open(bool object);
    bool close(bool object);

    std::bitset<depth_max> objects_;  // by level: an object, else an array
    std::size_t depth_ = 0;
    State state_ = State::value;
    bool key_ = false;              // the string is a member's name
    bool digit_last_ = false;       // a number may end here
    std::uint8_t digits_left_ = 0;  // of a \u escape
    std::string_view word_;         // what must still come of it
};

}  // namespace sluice::bench
