// answer_of_events(): the document that a server would have sent for a request without `stream`,
// made of the recorded stream that it sent for the same request.
//
// Pure. Takes the whole body of a finished, successful stream and gives one JSON object, as a
// string that the caller owns. Texts are put together as they stand in the recording, escapes and
// all, and no number is written anew. It would rather refuse than lose or invent something: the
// error (of the gateway; nothing that a client is told) says why there is no document:
//   - the stream is not complete: no [DONE], message_stop, response.completed or "done":true, a
//     choice without its finish_reason, a block without its end, no usage where documents have one;
//   - it holds an error, or an event that is not sound JSON or names a key twice;
//   - it holds something that this gateway does not know how to put together: an unknown event, an
//     unknown text that comes in pieces, two values that contradict each other.
//
// What a document has in another place than a stream:
//   chat        delta -> message; a call loses its "index"; "usage" and "timings" are the last
//   ones;
//               `created` and ids are the first chunk's. A message without text has "content":null,
//               or "" where "timings" tell that llama-server wrote it, which does so.
//   messages    partial_json -> input; the usage of message_delta over that of message_start.
//   responses   the object of the terminal event; its `output`, where that is empty or not there,
//               is that of the response.output_item.done events.
//   Ollama      the last line, with the texts, calls and logprobs of all.
// Left out, for a document has no place for them: pings, comments, `obfuscation`, `prompt_progress`
// and, beside a Responses event's `response`, `timings`.
#pragma once

#include "sluice/base/result.h"
#include "sluice/llm/answer_form.h"

#include <string>
#include <string_view>

namespace sluice::llm {

Result<std::string> answer_of_events(AnswerForm form, std::string_view stream);

}  // namespace sluice::llm
