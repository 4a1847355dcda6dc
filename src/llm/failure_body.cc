#include "sluice/llm/failure_body.h"

#include "failure_words.h"
#include "json_scanner.h"
#include "sluice/base/assert.h"

#include <array>
#include <string>

namespace sluice::llm {

namespace {

// The places in an error body whose keys mean something.
enum class Place : std::uint8_t { nowhere, list, root, errors, error, response, inner };
enum class Key : std::uint8_t {
    other,
    error,
    errors,
    response,
    inner,
    type,
    object,
    code,
    message,
    detail,
    n_ctx,
    n_prompt_tokens,
};

// Never reads a key deeper than [{"response":{"error":{"innererror":{.
constexpr int depth_max = 5;

Key key_at_root(std::string_view text) {
    if (text == "error") return Key::error;
    if (text == "errors") return Key::errors;
    if (text == "response") return Key::response;
    if (text == "object") return Key::object;
    if (text == "detail") return Key::detail;
    return Key::other;
}

// The keys of the error object, which in some dialects is the root.
Key key_of_error(std::string_view text) {
    if (text == "type") return Key::type;
    if (text == "code") return Key::code;
    if (text == "message" || text == "msg") return Key::message;
    if (text == "innererror") return Key::inner;
    if (text == "n_ctx") return Key::n_ctx;
    if (text == "n_prompt_tokens") return Key::n_prompt_tokens;
    return Key::other;
}

Key key_in(Place place, std::string_view text) {
    switch (place) {
        case Place::nowhere:
        case Place::list:
        case Place::errors:
            return Key::other;
        case Place::response:
            return text == "error" ? Key::error : Key::other;
        case Place::inner:
            return text == "code" ? Key::inner : Key::other;
        case Place::root: {
            const Key key = key_at_root(text);
            return key != Key::other ? key : key_of_error(text);
        }
        case Place::error:
            return key_of_error(text);
    }
    return Key::other;
}

// Text that an error object or the root of a body gave.
struct Words {
    std::string type;
    std::string code;
    std::string message;
};

class FailureHandler {
public:
    static constexpr bool strict = false;
    static constexpr std::size_t text_bytes_max = failure_message_bytes_max;

    const char* on_key(int depth, const JsonText& key) {
        if (depth <= depth_max) key_ = key.truncated ? Key::other : key_in(place(depth), key.text);
        return nullptr;
    }
    const char* on_string(int depth, const JsonText& string) {
        if (depth <= depth_max && place(depth) != Place::nowhere) take(depth, string.text);
        return nullptr;
    }
    const char* on_number(int depth, const JsonNumber& number) {
        if (depth > depth_max || place(depth) == Place::nowhere || !number.count) return nullptr;
        if (key_ == Key::n_ctx) n_ctx = number.count;
        if (key_ == Key::n_prompt_tokens) n_prompt_tokens = number.count;
        if (key_ == Key::code) keep(words_at(depth).code, std::to_string(*number.count), code_max);
        return nullptr;
    }
    const char* on_literal(int, JsonLiteral, Span) { return nullptr; }
    const char* on_open(int depth, bool is_object, std::size_t) {
        if (depth > depth_max) return nullptr;
        places_[depth] = place_of(depth, is_object);
        if (places_[depth] == Place::error) seen_error = true;
        return nullptr;
    }
    const char* on_close(int depth, std::size_t) {
        if (depth <= depth_max) key_ = Key::other;
        return nullptr;
    }
    // The text ends inside of a string: of a message its begin is worth having.
    void on_cut_string(int depth, std::string_view text) {
        if (key_ != Key::message && key_ != Key::detail && key_ != Key::error) return;
        if (depth <= depth_max && place(depth) != Place::nowhere) take(depth, text);
    }

    Words root;
    Words error;
    std::string inner_code;
    std::optional<std::uint64_t> n_ctx;
    std::optional<std::uint64_t> n_prompt_tokens;
    bool seen_error = false;

private:
    static constexpr std::size_t code_max = failure_code_bytes_max;

    Place place(int depth) const { return depth == 0 ? Place::nowhere : places_[depth]; }
    Words& words_at(int depth) { return place(depth) == Place::error ? error : root; }

    Place place_of(int depth, bool is_object) const {
        if (depth == 1) return is_object ? Place::root : Place::list;
        const Place outer = places_[depth - 1];
        const bool list_of_errors = key_ == Key::errors || key_ == Key::detail;
        if (!is_object && outer == Place::root && list_of_errors) return Place::errors;
        if (!is_object) return Place::nowhere;
        if (outer == Place::errors) return Place::error;
        if (outer == Place::list) return depth == 2 ? Place::root : Place::nowhere;
        if (outer == Place::root && key_ == Key::error) return Place::error;
        if (outer == Place::root && key_ == Key::response) return Place::response;
        if (outer == Place::response && key_ == Key::error) return Place::error;
        if (outer == Place::error && key_ == Key::inner) return Place::inner;
        return Place::nowhere;
    }

    // The first of each counts. A type or code that is longer than any is none.
    static void keep(std::string& kept, std::string_view text, std::size_t bytes_max) {
        if (kept.empty() && text.size() <= bytes_max) kept = text;
    }
    static void keep_message(std::string& kept, std::string_view text) {
        if (kept.empty()) kept = text.substr(0, failure_message_bytes_max);
    }

    void take(int depth, std::string_view text) {
        Words& words = words_at(depth);
        switch (key_) {
            case Key::type:
                return keep(words.type, text, code_max);
            case Key::code:
                return keep(words.code, text, code_max);
            case Key::message:
            case Key::detail:
                return keep_message(words.message, text);
            case Key::inner:
                return place(depth) == Place::inner ? keep(inner_code, text, code_max) : void();
            case Key::object:
                seen_error |= text == "error";
                return;
            case Key::error:  // Ollama's
                seen_error = true;
                return keep_message(error.message, text);
            case Key::other:
            case Key::errors:
            case Key::response:
            case Key::n_ctx:
            case Key::n_prompt_tokens:
                return;
        }
    }

    std::array<Place, depth_max + 1> places_{};
    Key key_ = Key::other;  // of the value that comes next
};

// Cuts half a character off the end, and makes one line of it: it goes into logs.
void tidy_message(std::string& message) {
    std::string valid;
    for (const char* p = message.data(); p != message.data() + message.size();) {
        const int length = utf8_sequence_length(p, message.data() + message.size());
        if (length == 0) {
            ++p;
            continue;
        }
        const bool control = static_cast<unsigned char>(*p) < 0x20 || *p == 0x7F;
        if (control) {
            valid += ' ';
        } else {
            valid.append(p, static_cast<std::size_t>(length));
        }
        p += length;
    }
    SLUICE_ASSERT(valid.size() <= failure_message_bytes_max);
    message = std::move(valid);
}

std::string_view first_of(std::string_view a, std::string_view b) {
    return a.empty() ? b : a;
}

// A body that is no JSON, nor a page of HTML, is its own message.
std::string_view plain_text(std::string_view body) {
    const std::size_t begin = body.find_first_not_of(" \t\r\n");
    if (begin == body.npos || body[begin] == '<') return {};
    return body.substr(begin, failure_message_bytes_max);
}

// A code of a number is a status; Google and llama-server write it so.
int read_status(std::string_view code) {
    const bool number = code.size() == 3 && code.find_first_not_of("0123456789") == code.npos;
    if (!number || (code[0] != '4' && code[0] != '5')) return 0;
    return (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
}

}  // namespace

ErrorFacts read_failure_body(std::string_view body) {
    body = body.substr(0, failure_body_bytes_max);
    FailureHandler handler;
    JsonState<FailureHandler::text_bytes_max> state;
    // Cut or broken, what came before counts.
    JsonScanner(state, handler).feed(body);
    if (state.step == JsonStep::in_string && !state.string_is_key) {
        handler.on_cut_string(state.depth, {state.text.data(), state.text_size});
    }
    const bool is_json = state.depth > 0 || state.step == JsonStep::nothing;

    ErrorFacts facts;
    // Anthropic's root says only that it is an error.
    std::string_view root_type = handler.root.type;
    if (root_type == "error") root_type = {};
    facts.is_error = handler.seen_error || handler.root.type == "error";
    facts.type = first_of(handler.error.type, root_type);
    facts.code = first_of(handler.error.code, handler.root.code);
    facts.message = first_of(handler.error.message, handler.root.message);
    if (!is_json) facts.message = plain_text(body);
    facts.n_ctx = handler.n_ctx;
    facts.n_prompt_tokens = handler.n_prompt_tokens;
    tidy_message(facts.message);

    facts.status = read_status(facts.code);
    apply_error_code(facts.code, facts);
    apply_error_code(facts.type, facts);
    apply_error_code(handler.inner_code, facts);
    apply_error_message(facts.message, facts);
    return facts;
}

int implied_status(const ErrorFacts& error) {
    if (error.status != 0) return error.status;
    if (error.context != ContextSign::none) return 400;
    return error.says_loading || error.says_overloaded ? 503 : 500;
}

bool may_refuse_field(int status, const ErrorFacts& error, std::string_view body,
                      std::string_view field) {
    if (status == 401 || status == 403 || status == 429 || error.context == ContextSign::exact)
        return false;
    if (body.find(field) != body.npos) return true;
    const bool at_fault = status == 400 || status == 422;
    return at_fault && (error.says_foreign_field || (error.says_nothing && error.code.empty()));
}

}  // namespace sluice::llm
