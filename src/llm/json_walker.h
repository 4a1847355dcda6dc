// JsonWalker: reads JSON text that is there as a whole, and tells a handler what it meets.
//
// Internal. The same handlers as those of JsonScanner, for events of a stream: nothing has to be
// kept between two bytes, which makes it several times as fast on small texts. It checks the
// structure only, and hands on strings as they stand there: escapes are not decoded.
#pragma once

#include "json_scanner.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::llm {

template <class Handler>
class JsonWalker {
public:
    JsonWalker(std::string_view text, Handler& handler)
        : begin_(text.data()), end_(text.data() + text.size()), handler_(handler) {
        static_assert(!Handler::strict);
    }

    // Whether the text was one whole value.
    bool walk() {
        const char* p = read_value(skip_spaces(begin_), 0);
        return p != nullptr && skip_spaces(p) == end_;
    }

    // In two steps, for a text whose outermost object is known to be one, and whose begin need not
    // be looked at: the value at `p`, of which it returns the byte behind, or null;
    const char* walk_member_value(const char* p) { return read_value(p, 1); }
    // and then what stands behind it, to the end of the text.
    bool walk_rest(const char* p) {
        p = skip_spaces(p);
        const bool more = p != end_ && *p == ',';
        p = read_members(more ? skip_spaces(p + 1) : p, 1, more);
        return p != nullptr && skip_spaces(p) == end_;
    }

private:
    // Each takes the place of what it reads and returns the byte behind it; null where the text is
    // not well formed.
    const char* read_value(const char* p, int depth);
    const char* read_object(const char* p, int depth);
    const char* read_members(const char* p, int depth, bool more);
    const char* read_array(const char* p, int depth);
    const char* read_string(const char* p) const;
    const char* read_number(const char* p, int depth);
    const char* read_literal(const char* p, int depth, JsonLiteral literal, std::string_view word);

    const char* skip_spaces(const char* p) const {
        while (p != end_ && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
            ++p;
        return p;
    }
    std::size_t offset_of(const char* p) const { return static_cast<std::size_t>(p - begin_); }
    // `p` is at the opening quote, `behind` behind the closing one.
    JsonText text_of(const char* p, const char* behind) const {
        return {{p + 1, static_cast<std::size_t>(behind - p - 2)},
                false,
                {offset_of(p), offset_of(behind)}};
    }

    const char* const begin_;
    const char* const end_;
    Handler& handler_;
};

template <class Handler>
const char* JsonWalker<Handler>::read_value(const char* p, int depth) {
    if (p == end_) return nullptr;
    switch (*p) {
        case '"': {
            const char* behind = read_string(p);
            if (behind != nullptr) handler_.on_string(depth, text_of(p, behind));
            return behind;
        }
        case '{':
            return read_object(p, depth + 1);
        case '[':
            return read_array(p, depth + 1);
        case 'n':
            return read_literal(p, depth, JsonLiteral::null, "null");
        case 't':
            return read_literal(p, depth, JsonLiteral::true_, "true");
        case 'f':
            return read_literal(p, depth, JsonLiteral::false_, "false");
        default:
            return read_number(p, depth);
    }
}

template <class Handler>
const char* JsonWalker<Handler>::read_object(const char* p, int depth) {
    if (depth > static_cast<int>(limits::json_depth_max)) return nullptr;
    handler_.on_open(depth, true, offset_of(p));
    p = skip_spaces(p + 1);
    return read_members(p, depth, p != end_ && *p != '}');
}

// From a key, if there are more, to behind the end of the object.
template <class Handler>
const char* JsonWalker<Handler>::read_members(const char* p, int depth, bool more) {
    while (more) {
        if (p == end_ || *p != '"') return nullptr;
        const char* behind = read_string(p);
        if (behind == nullptr) return nullptr;
        handler_.on_key(depth, text_of(p, behind));
        p = skip_spaces(behind);
        if (p == end_ || *p != ':') return nullptr;
        p = read_value(skip_spaces(p + 1), depth);
        if (p == nullptr) return nullptr;
        p = skip_spaces(p);
        more = p != end_ && *p == ',';
        if (more) p = skip_spaces(p + 1);
    }
    if (p == end_ || *p != '}') return nullptr;
    handler_.on_close(depth, offset_of(p + 1));
    return p + 1;
}

template <class Handler>
const char* JsonWalker<Handler>::read_array(const char* p, int depth) {
    if (depth > static_cast<int>(limits::json_depth_max)) return nullptr;
    handler_.on_open(depth, false, offset_of(p));
    p = skip_spaces(p + 1);
    bool more = p != end_ && *p != ']';
    while (more) {
        p = read_value(p, depth);
        if (p == nullptr) return nullptr;
        p = skip_spaces(p);
        more = p != end_ && *p == ',';
        if (more) p = skip_spaces(p + 1);
    }
    if (p == end_ || *p != ']') return nullptr;
    handler_.on_close(depth, offset_of(p + 1));
    return p + 1;
}

template <class Handler>
const char* JsonWalker<Handler>::read_string(const char* p) const {
    for (++p; p != end_;) {
        p = skip_any_text(p, end_);
        if (p == end_) return nullptr;
        if (*p == '"') return p + 1;
        if (end_ - p < 2) return nullptr;
        p += 2;  // a backslash and what it escapes
    }
    return nullptr;
}

template <class Handler>
const char* JsonWalker<Handler>::read_number(const char* p, int depth) {
    const char* const begin = p;
    const bool negative = *p == '-';
    if (negative) ++p;
    const auto digit = [&] { return p != end_ && *p >= '0' && *p <= '9'; };
    if (!digit()) return nullptr;
    std::uint64_t value = 0;
    const char* const first = p;
    for (; digit(); ++p)
        value = value * 10 + static_cast<unsigned>(*p - '0');
    // Counts of more digits are not believed anyway.
    bool fits = !negative && p - first <= 18;
    // What follows a fraction or an exponent is not a count: its form does not matter here.
    while (p != end_ &&
           (digit() || *p == '.' || *p == 'e' || *p == 'E' || *p == '+' || *p == '-')) {
        fits = false;
        ++p;
    }
    JsonNumber number{{}, {offset_of(begin), offset_of(p)}};
    if (fits) number.count = value;
    handler_.on_number(depth, number);
    return p;
}

template <class Handler>
const char* JsonWalker<Handler>::read_literal(const char* p, int depth, JsonLiteral literal,
                                              std::string_view word) {
    const std::string_view rest{p, static_cast<std::size_t>(end_ - p)};
    if (!rest.starts_with(word)) return nullptr;
    const char* behind = p + word.size();
    handler_.on_literal(depth, literal, {offset_of(p), offset_of(behind)});
    return behind;
}

}  // namespace sluice::llm
