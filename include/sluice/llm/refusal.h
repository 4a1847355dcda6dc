// Refusal: a backend's own error object, to be told again inside of a stream.
//
// Pure. A refusal that comes when the answer is committed to status 200 can only be told in an
// event, and agents go by its type and code and by what is in it of numbers (n_ctx,
// n_prompt_tokens). So its members are kept as they came, and only the frame is the dialect's. What
// is no JSON, or longer than refusal_bytes_max, is told by what can be read of it.
#pragma once

#include "sluice/base/limits.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::llm {

inline constexpr std::size_t refusal_bytes_max = 16 * limits::KiB;

// All are JSON on one line, as they came; empty: not there.
struct Refusal {
    std::string message;  // a string; never empty
    std::string type;     // a string
    std::string code;     // a string or a number
    std::string param;
    std::string members;         // the others: `"n_ctx":4096,"n_prompt_tokens":6023`
    bool says_too_long = false;  // for the context
};

// Of the body of an error response, or the data of an error event, in any dialect. Where it says
// nothing, `otherwise` is the message.
Refusal read_refusal(std::string_view body, std::string_view otherwise);

// Whether the body is an error in Anthropic's form, of a request with that id.
bool is_anthropic_error(std::string_view body, std::string_view request_id);

}  // namespace sluice::llm
