#include "json_check.h"

namespace sluice::bench {
namespace {

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_plain(char c) {
    return c != '"' && c != '\\' && static_cast<unsigned char>(c) >= 0x20;
}

}  // namespace

bool JsonCheck::feed(std::string_view bytes) {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while (at != end) {
        // Most of a document is the inside of strings.
        if (state_ == State::string) {
            while (at != end && is_plain(*at))
                ++at;
            if (at == end) return true;
        }
        if (!step(*at++)) return false;
    }
    return true;
}

bool JsonCheck::complete() const {
    if (depth_ != 0) return false;
    return state_ == State::after_value || (state_ == State::number && digit_last_);
}

bool JsonCheck::step(char c) {
    switch (state_) {
        case State::string:
            if (c == '\\')
                state_ = State::escape;
            else if (c == '"')
                state_ = key_ ? State::colon : State::after_value;
            else
                return is_plain(c);
            return true;
        case State::escape:
            if (c == 'u') digits_left_ = 4;
            state_ = c == 'u' ? State::unicode : State::string;
            return std::string_view("\"\\/bfnrtu").find(c) != std::string_view::npos;
        case State::unicode:
            if (--digits_left_ == 0) state_ = State::string;
            return is_hex(c);
        case State::number:
            return number(c);
        case State::word:
            if (c != word_.front()) return false;
            word_.remove_prefix(1);
            if (word_.empty()) state_ = State::after_value;
            return true;
        default:
            break;
    }
    if (is_space(c)) return true;
    switch (state_) {
        case State::first_value:
            if (c == ']') return close(false);
            return begin_value(c);
        case State::value:
            return begin_value(c);
        case State::first_key:
            if (c == '}') return close(true);
            [[fallthrough]];
        case State::key:
            key_ = true;
            state_ = State::string;
            return c == '"';
        case State::colon:
            state_ = State::value;
            return c == ':';
        default:
            return after_value(c);
    }
}

bool JsonCheck::begin_value(char c) {
    if (c == '{') return open(true);
    if (c == '[') return open(false);
    if (c == '"') {
        key_ = false;
        state_ = State::string;
        return true;
    }
    if (c == '-' || is_digit(c)) {
        digit_last_ = is_digit(c);
        state_ = State::number;
        return true;
    }
    state_ = State::word;
    word_ = c == 't' ? "rue" : c == 'f' ? "alse" : "ull";
    return c == 't' || c == 'f' || c == 'n';
}

bool JsonCheck::number(char c) {
    if (is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-') {
        digit_last_ = is_digit(c);
        return true;
    }
    if (!digit_last_) return false;
    state_ = State::after_value;
    return is_space(c) || after_value(c);
}

bool JsonCheck::after_value(char c) {
    if (depth_ == 0) return false;
    const bool object = objects_[depth_ - 1];
    if (c == ',') {
        state_ = object ? State::key : State::value;
        return true;
    }
    return c == (object ? '}' : ']') && close(object);
}

bool JsonCheck::open(bool object) {
    if (depth_ == depth_max) return false;
    objects_[depth_++] = object;
    state_ = object ? State::first_key : State::first_value;
    return true;
}

bool JsonCheck::close(bool object) {
    if (depth_ == 0 || objects_[depth_ - 1] != object) return false;
    --depth_;
    state_ = State::after_value;
    return true;
}

}  // namespace sluice::bench
