// The request that asks another backend to go on with a chat: the client's own, with the text so
// far behind its messages as the begin of the assistant's answer.
//
// Pure. The body has been validated by BodyReader and lies in one piece; it is read once more,
// which is rare. Edits change what they must and leave every other byte the client's (see edits.h).
//
// What can be continued: a streamed chat with one choice and text that is free in its form. Tools
// may be offered as long as no call has begun, for their grammar only comes into force with a call;
// a tool that must be called, a JSON schema or a grammar is refused, because servers start them
// anew behind the prefill. A request that ends with an assistant's message has the text put behind
// that.
//
// Measured with llama-server 0.7.0 at temperature 0, cut at every event: text, finish and usage are
// those of the uninterrupted stream. Not so behind reasoning: the server drops the white space
// around its tags, and its template writes its own, so the text is another one that the model could
// have written. With a temperature above 0 it is another one in any case.
#pragma once

#include "sluice/llm/edits.h"
#include "sluice/llm/resume.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm {

// How a backend is asked to continue an assistant's message.
enum class Continuation : std::uint8_t {
    unsupported,   // it would answer the message instead (OpenAI), or nobody knows
    llama_server,  // the text to the byte, and complete reasoning; old builds need no field
    vllm,    // continue_final_message; templates may cut white space off, reasoning is dropped
    ollama,  // continues by itself when the last message is the assistant's
};

// Whether the request allows it, whatever the stream; for a decision at its begin. Only the
// endpoint is the caller's to check (/v1/chat/completions).
ResumeObstacle can_resume(std::string_view body);

struct ResumePlan {
    ResumeObstacle obstacle = ResumeObstacle::none;
    // Nothing is left of the tokens asked for: the stream ends with length_end() instead.
    bool length_reached = false;
    std::vector<Edit> edits;  // sorted; none where nothing was sent yet: the request is replayed
};

// Takes the obstacles of journal and request into account as well.
ResumePlan plan_resume(std::string_view body, const ResumeJournal& journal, Continuation how);

// The body in one piece, with the edits of the plan and those that every request to that backend
// gets (plan_edits()).
std::string resumed_body(std::string_view body, const EditList& usual, const ResumePlan& plan);

// The events that end a stream whose last token was sent when its backend died: the finish with
// "length", the usage where the client asked for it and the stream told it, and [DONE].
std::string length_end(const ResumeJournal& journal, bool include_usage);

}  // namespace sluice::llm
