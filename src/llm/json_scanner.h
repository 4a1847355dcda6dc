// JsonScanner: reads JSON text (RFC 8259) in any split, without a document, and tells a handler
// what it meets.
//
// Internal. The handler sees every key, string, number, literal and container with its depth (1
// inside the outermost container) and its place in the text; it keeps what it wants and may object
// to what it sees. A strict handler has the whole text checked: UTF-8, control characters, and
// numbers of 1e308 and more, which some parsers read as infinity and others refuse. An escape that
// is half of a surrogate pair is read as U+FFFD, and the handler is told; in a key of the outermost
// object, whose keys say what is asked of whom and where parsers would part, a strict one has it
// refused.
// A lenient one wants only the structure. Both end at limits::json_depth_max.
//
//     struct Handler {
//         static constexpr bool strict;
//         static constexpr std::size_t text_bytes_max;  // of a split string; else it is truncated
//         const char* on_key(int depth, JsonText text);   // each returns what is wrong, or null
//         const char* on_string(int depth, JsonText text);
//         const char* on_number(int depth, JsonNumber number);
//         const char* on_literal(int depth, JsonLiteral literal, Span span);
//         const char* on_open(int depth, bool is_object, std::size_t begin);
//         const char* on_close(int depth, std::size_t end);
//     };
#pragma once

#include "json_state.h"
#include "json_text.h"
#include "sluice/base/assert.h"
#include "sluice/llm/body_reader.h"

#include <array>
#include <cstring>
#include <optional>
#include <string_view>

namespace sluice::llm {

// A string or a key. `text` has its escapes decoded; it is its begin only where `truncated`.
struct JsonText {
    std::string_view text;
    bool truncated = false;
    Span span;                    // with the quotes
    bool half_character = false;  // an escape in it is half of a surrogate pair
};

struct JsonNumber {
    std::optional<std::uint64_t> count;  // its value, when it is a whole number of 64 bits
    Span span;
};

enum class JsonLiteral : std::uint8_t { null, false_, true_ };

template <class Handler>
class JsonScanner {
public:
    using State = JsonState<Handler::text_bytes_max>;

    JsonScanner(State& state, Handler& handler) : s_(state), handler_(handler) {}

    // Takes the next bytes; after a failure it takes nothing more.
    void feed(std::string_view bytes);
    // The text is complete: whether it was one whole value.
    bool finish();

private:
    static constexpr bool strict = Handler::strict;

    // --- json_scanner.h: structure and literals ---
    const char* read_structure(const char* p, const char* end);
    const char* read_value(const char* p, const char* end);
    const char* read_literal(const char* p, const char* end);
    const char* open(const char* p, bool is_object);
    const char* close(const char* p, bool is_object);
    bool in_object() const {
        const unsigned level = s_.depth - 1u;
        return (s_.objects[level / 64] >> (level % 64) & 1) != 0;
    }
    void value_done() { s_.step = s_.depth == 0 ? JsonStep::nothing : JsonStep::comma_or_end; }

    // --- json_scanner_string.h ---
    const char* begin_string(const char* p, const char* end, bool is_key);
    const char* read_string(const char* p, const char* end);
    const char* read_special(const char* p, const char* end);
    const char* read_string_byte(const char* p);
    const char* read_escape(const char* p);
    const char* read_hex_digit(const char* p);
    const char* end_of_code_unit(const char* p);
    void keep_half();
    const char* begin_utf8(const char* p);
    const char* string_done(const char* behind, std::string_view text, bool truncated,
                            bool half_character);
    static const char* skip_text(const char* p, const char* end);
    static const char* skip_escapes(const char* p, const char* end);
    void keep(const char* begin, const char* end);
    void keep_byte(char byte);
    void keep_code_point(std::uint32_t code_point);

    // --- json_scanner_number.h ---
    const char* begin_number(const char* p, const char* end);
    const char* read_number(const char* p, const char* end);
    bool number_may_end() const;
    bool number_done(std::size_t number_end);

    std::size_t offset_of(const char* p) const {
        return s_.offset + static_cast<std::size_t>(p - run_);
    }
    // Remembers the first problem; what is left of the run is not looked at.
    const char* fail(const char* problem, std::size_t at) {
        SLUICE_ASSERT(s_.step != JsonStep::failed);
        s_.step = JsonStep::failed;
        s_.problem = problem;
        s_.problem_at = at;
        return run_end_;
    }
    const char* fail(const char* problem, const char* p) { return fail(problem, offset_of(p)); }

    State& s_;
    Handler& handler_;
    const char* run_ = nullptr;
    const char* run_end_ = nullptr;
};

template <class Handler>
void JsonScanner<Handler>::feed(std::string_view bytes) {
    const char* p = bytes.data();
    const char* const end = p + bytes.size();
    run_ = p;
    run_end_ = end;
    while (p != end && s_.step != JsonStep::failed) {
        switch (s_.step) {
            case JsonStep::in_string:
                p = read_string(p, end);
                break;
            case JsonStep::in_number:
                p = read_number(p, end);
                break;
            case JsonStep::in_literal:
                p = read_literal(p, end);
                break;
            default:
                p = read_structure(p, end);
                break;
        }
    }
    s_.offset += bytes.size();
}

template <class Handler>
bool JsonScanner<Handler>::finish() {
    // Nothing but the end of the text ends a number that is the whole text.
    if (s_.step == JsonStep::in_number && s_.depth == 0 && number_may_end()) {
        number_done(s_.offset);
    }
    if (s_.step == JsonStep::failed || s_.step == JsonStep::nothing) {
        return s_.step == JsonStep::nothing;
    }
    fail("the text ends too early", s_.offset);
    return false;
}

// Reads from between two tokens until the run ends, or ends inside of one.
template <class Handler>
const char* JsonScanner<Handler>::read_structure(const char* p, const char* end) {
    while (p != end) {
        const char c = *p;
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
            ++p;
            continue;
        }
        switch (s_.step) {
            case JsonStep::value_or_end:
                if (c == ']') {
                    p = close(p, false);
                    break;
                }
                [[fallthrough]];
            case JsonStep::value:
                p = read_value(p, end);
                break;
            case JsonStep::key_or_end:
                if (c == '}') {
                    p = close(p, true);
                    break;
                }
                [[fallthrough]];
            case JsonStep::key:
                if (c != '"') return fail("a key was expected", p);
                p = begin_string(p, end, true);
                break;
            case JsonStep::colon:
                if (c != ':') return fail("a colon was expected", p);
                s_.step = JsonStep::value;
                ++p;
                break;
            case JsonStep::comma_or_end:
                if (c == ',') {
                    s_.step = in_object() ? JsonStep::key : JsonStep::value;
                    ++p;
                } else if (c == '}' || c == ']') {
                    p = close(p, c == '}');
                } else {
                    return fail("a comma or the end of a container was expected", p);
                }
                break;
            case JsonStep::nothing:
                return fail("there is text behind the value", p);
            default:
                return p;  // inside a token at the end of the run, or failed
        }
    }
    return p;
}

template <class Handler>
const char* JsonScanner<Handler>::read_value(const char* p, const char* end) {
    switch (*p) {
        case '"':
            return begin_string(p, end, false);
        case '{':
            return open(p, true);
        case '[':
            return open(p, false);
        case 'n':
            s_.literal = static_cast<std::uint8_t>(JsonLiteral::null);
            break;
        case 'f':
            s_.literal = static_cast<std::uint8_t>(JsonLiteral::false_);
            break;
        case 't':
            s_.literal = static_cast<std::uint8_t>(JsonLiteral::true_);
            break;
        default:
            return begin_number(p, end);
    }
    s_.token_begin = offset_of(p);
    s_.literal_bytes = 0;
    s_.step = JsonStep::in_literal;
    return read_literal(p, end);
}

template <class Handler>
const char* JsonScanner<Handler>::read_literal(const char* p, const char* end) {
    static constexpr std::array<std::string_view, 3> literals{"null", "false", "true"};
    const std::string_view literal = literals[s_.literal];
    while (s_.literal_bytes < literal.size()) {
        if (p == end) return p;
        if (*p != literal[s_.literal_bytes]) return fail("a value was expected", p);
        ++s_.literal_bytes;
        ++p;
    }
    const Span span{s_.token_begin, offset_of(p)};
    if (const char* problem =
            handler_.on_literal(s_.depth, static_cast<JsonLiteral>(s_.literal), span)) {
        return fail(problem, span.begin);
    }
    value_done();
    return p;
}

template <class Handler>
const char* JsonScanner<Handler>::open(const char* p, bool is_object) {
    if (s_.depth == limits::json_depth_max) return fail("it is nested too deep", p);
    const std::uint64_t bit = std::uint64_t{1} << (s_.depth % 64);
    std::uint64_t& word = s_.objects[s_.depth / 64];
    word = is_object ? word | bit : word & ~bit;
    ++s_.depth;
    if (const char* problem = handler_.on_open(s_.depth, is_object, offset_of(p))) {
        return fail(problem, p);
    }
    s_.step = is_object ? JsonStep::key_or_end : JsonStep::value_or_end;
    return p + 1;
}

template <class Handler>
const char* JsonScanner<Handler>::close(const char* p, bool is_object) {
    SLUICE_ASSERT(s_.depth > 0);
    if (in_object() != is_object) return fail("the wrong container is closed", p);
    if (const char* problem = handler_.on_close(s_.depth, offset_of(p) + 1)) {
        return fail(problem, p);
    }
    --s_.depth;
    value_done();
    return p + 1;
}

}  // namespace sluice::llm

// The member functions for strings and numbers; only this header includes them.
#include "json_scanner_number.h"
#include "json_scanner_string.h"
