// Reads the fields of a chat request that matter for resuming it, and where they stand.
//
// Internal. For a body that BodyReader took, in one piece.
#pragma once

#include "sluice/llm/body_reader.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::llm {

enum class ChatField : std::uint8_t {
    messages,
    stream,
    n,
    max_completion_tokens,
    max_tokens,
    n_predict,
    min_tokens,
    continue_final_message,
    add_generation_prompt,
    echo,
    response_format,
    tool_choice,
    function_call,
    logprobs,
    top_logprobs,
    n_probs,
    prompt_logprobs,
    reasoning_format,
    use_beam_search,
    constraint,  // grammar, json_schema, guided_* and the like: the last one that is there
    count,
};

struct ChatValue {
    enum class Kind : std::uint8_t { absent, null, false_, true_, number, string, object, array };
    Kind kind = Kind::absent;
    Span span;
    std::optional<std::uint64_t> number;  // a whole number from 0 on

    bool given() const { return kind != Kind::absent && kind != Kind::null; }
};

struct ChatBody {
    bool sound = false;  // one object, in which every field that is read can be told for sure
    std::size_t object_open = 0;  // behind the '{'
    std::array<ChatValue, static_cast<std::size_t>(ChatField::count)> fields;
    bool constrained = false;           // some constraint is given
    bool response_format_text = false;  // {"type":"text"}

    std::size_t message_count = 0;
    std::size_t last_message_end = 0;
    bool last_is_object = false;
    bool last_is_assistant = false;
    bool last_is_plain = true;  // besides role, content and name it says nothing
    Span last_content;          // a string, with its quotes

    const ChatValue& operator[](ChatField field) const {
        return fields[static_cast<std::size_t>(field)];
    }
};

ChatBody read_chat_body(std::string_view body);

}  // namespace sluice::llm
