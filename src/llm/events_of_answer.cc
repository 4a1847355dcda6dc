#include "sluice/llm/events_of_answer.h"

#include "event_makers.h"
#include "json_text.h"

#include <cstdint>

namespace sluice::llm {

namespace {

bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

// Without the white space between its tokens: a line end would end the event's line. In a sound
// string there is none.
std::string in_one_line(std::string_view document) {
    std::string out;
    out.reserve(document.size());
    const char* p = document.data();
    const char* const end = p + document.size();
    while (p != end) {
        const bool is_space = *p == ' ' || *p == '\t' || is_line_end(*p);
        const char* behind = p + 1;
        if (*p == '"') {
            behind = skip_any_escaped_text(behind, end);
            while (behind != end && *behind != '"')
                behind = skip_any_escaped_text(behind + 2, end);
            if (behind != end) ++behind;
        }
        if (!is_space) out.append(p, behind);
        p = behind;
    }
    return out;
}

Result<std::string> make_events(AnswerForm form, std::string_view document, bool include_usage) {
    switch (form) {
        case AnswerForm::chat:
            return chat_events(document, include_usage);
        case AnswerForm::completion:
            return completion_events(document, include_usage);
        case AnswerForm::messages:
            return messages_events(document);
        case AnswerForm::responses:
            return responses_events(document);
        case AnswerForm::ollama_chat:
            return ollama_chat_lines(document);
        case AnswerForm::ollama_generate:
            break;
    }
    return ollama_generate_lines(document);
}

enum class UsageOfChunk : std::uint8_t { none, beside_choices, alone };

// Wider than EventFacts::usage_only: what else such an event says of the answer as a whole (who
// provided it) it is not sent for.
UsageOfChunk find_usage(std::string_view data) {
    if (data.find("\"usage\"") == data.npos) return UsageOfChunk::none;
    const auto chunk = JsonMembers::read(data);
    if (!chunk || !chunk->has("usage")) return UsageOfChunk::none;
    const auto choices = read_json_elements(chunk->find("choices"));
    const bool alone = choices && choices->empty();
    return alone ? UsageOfChunk::alone : UsageOfChunk::beside_choices;
}

}  // namespace

Result<std::string> events_of_answer(AnswerForm form, std::string_view document,
                                     bool include_usage) {
    if (!is_sound_json(document)) return no_other_form("the document is not sound JSON");
    if (document.find_first_of("\r\n") == document.npos)
        return make_events(form, document, include_usage);
    return make_events(form, in_one_line(document), include_usage);
}

Result<std::string> chunks_with_usage(std::string_view stream, bool include_usage) {
    std::string out;
    out.reserve(stream.size());
    sse::Scanner scanner;
    sse::Event event;
    bool has_usage = false;
    for (std::size_t at = 0; scanner.next(stream, at, event); at = event.end) {
        // One that is too long to be read is not the usage.
        const UsageOfChunk usage = find_usage(event.data);
        has_usage |= usage != UsageOfChunk::none;
        if (usage != UsageOfChunk::alone || include_usage) out += stream.substr(at, event.end - at);
    }
    if (scanner.finish(event)) return no_other_form("its last event has no end");
    if (include_usage && !has_usage) return no_other_form("it has no usage");
    return out;
}

}  // namespace sluice::llm
