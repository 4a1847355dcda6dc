// Error bodies in the dialect of the endpoint that was asked.
//
// OpenAI: {"error":{"message","type","param","code"}}; Anthropic: {"type":"error","error":{"type",
// "message"},"request_id"}; Ollama: {"error":"text"}. A stream that breaks after its head gets the
// same object as an SSE event (OpenAI: `data: {...}\n\n`; Anthropic: `event: error`; Responses:
// `event: error` with {"type":"error","code","message","param"}, and see responses_end.h) or
// as one of its JSON lines, and never a [DONE]. llama-server's own endpoints: OpenAI's form with
// the status as a number in `code`.
//
// Some clients take a figure in a message for a status ("503"), and try a refusal again that is
// final. So a text of ours goes through message_of(), and lists of names go into a member of their
// own. What a backend says is its own affair: see llm/refusal.h.
#pragma once

#include "sluice/sse/scanner.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

enum class Dialect : std::uint8_t { openai, responses, anthropic, ollama, llama_native };

struct Refusal;

struct ErrorText {
    int status = 500;
    std::string_view message;  // may hold anything; it is escaped
    std::string_view code =
        {};  // OpenAI's machine-readable code, e.g. "model_not_found"; else null
    std::string_view param = {};       // the field that is at fault, e.g. "model"; else null
    std::string_view request_id = {};  // Anthropic's bodies carry it; else null
    // Further members of the error object, as JSON: `"models":["a","b"]`. Ollama's has no place
    // for them.
    std::string_view members = {};
    // A backend's own words: they take the place of message, code and param. Null: there are none.
    const Refusal* refusal = nullptr;
};

// The JSON body of an error response.
std::string error_body(Dialect dialect, const ErrorText& error);
// The in-band event that ends a broken stream of that form.
std::string error_event(Dialect dialect, sse::Form form, const ErrorText& error);
// OpenAI's `type` for a status: invalid_request_error, authentication_error, ... server_error.
std::string_view error_type(int status);

// A text for a client, in which no figure can be taken for a status: numbers with three digits that
// read as 400 to 599 are masked ("###"). The log has them.
std::string message_of(std::string_view text);

// Appends `text` as the inside of a JSON string: quotes, backslashes and control characters (C0,
// DEL and C1) escaped, invalid UTF-8 replaced by U+FFFD.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace sluice::llm
