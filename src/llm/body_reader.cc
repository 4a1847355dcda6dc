#include "sluice/llm/body_reader.h"

#include "fold_key.h"
#include "json_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace sluice::llm {

namespace {

// The longest key that we read has 21 letters, each of which may be written in 3 bytes.
constexpr std::size_t folded_key_bytes_max = 24;

// Writes `key` folded into `out`; empty when it is too long to matter.
std::string_view fold(std::string_view key, std::array<char, folded_key_bytes_max>& out) {
    std::size_t size = 0;
    while (!key.empty()) {
        if (size == out.size()) return {};
        out[size++] = take_folded(key);
    }
    return {out.data(), size};
}

// Whether folding would change nothing: most keys.
bool is_plain(std::string_view key) {
    return std::all_of(key.begin(), key.end(),
                       [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); });
}

bool holds_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// Whether the text is the word, where its length is: one comparison of words of the machine, which
// the compiler does not always make of operator==.
template <std::size_t size>
bool is_word(std::string_view text, const char (&word)[size]) {
    return text.size() == size - 1 && std::memcmp(text.data(), word, size - 1) == 0;
}

constexpr const char* model_type_problem = "a \"model\" that is not a string";
constexpr const char* stream_type_problem = "a \"stream\" that is neither true nor false";

}  // namespace

// These two have linkage, as a member of BodyReader is made of them.

// The keys that we read, as bits of `seen_`. Of several in one group the first one that has a value
// counts, in this order.
enum class RequestKey : std::uint8_t {
    // --- token limits ---
    max_completion_tokens,
    max_tokens,
    max_output_tokens,
    n_predict,
    // --- prompts ---
    messages,
    prompt,
    input,
    // --- instructions ---
    system,
    instructions,
    // --- conversations ---
    conversation,
    prompt_cache_key,
    // --- alone ---
    stream_options,
    model,
    stream,
    tools,
    include_usage,
    other,
};

// Takes what the scanner meets into the facts.
class RequestHandler {
public:
    static constexpr bool strict = true;
    static constexpr std::size_t text_bytes_max = limits::model_name_bytes_max;

    const char* on_key(int depth, const JsonText& key);
    const char* on_string(int depth, const JsonText& string);
    const char* on_number(int depth, const JsonNumber& number);
    const char* on_literal(int depth, JsonLiteral literal, Span span);
    const char* on_open(int depth, bool is_object, std::size_t begin);
    const char* on_close(int depth, std::size_t end);

    // The body is whole.
    RequestFacts&& take_facts();

private:
    bool in_stream_options(int depth) const {
        return depth == 2 && key_ == RequestKey::stream_options && facts_.stream_options_is_object;
    }
    static RequestKey find_key(std::string_view name, bool in_stream_options);
    const char* identify(const JsonText& key, bool in_stream_options, RequestKey& found);
    // A value of a type that the key does not have, or that says nothing.
    const char* take_other(int depth, Span span);
    // The value of `key_` goes to `value`, unless that has one of a key that comes before it.
    void take_span(Span span, Span& value, RequestKey& taken);

    RequestFacts facts_;
    std::array<std::optional<std::uint64_t>, 4> max_tokens_;
    std::uint32_t seen_ = 0;
    // Whose value is in the facts; the last of its group, or none.
    RequestKey prompt_ = RequestKey::other;
    RequestKey instructions_ = RequestKey::other;
    RequestKey conversation_ = RequestKey::other;
    Span* open_value_ = nullptr;  // waits for the end of its array or object
    // The search for the first message of a user, inside an array of messages. What has a role is
    // looked at no further.
    enum class Search : std::uint8_t { off, message, role, passed, found };
    static Search role_is(std::string_view role) {
        return is_word(role, "user") ? Search::found : Search::passed;
    }
    Search search_ = Search::off;
    bool in_metadata_ = false;
    bool user_id_next_ = false;
    bool temperature_next_ = false;
    RequestKey key_ = RequestKey::other;    // of the value that comes next, at the top level
    RequestKey inner_ = RequestKey::other;  // the same inside "stream_options"
};

RequestKey RequestHandler::find_key(std::string_view name, bool in_stream_options) {
    if (in_stream_options)
        return is_word(name, "include_usage") ? RequestKey::include_usage : RequestKey::other;
    switch (name.size()) {
        case 5:
            if (is_word(name, "model")) return RequestKey::model;
            if (is_word(name, "input")) return RequestKey::input;
            return is_word(name, "tools") ? RequestKey::tools : RequestKey::other;
        case 6:
            if (is_word(name, "stream")) return RequestKey::stream;
            if (is_word(name, "prompt")) return RequestKey::prompt;
            return is_word(name, "system") ? RequestKey::system : RequestKey::other;
        case 8:
            return is_word(name, "messages") ? RequestKey::messages : RequestKey::other;
        case 9:
            return is_word(name, "n_predict") ? RequestKey::n_predict : RequestKey::other;
        case 10:
            return is_word(name, "max_tokens") ? RequestKey::max_tokens : RequestKey::other;
        case 12:
            if (is_word(name, "instructions")) return RequestKey::instructions;
            return is_word(name, "conversation") ? RequestKey::conversation : RequestKey::other;
        case 14:
            return is_word(name, "stream_options") ? RequestKey::stream_options : RequestKey::other;
        case 16:
            return is_word(name, "prompt_cache_key") ? RequestKey::prompt_cache_key
                                                     : RequestKey::other;
        case 17:
            return is_word(name, "max_output_tokens") ? RequestKey::max_output_tokens
                                                      : RequestKey::other;
        case 21:
            return is_word(name, "max_completion_tokens") ? RequestKey::max_completion_tokens
                                                          : RequestKey::other;
        default:
            return RequestKey::other;
    }
}

const char* RequestHandler::identify(const JsonText& key, bool in_stream_options,
                                     RequestKey& found) {
    found = key.truncated ? RequestKey::other : find_key(key.text, in_stream_options);
    if (found == RequestKey::other) {
        if (is_plain(key.text)) return nullptr;
        // A parser that ends strings at NUL would read what stands before it.
        const std::string_view name = key.text.substr(0, key.text.find('\0'));
        std::array<char, folded_key_bytes_max> storage;
        if (find_key(fold(name, storage), in_stream_options) == RequestKey::other) return nullptr;
        return "a key that some servers take for another one";
    }
    const std::uint32_t bit = 1u << static_cast<unsigned>(found);
    if ((seen_ & bit) != 0) return "a key that is there twice";
    seen_ |= bit;
    return nullptr;
}

const char* RequestHandler::on_key(int depth, const JsonText& key) {
    if (depth == 1) {
        facts_.object_is_empty = false;
        user_id_next_ = false;
        in_metadata_ = is_word(key.text, "metadata");
        temperature_next_ = is_word(key.text, "temperature");
        facts_.names_seed |= is_word(key.text, "seed") || is_word(key.text, "options");
        return identify(key, false, key_);
    }
    if (depth == 3) {
        if (search_ == Search::message && is_word(key.text, "role")) search_ = Search::role;
        return nullptr;
    }
    if (depth != 2) return nullptr;
    user_id_next_ = in_metadata_ && is_word(key.text, "user_id");
    if (in_stream_options(depth)) {
        facts_.stream_options_is_empty = false;
        return identify(key, true, inner_);
    }
    return nullptr;
}

const char* RequestHandler::on_string(int depth, const JsonText& string) {
    if (depth == 1 && key_ == RequestKey::model) {
        if (string.truncated || string.text.size() > limits::model_name_bytes_max) {
            return "a model name that is too long";
        }
        if (string.half_character) return "half of a surrogate pair in the model name";
        if (holds_control_character(string.text)) return "a control character in the model name";
        facts_.model = string.text;
        facts_.model_value = string.span;
        return nullptr;
    }
    if (depth == 3) {
        if (search_ == Search::role) search_ = role_is(string.text);
        return nullptr;
    }
    if (depth == 2 && user_id_next_) facts_.user_id_value = string.span;
    return take_other(depth, string.span);
}

const char* RequestHandler::on_number(int depth, const JsonNumber& number) {
    if (depth == 1 && key_ <= RequestKey::n_predict) {
        max_tokens_[static_cast<std::size_t>(key_)] = number.count;
        return nullptr;
    }
    if (depth == 1 && temperature_next_) facts_.temperature_value = number.span;
    return take_other(depth, number.span);
}

const char* RequestHandler::on_literal(int depth, JsonLiteral literal, Span span) {
    const bool is_null = literal == JsonLiteral::null;
    if (in_stream_options(depth) && inner_ == RequestKey::include_usage && !is_null) {
        facts_.include_usage = literal == JsonLiteral::true_;
    }
    if (depth == 1 && key_ == RequestKey::stream_options) facts_.stream_options_is_null = is_null;
    if (depth == 1 && key_ == RequestKey::stream && !is_null) {
        facts_.stream = literal == JsonLiteral::true_;
        facts_.stream_given = true;
        return nullptr;
    }
    if (depth == 1 && key_ == RequestKey::model && is_null) facts_.model_null = span;
    // A "stream_options" that is null is a place to put one in; other keys are as good as absent.
    if (depth == 1 && is_null && key_ != RequestKey::stream_options) return nullptr;
    return take_other(depth, span);
}

const char* RequestHandler::on_open(int depth, bool is_object, std::size_t begin) {
    if (depth == 1) {
        if (!is_object) return "a body that is not an object";
        facts_.object_open = {begin, begin + 1};
        facts_.object_is_empty = true;
        return nullptr;
    }
    if (depth == 2 && key_ == RequestKey::stream_options && is_object) {
        facts_.stream_options_is_object = true;
        facts_.stream_options_is_empty = true;
    }
    // Its end is known when it is closed.
    if (const char* problem = take_other(depth - 1, {begin, begin})) return problem;
    if (depth == 2 && !is_object && open_value_ == &facts_.prompt_value &&
        key_ != RequestKey::prompt) {
        search_ = Search::message;
    }
    return nullptr;
}

const char* RequestHandler::on_close(int depth, std::size_t end) {
    if (depth == 2 && open_value_ != nullptr) {
        open_value_->end = end;
        open_value_ = nullptr;
        search_ = Search::off;
    } else if (depth == 3 && search_ != Search::off) {
        const bool found = search_ == Search::found;
        if (found) facts_.opening = {facts_.prompt_value.begin + 1, end};
        search_ = found ? Search::off : Search::message;
    } else if (in_stream_options(depth - 1) && inner_ == RequestKey::include_usage) {
        facts_.include_usage_value.end = end;
    }
    return nullptr;
}

void RequestHandler::take_span(Span span, Span& value, RequestKey& taken) {
    SLUICE_ASSERT(open_value_ == nullptr);
    if (key_ > taken) return;
    taken = key_;
    value = span;
    if (span.empty()) open_value_ = &value;
}

const char* RequestHandler::take_other(int depth, Span span) {
    if (depth == 0) return "a body that is not an object";
    if (depth == 2) {
        if (key_ == RequestKey::tools) facts_.tools = true;
        if (in_stream_options(depth) && inner_ == RequestKey::include_usage) {
            facts_.include_usage_value = span;
        }
        return nullptr;
    }
    if (depth != 1) return nullptr;
    switch (key_) {
        case RequestKey::messages:
        case RequestKey::prompt:
        case RequestKey::input:
            if (key_ < prompt_) facts_.opening = {};
            take_span(span, facts_.prompt_value, prompt_);
            break;
        case RequestKey::system:
        case RequestKey::instructions:
            take_span(span, facts_.instructions_value, instructions_);
            break;
        case RequestKey::conversation:
        case RequestKey::prompt_cache_key:
            take_span(span, facts_.conversation_value, conversation_);
            break;
        case RequestKey::stream_options:
            facts_.stream_options = span;
            if (span.empty()) open_value_ = &facts_.stream_options;
            break;
        case RequestKey::model:
            return model_type_problem;
        case RequestKey::stream:
            return stream_type_problem;
        default:
            break;
    }
    return nullptr;
}

RequestFacts&& RequestHandler::take_facts() {
    SLUICE_ASSERT(open_value_ == nullptr);
    for (const auto& max_tokens : max_tokens_) {
        if (!facts_.max_tokens) facts_.max_tokens = max_tokens;
    }
    SLUICE_ASSERT(facts_.opening.empty() || facts_.opening.end < facts_.prompt_value.end);
    return std::move(facts_);
}

std::string_view session_in(std::string_view user_id) {
    constexpr std::string_view word = "session";
    std::size_t at = user_id.find("session_id");
    if (at == user_id.npos) at = user_id.rfind(word);
    if (at == user_id.npos) return {};
    std::string_view rest = user_id.substr(at + word.size());
    if (rest.starts_with("_id")) rest.remove_prefix(3);
    const auto is_id = [](char c) {
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-';
    };
    const char* const begin = std::find_if(rest.begin(), rest.end(), is_id);
    const char* const end = std::find_if_not(begin, rest.end(), is_id);
    return {begin, static_cast<std::size_t>(end - begin)};
}

struct BodyReader::State {
    JsonState<RequestHandler::text_bytes_max> json;
    RequestHandler handler;
};

BodyReader::BodyReader() = default;
BodyReader::BodyReader(BodyReader&&) noexcept = default;
BodyReader& BodyReader::operator=(BodyReader&&) noexcept = default;
BodyReader::~BodyReader() = default;

bool BodyReader::failed() const {
    return state_ != nullptr && state_->json.step == JsonStep::failed;
}

void BodyReader::feed(std::string_view bytes) {
    if (state_ == nullptr) state_ = std::make_unique<State>();
    if (failed()) return;
    JsonScanner(state_->json, state_->handler).feed(bytes);
}

Result<RequestFacts> BodyReader::finish() {
    if (state_ == nullptr) return Error::client(400, "The request has no body.");
    const auto& json = state_->json;
    if (!JsonScanner(state_->json, state_->handler).finish()) {
        return Error::client(400, fmt::format("The request body is refused: {} at byte {}.",
                                              json.problem, json.problem_at));
    }
    return state_->handler.take_facts();
}

}  // namespace sluice::llm
