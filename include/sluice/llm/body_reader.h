// BodyReader: reads what the gateway must know from a JSON request body, without a document.
//
// Pure. Bytes come in any split and are looked at once, in place. The whole text is checked against
// RFC 8259 (structure, numbers, escapes, UTF-8, nothing behind the value, nesting up to
// limits::json_depth_max), because a text that two parsers read differently could be routed by one
// model and answered by another. An escaped half of a surrogate pair is well-formed (section 8.2)
// and the backend's to judge: tools cut their output within an emoji. For the same reason as above
// these are refused:
// - a duplicate of a key that we read, also when one of them is written with escapes; "messages"
// and
//   what else a choice of backend looks at are among them;
// - a key that differs from one that we read only in case (Go's parser takes it for the same) or
//   has a NUL behind it;
// - half of a surrogate pair in any key;
// - a "model" that is neither a string nor null, is longer than limits::model_name_bytes_max or
//   holds a control character or half of a surrogate pair; a "stream" that is neither true, false
//   nor null;
// - a number of 1e308 or more, which parsers read as infinity, as the largest double or not at all.
#pragma once

#include "sluice/base/limits.h"
#include "sluice/base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::llm {

// Bytes [begin, end) of the body, counted from its first byte.
struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool empty() const { return begin == end; }
};

// Without the bracket or quote at either end of it: what the next turn of a conversation repeats of
// this turn's array of messages.
inline Span inside(Span value) {
    return value.end - value.begin < 2 ? Span{} : Span{value.begin + 1, value.end - 1};
}

// What stands at the top level of a request body.
struct RequestFacts {
    std::string model;             // decoded; empty when there is none
    Span model_value;              // the JSON string with its quotes; empty when there is none
    Span model_null;               // the null that stands in its place, if there is one
    bool stream = false;           // "stream": true
    bool stream_given = false;     // "stream" is true or false; absent and null are the same
    Span object_open;              // the top-level '{', where a field may be put in
    bool object_is_empty = false;  // "{}": a field put in takes no comma
    Span stream_options;           // the value of "stream_options", if there is one
    bool stream_options_is_object = false;  // else it is null or of a wrong type
    bool stream_options_is_null = false;
    bool stream_options_is_empty = false;  // "{}"
    std::optional<bool> include_usage;     // "stream_options": {"include_usage": ...}
    Span include_usage_value;              // the value's bytes, when it is there
    // max_completion_tokens, else max_tokens, else max_output_tokens, else n_predict; none where
    // it is not a whole number (llama-server's -1: no bound).
    std::optional<std::uint64_t> max_tokens;

    // --- what a choice of backend looks at; each empty where it is absent or null ---
    Span prompt_value;        // the value of "messages", else "prompt", else "input"
    Span instructions_value;  // of "system", else "instructions": what stands before the prompt
    // From the begin of inside(prompt_value) to the end of its first object with "role": "user":
    // all turns of a conversation have it in common. Empty where there is none.
    Span opening;
    // The value of "conversation", else "prompt_cache_key": what the client says belongs together.
    // "previous_response_id" and "user" are not read: the one differs each turn, the other is a
    // consumer.
    Span conversation_value;
    // The string "user_id" in "metadata": with some agents it names the session, see session_in().
    // Read without the checks above: no backend is chosen by it alone.
    Span user_id_value;
    // What may make it deterministic, read without the checks above: whether it does is said by the
    // canonical form of the body.
    Span temperature_value;   // of the number; empty: there is none
    bool names_seed = false;  // "seed" is there, or Ollama's "options"
    bool tools = false;       // "tools" is an array or an object that is not empty
};

// The session that a user_id tells of, its bytes as they are in the body: `..._session_ID`, or JSON
// with a "session_id". Empty where it names only who asks: that is no session.
std::string_view session_in(std::string_view user_id);

class BodyReader {
public:
    BodyReader();
    BodyReader(BodyReader&&) noexcept;
    BodyReader& operator=(BodyReader&&) noexcept;
    ~BodyReader();

    // Takes the next bytes of the body. After an error it takes nothing more.
    void feed(std::string_view bytes);

    // The body is complete. An error is the client's (400) and says at which byte it is.
    // Called once.
    Result<RequestFacts> finish();

    // Nothing more needs to be fed: what was fed is already wrong.
    bool failed() const;

private:
    struct State;
    std::unique_ptr<State> state_;  // from the first byte on
};

}  // namespace sluice::llm
