// Anthropic's events of a message. A block of a type that is not known goes whole into its start.
#include "event_makers.h"

#include <array>

namespace sluice::llm {

namespace {

// How a block is told in deltas: which of its members, and as which delta.
struct BlockRule {
    std::string_view type;
    std::string_view member;
    std::string_view delta;
};
constexpr std::array block_rules{
    BlockRule{"\"text\"", "text", "text_delta"},
    BlockRule{"\"thinking\"", "thinking", "thinking_delta"},
};

// A value as the text of a string, with its quotes. A sound value in one line has no other
// characters that need an escape: not in its strings, and between its tokens none but a tab.
std::string json_as_text(std::string_view value) {
    std::string out = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c == '\t' ? ' ' : c;
    }
    return out + '"';
}

class MessageSplitter {
public:
    const char* split(const JsonMembers& message);
    std::string take() { return std::move(out_); }

private:
    const char* split_block(std::string_view text);
    const char* split_text_block(const JsonMembers& block, const BlockRule& rule);
    const char* split_tool_block(const JsonMembers& block);
    void begin(const JsonMembers& message, const JsonMembers& usage);
    void end(const JsonMembers& message);
    // An event of the block at hand; `key` is "content_block" or "delta".
    void block_event(std::string_view type, std::string_view key, std::string_view value);
    void delta(std::string_view type, std::string_view key, std::string_view value) {
        ObjectText said;
        said.add_text("type", type).add(key, value);
        block_event("content_block_delta", "delta", said.done());
    }

    std::size_t index_ = 0;
    std::string out_;
};

void MessageSplitter::block_event(std::string_view type, std::string_view key,
                                  std::string_view value) {
    ObjectText data;
    data.add_text("type", type).add("index", std::to_string(index_));
    if (!key.empty()) data.add(key, value);
    append_sse(out_, type, data.done());
}

const char* MessageSplitter::split_text_block(const JsonMembers& block, const BlockRule& rule) {
    const std::string_view text = block.find(rule.member);
    if (!is_json_string(text)) return "the text of a block is no string";
    const std::string_view signature = block.find("signature");
    const std::string_view citations = block.find("citations");
    const bool is_cited = is_json_array(citations);
    block_event("content_block_start", "content_block",
                with_values(block, {{rule.member, "\"\""},
                                    {"signature", is_json_string(signature) ? "\"\"" : signature},
                                    {"citations", is_cited ? "[]" : citations}}));
    for_each_piece(text, [&](std::string_view piece) {
        delta(rule.delta, rule.member, "\"" + std::string(piece) + "\"");
    });
    if (is_cited) {
        const auto elements = read_json_elements(citations);
        if (!elements) return "its citations are no array";
        for (const std::string_view citation : *elements)
            delta("citations_delta", "citation", citation);
    }
    if (is_json_string(signature) && signature != "\"\"")
        delta("signature_delta", "signature", signature);
    return nullptr;
}

// The input as text: JSON within JSON.
const char* MessageSplitter::split_tool_block(const JsonMembers& block) {
    const std::string_view input = block.find("input");
    if (!is_json_object(input)) return "the input of a tool is no object";
    block_event("content_block_start", "content_block", with_values(block, {{"input", "{}"}}));
    for_each_piece(json_as_text(input), [&](std::string_view piece) {
        delta("input_json_delta", "partial_json", "\"" + std::string(piece) + "\"");
    });
    return nullptr;
}

const char* MessageSplitter::split_block(std::string_view text) {
    const auto block = JsonMembers::read(text);
    if (!block) return "a block is no object";
    const std::string_view type = block->find("type");
    if (!is_json_string(type)) return "a block has no type";
    const char* problem = nullptr;
    const BlockRule* rule = nullptr;
    for (const BlockRule& known : block_rules) {
        if (known.type == type) rule = &known;
    }
    if (rule != nullptr) {
        problem = split_text_block(*block, *rule);
    } else if (type.ends_with("tool_use\"")) {
        problem = split_tool_block(*block);
    } else {
        block_event("content_block_start", "content_block", text);
    }
    if (problem != nullptr) return problem;
    block_event("content_block_stop", {}, {});
    ++index_;
    return nullptr;
}

void MessageSplitter::begin(const JsonMembers& message, const JsonMembers& usage) {
    const std::string counted = with_values(usage, {{"output_tokens", "0"}});
    ObjectText data;
    data.add_text("type", "message_start");
    data.add("message", with_values(message, {{"content", "[]"},
                                              {"stop_reason", "null"},
                                              {"stop_sequence", "null"},
                                              {"stop_details", "null"},
                                              {"usage", counted}}));
    append_sse(out_, "message_start", data.done());
}

void MessageSplitter::end(const JsonMembers& message) {
    ObjectText delta;
    for (const std::string_view key :
         {"stop_reason", "stop_sequence", "stop_details", "container"}) {
        const std::string_view value = message.find(key);
        if (!value.empty()) delta.add(key, value);
    }
    ObjectText data;
    data.add_text("type", "message_delta").add("delta", delta.done());
    data.add("usage", message.find("usage"));
    append_sse(out_, "message_delta", data.done());
    append_sse(out_, "message_stop", R"({"type":"message_stop"})");
}

const char* MessageSplitter::split(const JsonMembers& message) {
    if (message.find("type") != "\"message\"") return "it is no message";
    if (!is_json_string(message.find("stop_reason"))) return "it is not finished";
    const auto usage = JsonMembers::read(message.find("usage"));
    if (!usage) return "it has no usage";
    const auto blocks = read_json_elements(message.find("content"));
    if (!blocks) return "its content is no array";
    begin(message, *usage);
    for (const std::string_view block : *blocks) {
        if (const char* problem = split_block(block)) return problem;
    }
    end(message);
    return nullptr;
}

}  // namespace

Result<std::string> messages_events(std::string_view document) {
    const auto message = JsonMembers::read(document);
    if (!message) return no_other_form("it is no sound object");
    MessageSplitter splitter;
    if (const char* problem = splitter.split(*message)) return no_other_form(problem);
    return splitter.take();
}

}  // namespace sluice::llm
