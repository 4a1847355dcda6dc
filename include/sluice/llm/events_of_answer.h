// events_of_answer(): the stream that a server would have sent for a request with `stream`, made of
// the recorded document that it sent for the same request.
//
// Pure. Takes the whole body of a successful answer and gives the bytes of a stream of the same
// dialect (SSE, or JSON lines of Ollama's), in the order that the vendors' SDKs want, as a string
// that the caller owns. Texts are sent as they stand in the document, in pieces of piece_bytes at
// most; no number is written anew. answer_of_events() makes the same document of it again.
// What has no place of its own in a stream goes with its last part: members that are not known, and
// llama-server's `timings`, which it sends with the usage. A refusal is an error of the gateway
// (nothing that a client is told): the document is an error, is not finished, is not sound JSON,
// names a key twice, or has no such form as the dialect's.
//
//   chat, completion   with `include_usage` a last chunk has the usage and no choices; without it
//   no
//                      chunk has it. data: [DONE] is the end.
//   messages           message_start counts no output yet; message_delta has the whole usage.
//   responses          numbered from 0 on; each item begins and ends; response.completed or
//                      response.incomplete has the document.
//   Ollama             the thinking, the text, the calls, and the last line with everything else.
#pragma once

#include "sluice/base/result.h"
#include "sluice/llm/answer_form.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::llm {

// So that one event stays far below limits::sse_event_bytes_max.
inline constexpr std::size_t piece_bytes = 4096;

Result<std::string> events_of_answer(AnswerForm form, std::string_view document,
                                     bool include_usage);

// A recorded stream of OpenAI's chunks (chat or completion) for a client who asked for usage or
// did not, whatever the first client did: its extra event (no choices, but usage) stays or is left
// out; every other byte stays. An error where usage is asked for and no event has it, or where
// the last event has no end.
Result<std::string> chunks_with_usage(std::string_view stream, bool include_usage);

}  // namespace sluice::llm
