// BodyReader: reads what the gateway must know from a JSON request body, without a document.
//
// Pure. Bytes come in any split and are looked at once, in place. The whole text is checked against
// RFC 8259 (structure, numbers, escapes, UTF-8, surrogates, nothing behind the value, nesting up to
// limits::json_depth_max), because a text that two parsers read differently could be routed by one
// model and answered by another. For the same reason a duplicate of a key that we read is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/base/limits.h"
#include "sluice/base/result.h"

namespace sluice::llm {

// Bytes [begin, end) of the body, counted from its first byte.
struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool empty() const { return begin == end; }
};

// What stands at the top level of a request body.
struct RequestFacts {
    std::string model;    // decoded; empty when there is none
    Span model_value;     // the JSON string with its quotes
    bool stream = false;  // "stream": true
    Span object_open;     // the top-level '{', where a field may be put in
    bool object_is_empty = false;          // "{}": a field put in takes no comma
    Span stream_options;                   // the value of "stream_options", if there is one
    bool stream_options_is_object = false; // else it is null or of a wrong type
    bool stream_options_is_empty = false;  // "{}"
    std::optional<bool> include_usage;     // "stream_options": {"include_usage": ...}
    Span include_usage_value;              // the value's bytes, when it is there
    std::optional<std::uint64_t> max_tokens;  // max_completion_tokens, else max_tokens, else n_predict
};

class BodyReader {
public:
    // Takes the next bytes of the body. After an error it takes nothing more.
    void feed(std::string_view bytes);

    // The body is complete. An error is the client's (400) and says at which byte it is.
    Result<RequestFacts> finish();

    // Nothing more needs to be fed: what was fed is already wrong.
    bool failed() const;

private:
};

}  // namespace sluice::llm
