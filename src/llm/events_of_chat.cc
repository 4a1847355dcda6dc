// OpenAI's chunks of a chat.completion, and those of a text_completion.
#include "event_makers.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace sluice::llm {

namespace {

// What every chunk says of its answer.
constexpr std::array<std::string_view, 6> frame_keys{
    "id", "object", "created", "model", "system_fingerprint", "service_tier"};

// The members of a message that are sent in pieces, in the order in which SDKs expect them.
constexpr std::array<std::string_view, 4> piece_keys{"reasoning_content", "reasoning", "content",
                                                     "refusal"};

template <std::size_t size>
bool is_one_of(const std::array<std::string_view, size>& keys, std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

class ChunkSplitter {
public:
    ChunkSplitter(bool chat, bool include_usage) : chat_(chat), include_usage_(include_usage) {}

    // Null, or why it cannot be told in chunks.
    const char* split(const JsonMembers& answer);
    std::string take() { return std::move(out_); }

private:
    const char* split_choice(const JsonMembers& choice, std::size_t index, bool last);
    const char* split_message(const JsonMembers& message);
    const char* split_calls(std::string_view calls);
    const char* split_text(std::string_view text);
    void begin_message(const JsonMembers& message);
    void chunk(const ObjectText& choice, const ObjectText& more = {});
    // A choice that has not come to its end: its index and `said`.
    void piece(std::string_view key, std::string_view said);
    void delta(const ObjectText& delta) { piece("delta", delta.done()); }

    bool chat_;
    bool include_usage_;
    ObjectText frame_;
    ObjectText rest_;     // what goes with the last chunk that has a choice
    ObjectText timings_;  // with the usage, or else with that one
    std::string index_;
    std::string_view logprobs_;  // of the choice, while they have not been sent
    std::string out_;
};

void ChunkSplitter::chunk(const ObjectText& choice, const ObjectText& more) {
    ObjectText data = frame_;
    data.add("choices", choice.empty() ? "[]" : "[" + choice.done() + "]").add_all(more);
    append_sse(out_, {}, data.done());
}

void ChunkSplitter::piece(std::string_view key, std::string_view said) {
    ObjectText choice;
    choice.add("index", index_).add(key, said);
    if (!logprobs_.empty()) choice.add("logprobs", std::exchange(logprobs_, {}));
    choice.add("finish_reason", "null");
    chunk(choice);
}

// Who speaks, and what is null from begin to end.
void ChunkSplitter::begin_message(const JsonMembers& message) {
    ObjectText first;
    first.add("role", message.find("role"));
    // Null beside timings would be read as llama-server's way to say nothing, which is "".
    if (message.has("content") || timings_.empty())
        first.add("content", message.has("content") ? "\"\"" : "null");
    for (const JsonMember& member : message) {
        const bool is_said = member.key == "role" || member.key == "content";
        if (!is_said && is_json_nothing(member.value)) first.add(member.key, member.value);
    }
    const std::string_view logprobs = std::exchange(logprobs_, {});
    delta(first);
    logprobs_ = logprobs;
}

const char* ChunkSplitter::split_message(const JsonMembers& message) {
    if (!is_json_string(message.find("role"))) return "nobody is said to speak";
    begin_message(message);
    const std::string_view logprobs = std::exchange(logprobs_, {});
    for (const std::string_view key : piece_keys) {
        const std::string_view text = message.find(key);
        if (is_json_nothing(text)) continue;
        if (!is_json_string(text)) return "a text of its message is no string";
        // They are about the words of the answer, or of what stands for it.
        if (key == "content") logprobs_ = logprobs;
        // An empty one says that it is there; that of the content is said already.
        if (text == "\"\"" && key != "content") delta(ObjectText().add(key, text));
        for_each_piece(text,
                       [&](std::string_view piece) { delta(ObjectText().add_text(key, piece)); });
    }
    if (logprobs_.empty() && !message.has("content")) logprobs_ = logprobs;
    for (const JsonMember& member : message) {
        if (member.key == "role" || is_one_of(piece_keys, member.key)) continue;
        if (is_json_nothing(member.value)) continue;
        if (member.key == "tool_calls") {
            if (const char* problem = split_calls(member.value)) return problem;
        } else {
            delta(ObjectText().add(member.key, member.value));
        }
    }
    return nullptr;
}

// First who is called, then with what.
const char* ChunkSplitter::split_calls(std::string_view calls) {
    const auto elements = read_json_elements(calls);
    if (!elements) return "its calls are no array";
    if (elements->empty()) delta(ObjectText().add("tool_calls", calls));
    for (std::size_t i = 0; i < elements->size(); ++i) {
        const auto call = JsonMembers::read((*elements)[i]);
        if (!call) return "a call is no object";
        const std::string index = std::to_string(i);
        ObjectText first;
        first.add("index", index);
        std::string_view kind;
        std::string_view argument_key;
        std::string_view argument;
        for (const JsonMember& member : *call) {
            if (member.key == "index") continue;
            const bool is_function = member.key == "function";
            const bool is_called = is_function || member.key == "custom";
            if (!is_called) {
                first.add(member.key, member.value);
                continue;
            }
            const auto called = JsonMembers::read(member.value);
            if (!called) return "what is called is no sound object";
            if (!kind.empty()) return "a call calls two";
            kind = member.key;
            argument_key = is_function ? "arguments" : "input";
            argument = called->find(argument_key);
            if (!is_json_string(argument)) return "the arguments of a call are no string";
            first.add(member.key, with_values(*called, {{argument_key, "\"\""}}));
        }
        delta(ObjectText().add("tool_calls", "[" + first.done() + "]"));
        if (kind.empty()) continue;
        for_each_piece(argument, [&](std::string_view piece) {
            ObjectText next;
            next.add("index", index).add(kind, ObjectText().add_text(argument_key, piece).done());
            delta(ObjectText().add("tool_calls", "[" + next.done() + "]"));
        });
    }
    return nullptr;
}

const char* ChunkSplitter::split_text(std::string_view text) {
    if (!is_json_string(text)) return "its text is no string";
    for_each_piece(text, [this](std::string_view said) {
        const std::string quoted_piece = "\"" + std::string(said) + "\"";
        piece("text", quoted_piece);
    });
    return nullptr;
}

const char* ChunkSplitter::split_choice(const JsonMembers& choice, std::size_t index, bool last) {
    const std::string_view reason = choice.find("finish_reason");
    if (!is_json_string(reason)) return "a choice is not finished";
    if (read_json_index(choice.find("index")) != index) return "a choice is not in its place";
    index_ = choice.find("index");
    logprobs_ = choice.find("logprobs");
    if (chat_) {
        const auto message = JsonMembers::read(choice.find("message"));
        if (!message) return "a choice has no message";
        if (const char* problem = split_message(*message)) return problem;
    } else if (const char* problem = split_text(choice.find("text"))) {
        return problem;
    }
    ObjectText end;
    end.add("index", index_).add(chat_ ? "delta" : "text", chat_ ? "{}" : "\"\"");
    if (!logprobs_.empty()) end.add("logprobs", std::exchange(logprobs_, {}));
    end.add("finish_reason", reason);
    for (const JsonMember& member : choice) {
        const bool is_said = member.key == "index" || member.key == "logprobs" ||
                             member.key == "finish_reason" ||
                             member.key == (chat_ ? "message" : "text");
        if (!is_said) end.add(member.key, member.value);
    }
    chunk(end, last ? rest_ : ObjectText());
    return nullptr;
}

const char* ChunkSplitter::split(const JsonMembers& answer) {
    if (answer.has("error")) return "it is an error";
    const std::string_view object = chat_ ? "\"chat.completion\"" : "\"text_completion\"";
    const auto choices = read_json_elements(answer.find("choices"));
    if (!choices || choices->empty()) return "it has no choices";
    for (const JsonMember& member : answer) {
        if (member.key == "object") {
            if (member.value != object) return "it is another object";
            frame_.add("object", chat_ ? "\"chat.completion.chunk\"" : object);
        } else if (is_one_of(frame_keys, member.key)) {
            frame_.add(member.key, member.value);
        } else if (member.key == "timings") {
            timings_.add(member.key, member.value);
        } else if (member.key != "choices" && member.key != "usage") {
            rest_.add(member.key, member.value);
        }
    }
    const bool usage_follows = include_usage_ && answer.has("usage");
    if (!usage_follows) rest_.add_all(timings_);
    for (std::size_t i = 0; i < choices->size(); ++i) {
        const auto choice = JsonMembers::read((*choices)[i]);
        if (!choice) return "a choice is no object";
        const bool last = i + 1 == choices->size();
        if (const char* problem = split_choice(*choice, i, last)) return problem;
    }
    if (usage_follows) {
        ObjectText more;
        chunk({}, more.add("usage", answer.find("usage")).add_all(timings_));
    }
    append_sse(out_, {}, "[DONE]");
    return nullptr;
}

Result<std::string> split_answer(std::string_view document, bool chat, bool include_usage) {
    const auto answer = JsonMembers::read(document);
    if (!answer) return no_other_form("it is no sound object");
    ChunkSplitter splitter(chat, include_usage);
    if (const char* problem = splitter.split(*answer)) return no_other_form(problem);
    return splitter.take();
}

}  // namespace

Result<std::string> chat_events(std::string_view document, bool include_usage) {
    return split_answer(document, true, include_usage);
}

Result<std::string> completion_events(std::string_view document, bool include_usage) {
    return split_answer(document, false, include_usage);
}

}  // namespace sluice::llm
