// AnswerForm: which shape a generated answer has, as a document and as a stream.
//
// Pure. A recorded answer is one of two things: the document (one JSON object) or the stream (SSE;
// JSON lines where the API is Ollama's) that a server sends for the same request with and without
// `stream`. answer_of_events.h and events_of_answer.h turn one into the other; both want to know
// the form. Shapes: OpenAI API reference (chat/completions, completions, responses), Anthropic API
// reference (messages), Ollama's docs/api.md.
#pragma once

#include "sluice/llm/endpoints.h"
#include "sluice/sse/scanner.h"

#include <cstdint>
#include <optional>

namespace sluice::llm {

enum class AnswerForm : std::uint8_t {
    chat,             // /v1/chat/completions
    completion,       // /v1/completions
    messages,         // /v1/messages
    responses,        // /v1/responses
    ollama_chat,      // /api/chat
    ollama_generate,  // /api/generate
};

// None for every other endpoint: its answers are never turned into another form.
std::optional<AnswerForm> form_of(const Endpoint& endpoint);

constexpr sse::Form stream_form(AnswerForm form) {
    const bool lines = form == AnswerForm::ollama_chat || form == AnswerForm::ollama_generate;
    return lines ? sse::Form::json_lines : sse::Form::event_stream;
}

}  // namespace sluice::llm
