// The lines of an answer of /api/chat and of /api/generate.
#include "event_makers.h"

#include <array>

namespace sluice::llm {

namespace {

class LineSplitter {
public:
    LineSplitter(bool chat, const JsonMembers& answer)
        : answer_(answer), text_key_(chat ? "content" : "response"), chat_(chat) {}

    const char* split();
    std::string take() { return std::move(out_); }

private:
    // A line of what is said: {"thinking":"..."}; the text is empty where nothing is said of it.
    void line(std::string_view key, std::string_view value);
    void end(const JsonMembers& speech);
    const char* split_speech(const JsonMembers& speech);

    const JsonMembers& answer_;
    std::string_view text_key_;
    bool chat_;
    std::string_view role_;
    std::string out_;
};

void LineSplitter::line(std::string_view key, std::string_view value) {
    ObjectText said;
    if (chat_ && !role_.empty()) said.add("role", role_);
    if (key != text_key_) said.add(text_key_, "\"\"");
    said.add(key, value);
    ObjectText data;
    for (const std::string_view frame : {"model", "created_at"}) {
        if (answer_.has(frame)) data.add(frame, answer_.find(frame));
    }
    if (chat_) {
        data.add("message", said.done());
    } else {
        data.add_all(said);
    }
    out_.append(data.add("done", "false").done()).append("\n");
}

const char* LineSplitter::split_speech(const JsonMembers& speech) {
    const std::array<std::string_view, 2> texts{"thinking", text_key_};
    for (const std::string_view key : texts) {
        const std::string_view text = speech.find(key);
        if (is_json_nothing(text)) continue;
        if (!is_json_string(text)) return "a text of its message is no string";
        for_each_piece(
            text, [&](std::string_view piece) { line(key, "\"" + std::string(piece) + "\""); });
    }
    if (speech.has("tool_calls")) line("tool_calls", speech.find("tool_calls"));
    return nullptr;
}

// The last line: everything that was not said before it.
void LineSplitter::end(const JsonMembers& speech) {
    const auto append = [&](ObjectText& out, const JsonMember& member) {
        const bool is_text = member.key == "thinking" || member.key == text_key_;
        const bool is_said = is_text || member.key == "tool_calls";
        if (!is_said || is_json_nothing(member.value)) {
            out.add(member.key, member.value);
        } else if (is_text && (member.key == text_key_ || member.value == "\"\"")) {
            out.add(member.key, "\"\"");
        }
    };
    ObjectText last;
    for (const JsonMember& member : answer_) {
        if (!chat_) {
            append(last, member);
        } else if (member.key != "message") {
            last.add(member.key, member.value);
        } else {
            ObjectText message;
            for (const JsonMember& said : speech)
                append(message, said);
            last.add("message", message.done());
        }
    }
    out_.append(last.done()).append("\n");
}

const char* LineSplitter::split() {
    if (answer_.has("error")) return "it is an error";
    if (answer_.find("done") != "true") return "it is not finished";
    const auto message = chat_ ? JsonMembers::read(answer_.find("message")) : std::nullopt;
    if (chat_ && !message) return "it has no message";
    const JsonMembers& speech = chat_ ? *message : answer_;
    if (!is_json_string(speech.find(text_key_))) return "its text is no string";
    role_ = chat_ ? speech.find("role") : std::string_view();
    if (const char* problem = split_speech(speech)) return problem;
    end(speech);
    return nullptr;
}

Result<std::string> split_lines(std::string_view document, bool chat) {
    const auto answer = JsonMembers::read(document);
    if (!answer) return no_other_form("it is no sound object");
    LineSplitter splitter(chat, *answer);
    if (const char* problem = splitter.split()) return no_other_form(problem);
    return splitter.take();
}

}  // namespace

Result<std::string> ollama_chat_lines(std::string_view document) {
    return split_lines(document, true);
}

Result<std::string> ollama_generate_lines(std::string_view document) {
    return split_lines(document, false);
}

}  // namespace sluice::llm
