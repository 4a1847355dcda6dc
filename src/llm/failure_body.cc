#include "sluice/llm/failure_body.h"

#include "failure_words.h"
#include "json_scanner.h"
#include "sluice/base/assert.h"

#include <array>
#include <string>

namespace sluice::llm {

namespace {

// The places in an error body whose keys mean something.
enum class FailurePlace : std::uint8_t { nowhere, list, root, errors, error, response, inner };
enum class FailureKey : std::uint8_t {
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

FailureKey key_at_root(std::string_view text) {
    if (text == "error") return FailureKey::error;
    if (text == "errors") return FailureKey::errors;
    if (text == "response") return FailureKey::response;
    if (text == "object") return FailureKey::object;
    if (text == "detail") return FailureKey::detail;
    return FailureKey::other;
}

// The keys of the error object, which in some dialects is the root.
FailureKey key_of_error(std::string_view text) {
    if (text == "type") return FailureKey::type;
    if (text == "code") return FailureKey::code;
    if (text == "message" || text == "msg") return FailureKey::message;
    if (text == "innererror") return FailureKey::inner;
    if (text == "n_ctx") return FailureKey::n_ctx;
    if (text == "n_prompt_tokens") return FailureKey::n_prompt_tokens;
    return FailureKey::other;
}

FailureKey key_in(FailurePlace place, std::string_view text) {
    switch (place) {
        case FailurePlace::nowhere:
        case FailurePlace::list:
        case FailurePlace::errors:
            return FailureKey::other;
        case FailurePlace::response:
            return text == "error" ? FailureKey::error : FailureKey::other;
        case FailurePlace::inner:
            return text == "code" ? FailureKey::inner : FailureKey::other;
        case FailurePlace::root: {
            const FailureKey key = key_at_root(text);
            return key != FailureKey::other ? key : key_of_error(text);
        }
        case FailurePlace::error:
            return key_of_error(text);
    }
    return FailureKey::other;
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
        if (depth <= depth_max)
            key_ = key.truncated ? FailureKey::other : key_in(place(depth), key.text);
        return nullptr;
    }
    const char* on_string(int depth, const JsonText& string) {
        if (depth <= depth_max && place(depth) != FailurePlace::nowhere) take(depth, string.text);
        return nullptr;
    }
    const char* on_number(int depth, const JsonNumber& number) {
        if (depth > depth_max || place(depth) == FailurePlace::nowhere || !number.count)
            return nullptr;
        if (key_ == FailureKey::n_ctx) n_ctx = number.count;
        if (key_ == FailureKey::n_prompt_tokens) n_prompt_tokens = number.count;
        if (key_ == FailureKey::code)
            keep(words_at(depth).code, std::to_string(*number.count), code_max);
        return nullptr;
    }
    const char* on_literal(int, JsonLiteral, Span) { return nullptr; }
    const char* on_open(int depth, bool is_object, std::size_t) {
        if (depth > depth_max) return nullptr;
        places_[depth] = place_of(depth, is_object);
        if (places_[depth] == FailurePlace::error) seen_error = true;
        return nullptr;
    }
    const char* on_close(int depth, std::size_t) {
        if (depth <= depth_max) key_ = FailureKey::other;
        return nullptr;
    }
    // The text ends inside of a string: of a message its begin is worth having.
    void on_cut_string(int depth, std::string_view text) {
        if (key_ != FailureKey::message && key_ != FailureKey::detail && key_ != FailureKey::error)
            return;
        if (depth <= depth_max && place(depth) != FailurePlace::nowhere) take(depth, text);
    }

    Words root;
    Words error;
    std::string inner_code;
    std::optional<std::uint64_t> n_ctx;
    std::optional<std::uint64_t> n_prompt_tokens;
    bool seen_error = false;

private:
    static constexpr std::size_t code_max = failure_code_bytes_max;

    FailurePlace place(int depth) const {
        return depth == 0 ? FailurePlace::nowhere : places_[depth];
    }
    Words& words_at(int depth) { return place(depth) == FailurePlace::error ? error : root; }

    FailurePlace place_of(int depth, bool is_object) const {
        if (depth == 1) return is_object ? FailurePlace::root : FailurePlace::list;
        const FailurePlace outer = places_[depth - 1];
        const bool list_of_errors = key_ == FailureKey::errors || key_ == FailureKey::detail;
        if (!is_object && outer == FailurePlace::root && list_of_errors)
            return FailurePlace::errors;
        if (!is_object) return FailurePlace::nowhere;
        if (outer == FailurePlace::errors) return FailurePlace::error;
        if (outer == FailurePlace::list)
            return depth == 2 ? FailurePlace::root : FailurePlace::nowhere;
        if (outer == FailurePlace::root && key_ == FailureKey::error) return FailurePlace::error;
        if (outer == FailurePlace::root && key_ == FailureKey::response)
            return FailurePlace::response;
        if (outer == FailurePlace::response && key_ == FailureKey::error)
            return FailurePlace::error;
        if (outer == FailurePlace::error && key_ == FailureKey::inner) return FailurePlace::inner;
        return FailurePlace::nowhere;
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
            case FailureKey::type:
                return keep(words.type, text, code_max);
            case FailureKey::code:
                return keep(words.code, text, code_max);
            case FailureKey::message:
            case FailureKey::detail:
                return keep_message(words.message, text);
            case FailureKey::inner:
                return place(depth) == FailurePlace::inner ? keep(inner_code, text, code_max)
                                                           : void();
            case FailureKey::object:
                seen_error |= text == "error";
                return;
            case FailureKey::error:  // Ollama's
                seen_error = true;
                return keep_message(error.message, text);
            case FailureKey::other:
            case FailureKey::errors:
            case FailureKey::response:
            case FailureKey::n_ctx:
            case FailureKey::n_prompt_tokens:
                return;
        }
    }

    std::array<FailurePlace, depth_max + 1> places_{};
    FailureKey key_ = FailureKey::other;  // of the value that comes next
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
    body = without_byte_order_mark(body.substr(0, failure_body_bytes_max));
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
