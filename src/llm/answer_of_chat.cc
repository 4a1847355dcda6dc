// OpenAI's chunks: of chat.completion.chunk a chat.completion, of text_completion the same once.
#include "answer_makers.h"
#include "grown_json.h"
#include "json_members.h"

#include <vector>

namespace sluice::llm {

namespace {

class ChunkJoiner {
public:
    explicit ChunkJoiner(bool chat) : chat_(chat) {}

    // Null, or why the stream cannot be put together.
    const char* take(const RecordedEvent& event);
    const char* check_end() const;
    std::string write() const;

private:
    const char* take_choice(std::string_view choice);
    void write_choice(std::string& out, std::size_t index) const;
    void write_message(std::string& out, const GrownJson& delta) const;

    bool chat_;
    bool done_ = false;
    GrownJson frame_{GrowthPlace::frame};
    std::vector<GrownJson> choices_;  // by index
};

constexpr std::string_view chunk_object = "\"chat.completion.chunk\"";

const char* ChunkJoiner::take(const RecordedEvent& event) {
    if (done_) return nullptr;  // what follows the end is read by nobody
    if (trimmed_json(event.data) == "[DONE]") {
        done_ = true;
        return nullptr;
    }
    if (event.data == "null") return nullptr;  // llama-server may begin so, asked for two prompts
    if (event.name == "error") return "it holds an error";
    const auto chunk = JsonMembers::read(event.data);
    if (!chunk) return "an event is no sound object";
    if (chunk->has("error")) return "it holds an error";
    if (!is_json_array(chunk->find("choices"))) return "an event is not known";
    for (const JsonMember& member : *chunk) {
        if (member.key == "choices") continue;
        if (member.key == "object" && chat_ && member.value != chunk_object)
            return "an event is not known";
        if (!frame_.grow(member.key, member.value)) return "its events contradict each other";
    }
    const auto choices = read_json_elements(chunk->find("choices"));
    if (!choices) return "an event is no sound object";
    for (const std::string_view choice : *choices) {
        if (const char* problem = take_choice(choice)) return problem;
    }
    return nullptr;
}

const char* ChunkJoiner::take_choice(std::string_view choice) {
    const auto read = JsonMembers::read(choice);
    if (!read) return "a choice is no sound object";
    const std::string_view told = read->find("index");
    const auto index = told.empty() ? std::optional<std::size_t>(0) : read_json_index(told);
    if (!index) return "a choice has no index";
    // A document has them all in a row; they begin in any order.
    while (choices_.size() <= *index)
        choices_.emplace_back(GrowthPlace::choice);
    for (const JsonMember& member : *read) {
        if (member.key == "index") continue;
        if (member.key == (chat_ ? "text" : "delta") || member.key == "message")
            return "a choice is of another form";
        if (!choices_[*index].grow(member.key, member.value))
            return "the pieces of a choice cannot be put together";
    }
    return nullptr;
}

const char* ChunkJoiner::check_end() const {
    if (!done_) return "it is not complete: no [DONE]";
    if (choices_.empty()) return "it has no choices";
    for (const GrownJson& choice : choices_) {
        if (!choice["finish_reason"].says()) return "it is not complete: no finish_reason";
    }
    if (!frame_["usage"].says()) return "it has no usage";
    return nullptr;
}

void ChunkJoiner::write_message(std::string& out, const GrownJson& delta) const {
    out += '{';
    if (delta["role"].says()) {
        append_json_member(out, "role", delta["role"]);
    } else {
        append_json_member(out, "role", "\"assistant\"");
    }
    if (delta["content"].says()) {
        append_json_member(out, "content", delta["content"]);
    } else {
        // Null as llama-server begins with, whose documents have "" in its place.
        const bool is_empty = delta["content"].kind() == GrownJson::Kind::null;
        append_json_member(out, "content", is_empty && frame_["timings"].says() ? "\"\"" : "null");
    }
    for (const GrownJson::Member& member : delta.members()) {
        if (member.key != "role" && member.key != "content")
            append_json_member(out, member.key, member.value);
    }
    out += '}';
}

void ChunkJoiner::write_choice(std::string& out, std::size_t index) const {
    const GrownJson& choice = choices_[index];
    out += '{';
    append_json_member(out, "index", std::to_string(index));
    if (chat_) {
        append_json_member(out, "message", std::string_view());
        write_message(out, choice["delta"]);
    } else if (!choice["text"].says()) {
        append_json_member(out, "text", "\"\"");
    }
    for (const GrownJson::Member& member : choice.members()) {
        const bool is_written =
            member.key == "delta" || (member.key == "text" && !member.value.says());
        if (!is_written) append_json_member(out, member.key, member.value);
    }
    out += '}';
}

std::string ChunkJoiner::write() const {
    std::string out = "{";
    const auto write_members = [&](bool reports) {
        for (const GrownJson::Member& member : frame_.members()) {
            const bool is_report = member.key == "usage" || member.key == "timings";
            if (is_report != reports) continue;
            if (member.key == "object" && chat_) {
                append_json_member(out, "object", "\"chat.completion\"");
            } else {
                append_json_member(out, member.key, member.value);
            }
        }
    };
    write_members(false);
    append_json_member(out, "choices", std::string_view());
    out += '[';
    for (std::size_t i = 0; i < choices_.size(); ++i) {
        if (i > 0) out += ',';
        write_choice(out, i);
    }
    out += ']';
    write_members(true);
    out += '}';
    return out;
}

Result<std::string> join_chunks(RecordedEvents events, bool chat) {
    ChunkJoiner joiner(chat);
    for (const RecordedEvent& event : events) {
        if (const char* problem = joiner.take(event)) return no_other_form(problem);
    }
    if (const char* problem = joiner.check_end()) return no_other_form(problem);
    return joiner.write();
}

}  // namespace

Result<std::string> chat_answer(RecordedEvents events) {
    return join_chunks(events, true);
}

Result<std::string> completion_answer(RecordedEvents events) {
    return join_chunks(events, false);
}

}  // namespace sluice::llm
