#include "sluice/llm/answer_of_events.h"

#include "answer_makers.h"
#include "json_members.h"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <vector>

namespace sluice::llm {

namespace {

// The events of a recording, and the text of those that do not lie in it in one piece.
struct Recording {
    std::vector<RecordedEvent> events;
    std::deque<std::string> gathered;
    bool readable = true;
};

// The value of a field, if the line is one: a blank behind the colon does not count.
bool take_field(std::string_view line, std::string_view name, std::string_view& value) {
    if (!line.starts_with(name)) return false;
    line.remove_prefix(name.size());
    if (!line.empty() && !line.starts_with(':')) return false;
    value = line.substr(std::min<std::size_t>(line.size(), 1));
    if (value.starts_with(' ')) value.remove_prefix(1);
    return true;
}

// An event that is too long for the scanner, which is made for streams that pass: here the whole of
// it is at hand. False where its data has several lines, which no server sends of one JSON value.
bool read_long_event(sse::Form form, std::string_view bytes, RecordedEvent& event) {
    if (form == sse::Form::json_lines) {
        event.data = trimmed_json(bytes);
        return true;
    }
    int data_lines = 0;
    while (!bytes.empty()) {
        const std::size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
        const std::string_view line = bytes.substr(0, end);
        bytes.remove_prefix(std::min(end + 1, bytes.size()));
        if (take_field(line, "data", event.data)) ++data_lines;
        take_field(line, "event", event.name);
    }
    return data_lines <= 1;
}

// `bytes` is what the event was read from.
void record(Recording& recording, sse::Form form, std::string_view bytes, const sse::Event& event) {
    if (event.oversized) {
        RecordedEvent read;
        recording.readable &= read_long_event(form, bytes, read);
        if (!read.data.empty()) recording.events.push_back(read);  // else it is a comment
        return;
    }
    if (event.comment_only || (event.data.empty() && event.name.empty())) return;
    const auto keep = [&](std::string_view text) -> std::string_view {
        const std::size_t at = bytes.find(text);
        if (at != bytes.npos) return bytes.substr(at, text.size());
        return recording.gathered.emplace_back(text);
    };
    recording.events.push_back({keep(event.name), keep(event.data)});
}

Recording read_recording(AnswerForm form, std::string_view stream) {
    Recording recording;
    sse::Scanner scanner(stream_form(form));
    sse::Event event;
    std::size_t at = 0;
    for (; scanner.next(stream, at, event); at = event.end)
        record(recording, stream_form(form), stream.substr(at, event.end - at), event);
    if (scanner.finish(event)) record(recording, stream_form(form), stream.substr(at), event);
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
    if (!recording.readable) return no_other_form("a long event has its data in several lines");
    Result<std::string> answer = make_answer(form, recording.events);
    if (answer.ok() && !is_sound_json(answer.value()))
        return no_other_form("the stream is not sound JSON");
    return answer;
}

}  // namespace sluice::llm
