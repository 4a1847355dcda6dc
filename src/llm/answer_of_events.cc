#include "sluice/llm/answer_of_events.h"

#include "answer_makers.h"
#include "json_members.h"

#include <deque>
#include <vector>

namespace sluice::llm {

namespace {

// The events of a recording, and the text of those that do not lie in it in one piece.
struct Recording {
    std::vector<RecordedEvent> events;
    std::deque<std::string> gathered;
    bool oversized = false;
};

void record(Recording& recording, std::string_view stream, const sse::Event& event) {
    recording.oversized |= event.oversized;
    if (event.comment_only || (event.data.empty() && event.name.empty())) return;
    const auto keep = [&](std::string_view text) -> std::string_view {
        const bool is_inside = !text.empty() && text.data() >= stream.data() &&
                               text.data() + text.size() <= stream.data() + stream.size();
        return is_inside ? text : recording.gathered.emplace_back(text);
    };
    recording.events.push_back({keep(event.name), keep(event.data)});
}

Recording read_recording(AnswerForm form, std::string_view stream) {
    Recording recording;
    sse::Scanner scanner(stream_form(form));
    sse::Event event;
    for (std::size_t at = 0; scanner.next(stream, at, event); at = event.end)
        record(recording, stream, event);
    if (scanner.finish(event)) record(recording, stream, event);
    return recording;
}

Result<std::string> make_answer(AnswerForm form, RecordedEvents events) {
    switch (form) {
        case AnswerForm::chat:
            return chat_answer(events);
        case AnswerForm::completion:
            return completion_answer(events);
        case AnswerForm::messages:
            return messages_answer(events);
        case AnswerForm::responses:
            return responses_answer(events);
        case AnswerForm::ollama_chat:
        case AnswerForm::ollama_generate:
            break;
    }
    return ollama_answer(events);
}

}  // namespace

Error no_other_form(std::string_view why) {
    return Error::gateway("the recorded answer has no other form: " + std::string(why));
}

Result<std::string> answer_of_events(AnswerForm form, std::string_view stream) {
    const Recording recording = read_recording(form, stream);
    if (recording.oversized) return no_other_form("an event is too long to be read");
    Result<std::string> answer = make_answer(form, recording.events);
    if (answer.ok() && !is_sound_json(answer.value()))
        return no_other_form("the stream is not sound JSON");
    return answer;
}

}  // namespace sluice::llm
