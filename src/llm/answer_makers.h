// One maker a dialect: the document of a recorded stream. See answer_of_events.h.
//
// Internal. Each takes the events of the whole stream, without comments and without those that have
// no data; their views outlive the call. What comes back is not yet known to be sound JSON where
// the stream was not.
#pragma once

#include "sluice/base/result.h"

#include <span>
#include <string>
#include <string_view>

namespace sluice::llm {

struct RecordedEvent {
    std::string_view name;  // empty where it has none
    std::string_view data;
};
using RecordedEvents = std::span<const RecordedEvent>;

// Chat completions, and completions of a prompt.
Result<std::string> chat_answer(RecordedEvents events);
Result<std::string> completion_answer(RecordedEvents events);
Result<std::string> messages_answer(RecordedEvents events);
Result<std::string> responses_answer(RecordedEvents events);
// Of /api/chat and /api/generate.
Result<std::string> ollama_answer(RecordedEvents events);

// Why there is no document, or no stream.
Error no_other_form(std::string_view why);

}  // namespace sluice::llm
