#include "chat_body.h"

#include "json_string.h"
#include "json_walker.h"

#include <algorithm>
#include <string>

namespace sluice::llm {

namespace {

using Kind = ChatValue::Kind;

struct NamedField {
    std::string_view name;
    ChatField field;
};

constexpr std::array named_fields{
    NamedField{"messages", ChatField::messages},
    NamedField{"stream", ChatField::stream},
    NamedField{"n", ChatField::n},
    NamedField{"max_completion_tokens", ChatField::max_completion_tokens},
    NamedField{"max_tokens", ChatField::max_tokens},
    NamedField{"n_predict", ChatField::n_predict},
    NamedField{"min_tokens", ChatField::min_tokens},
    NamedField{"continue_final_message", ChatField::continue_final_message},
    NamedField{"add_generation_prompt", ChatField::add_generation_prompt},
    NamedField{"echo", ChatField::echo},
    NamedField{"response_format", ChatField::response_format},
    NamedField{"tool_choice", ChatField::tool_choice},
    NamedField{"function_call", ChatField::function_call},
    NamedField{"logprobs", ChatField::logprobs},
    NamedField{"top_logprobs", ChatField::top_logprobs},
    NamedField{"n_probs", ChatField::n_probs},
    NamedField{"prompt_logprobs", ChatField::prompt_logprobs},
    NamedField{"reasoning_format", ChatField::reasoning_format},
    NamedField{"use_beam_search", ChatField::use_beam_search},
    NamedField{"grammar", ChatField::constraint},
    NamedField{"json_schema", ChatField::constraint},
    NamedField{"structured_outputs", ChatField::constraint},
    NamedField{"structural_tag", ChatField::constraint},
    NamedField{"guided_json", ChatField::constraint},
    NamedField{"guided_regex", ChatField::constraint},
    NamedField{"guided_choice", ChatField::constraint},
    NamedField{"guided_grammar", ChatField::constraint},
};

// What a key or a short value stands for; in `storage` only where it has escapes.
std::string_view decode(std::string_view raw, std::string& storage) {
    if (raw.find('\\') == raw.npos) return raw;
    storage.clear();
    const bool sound = decode_json_string(
        raw,
        [&storage](std::string_view piece) {
            storage += piece;
            return true;
        },
        [](std::uint32_t) { return false; });
    return sound ? std::string_view(storage) : std::string_view();
}

// Go's parser, which Ollama uses, takes a key for another that differs only in case.
bool differs_in_case(std::string_view name) {
    const bool is_lower =
        std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    const bool is_ascii =
        std::none_of(name.begin(), name.end(), [](char c) { return (c & 0x80) != 0; });
    if (!is_ascii) return true;
    if (is_lower) return false;
    std::string lower(name);
    for (char& c : lower)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return std::any_of(named_fields.begin(), named_fields.end(),
                       [&lower](NamedField known) { return known.name == lower; });
}

// Depths of values: 1 in the body, 2 in `messages`, 3 in a message.
class ChatHandler {
public:
    static constexpr bool strict = false;

    explicit ChatHandler(ChatBody& body) : body_(body) {}

    void on_key(int depth, const JsonText& key);
    void on_string(int depth, const JsonText& string);
    void on_number(int depth, const JsonNumber& number) {
        take(depth, {Kind::number, number.span, number.count});
    }
    void on_literal(int depth, JsonLiteral literal, Span span) {
        constexpr std::array kinds{Kind::null, Kind::false_, Kind::true_};
        take(depth, {kinds[static_cast<std::size_t>(literal)], span, {}});
    }
    void on_open(int depth, bool is_object, std::size_t begin);
    void on_close(int depth, std::size_t end);

    bool sound() const { return sound_; }

private:
    enum class MessageKey : std::uint8_t { other, role, content, name };

    bool in_messages() const { return field_ == ChatField::messages; }
    void take(int depth, const ChatValue& value);
    void begin_message(bool is_object);

    ChatBody& body_;
    std::string key_storage_;
    std::string value_storage_;
    std::string_view inner_key_;  // in the value of a field
    ChatField field_ = ChatField::count;
    MessageKey message_key_ = MessageKey::other;
    bool has_role_ = false;  // the message at hand
    bool has_content_ = false;
    bool other_format_ = false;  // a type of response_format other than text
    bool sound_ = true;
};

void ChatHandler::on_key(int depth, const JsonText& key) {
    if (depth > 3) return;
    const std::string_view name = decode(key.text, key_storage_);
    if (depth == 2) inner_key_ = name;
    if (depth == 3 && in_messages()) {
        message_key_ = MessageKey::other;
        if (name == "role") message_key_ = MessageKey::role;
        if (name == "content") message_key_ = MessageKey::content;
        if (name == "name") message_key_ = MessageKey::name;
        return;
    }
    if (depth != 1) return;
    if (differs_in_case(name)) sound_ = false;
    const auto found = std::find_if(named_fields.begin(), named_fields.end(),
                                    [name](NamedField known) { return known.name == name; });
    field_ = found == named_fields.end() ? ChatField::count : found->field;
}

// A value that is known at its begin; a container's end comes later.
void ChatHandler::take(int depth, const ChatValue& value) {
    if (depth == 1 && field_ != ChatField::count) {
        ChatValue& known = body_.fields[static_cast<std::size_t>(field_)];
        if (field_ == ChatField::constraint) {
            body_.constrained |= value.given() && !(value.kind == Kind::string &&
                                                    value.span.end - value.span.begin == 2);
        } else if (known.kind != Kind::absent) {
            sound_ = false;  // there twice
        }
        known = value;
        return;
    }
    if (!in_messages()) return;
    if (depth == 2) begin_message(value.kind == Kind::object);
    if (depth == 2) body_.last_message_end = value.span.end;
    if (depth != 3) return;
    switch (message_key_) {
        case MessageKey::role:
            if (has_role_) sound_ = false;
            has_role_ = true;
            break;
        case MessageKey::content:
            if (has_content_) sound_ = false;
            has_content_ = true;
            if (value.kind == Kind::string) body_.last_content = value.span;
            break;
        case MessageKey::name:
            break;
        case MessageKey::other:
            body_.last_is_plain &= !value.given();
            break;
    }
}

void ChatHandler::begin_message(bool is_object) {
    ++body_.message_count;
    body_.last_is_object = is_object;
    body_.last_is_assistant = false;
    body_.last_is_plain = true;
    body_.last_content = {};
    message_key_ = MessageKey::other;
    has_role_ = false;
    has_content_ = false;
}

void ChatHandler::on_string(int depth, const JsonText& string) {
    take(depth, {Kind::string, string.span, {}});
    if (depth == 3 && in_messages() && message_key_ == MessageKey::role) {
        body_.last_is_assistant = decode(string.text, value_storage_) == "assistant";
    }
    if (depth == 2 && field_ == ChatField::response_format && inner_key_ == "type") {
        other_format_ |= decode(string.text, value_storage_) != "text";
        body_.response_format_text = !other_format_;
    }
}

void ChatHandler::on_open(int depth, bool is_object, std::size_t begin) {
    if (depth == 1) {
        if (!is_object) sound_ = false;
        body_.object_open = begin + 1;
        return;
    }
    inner_key_ = depth == 2 ? std::string_view() : inner_key_;
    take(depth - 1, {is_object ? Kind::object : Kind::array, {begin, begin}, {}});
}

void ChatHandler::on_close(int depth, std::size_t end) {
    if (depth == 2 && field_ != ChatField::count) {
        body_.fields[static_cast<std::size_t>(field_)].span.end = end;
    }
    if (depth == 3 && in_messages()) body_.last_message_end = end;
}

}  // namespace

ChatBody read_chat_body(std::string_view text) {
    ChatBody body;
    ChatHandler handler(body);
    body.sound = JsonWalker(text, handler).walk() && handler.sound();
    return body;
}

}  // namespace sluice::llm
