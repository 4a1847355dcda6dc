// Anthropic's messages: message_start, the blocks with their deltas, message_delta, message_stop.
#include "answer_makers.h"
#include "json_members.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace sluice::llm {

namespace {

// An object whose members are replaced and added, in their order.
class MemberList {
public:
    MemberList() = default;
    explicit MemberList(const JsonMembers& members) {
        for (const JsonMember& member : members)
            set(member.key, std::string(member.value));
    }

    void set(std::string_view key, std::string value) { find_or_add(key) = std::move(value); }
    // Null does not take away what is known.
    void merge(const JsonMembers& members) {
        for (const JsonMember& member : members) {
            std::string& value = find_or_add(member.key);
            if (value.empty() || !is_json_nothing(member.value)) value = member.value;
        }
    }
    // Empty where there is none.
    std::string& find_or_add(std::string_view key) {
        for (auto& [name, value] : members_) {
            if (name == key) return value;
        }
        return members_.emplace_back(key, std::string()).second;
    }
    std::string write() const {
        std::string out = "{";
        for (const auto& [name, value] : members_) {
            if (out.size() > 1) out += ',';
            out.append("\"").append(name).append("\":").append(value);
        }
        return out + '}';
    }

private:
    std::vector<std::pair<std::string_view, std::string>> members_;
};

struct Block {
    MemberList members;
    std::string input;  // of partial_json, inside of its quotes
    bool has_input = false;
    bool takes_input = false;
    bool stopped = false;
};

// What a delta adds to, by its type.
struct DeltaRule {
    std::string_view type;
    std::string_view member;  // of the delta, and of the block
};
constexpr DeltaRule text_deltas[] = {
    {"\"text_delta\"", "text"},
    {"\"thinking_delta\"", "thinking"},
    {"\"signature_delta\"", "signature"},
};

// A string behind another one. False where one of them is none.
bool join_strings(std::string& before, std::string_view more) {
    if (!is_json_string(more) || !has_whole_escapes(inside_json_string(more))) return false;
    if (is_json_nothing(before)) {
        before = more;
        return true;
    }
    if (!is_json_string(before)) return false;
    before.pop_back();
    before.append(more.substr(1));
    return true;
}

bool join_element(std::string& array, std::string_view element) {
    if (element.empty()) return false;
    if (is_json_nothing(array)) array = "[]";
    if (!is_json_array(array)) return false;
    array.pop_back();
    if (array.size() > 1) array += ',';
    array.append(element).append("]");
    return true;
}

class MessageJoiner {
public:
    const char* take(const RecordedEvent& event);
    bool stopped() const { return stopped_; }
    Result<std::string> write();

private:
    const char* start(const JsonMembers& event);
    const char* start_block(const JsonMembers& event);
    const char* add_to_block(const JsonMembers& event);
    const char* stop_block(const JsonMembers& event);
    const char* finish(const JsonMembers& event);
    Block* block_of(const JsonMembers& event);

    std::optional<MemberList> message_;
    MemberList usage_;
    std::vector<Block> blocks_;
    bool finished_ = false;  // message_delta has come
    bool stopped_ = false;
};

const char* MessageJoiner::take(const RecordedEvent& event) {
    if (event.data.empty()) return nullptr;
    const auto read = JsonMembers::read(event.data);
    if (!read) return "an event is no sound object";
    const std::string_view type = read->find("type");
    if (type == "\"error\"" || event.name == "error") return "it holds an error";
    if (type == "\"ping\"") return nullptr;
    if (stopped_) return "something follows its end";
    if (type == "\"message_start\"") return start(*read);
    if (!message_) return "it does not begin with message_start";
    if (type == "\"content_block_start\"") return start_block(*read);
    if (type == "\"content_block_delta\"") return add_to_block(*read);
    if (type == "\"content_block_stop\"") return stop_block(*read);
    if (type == "\"message_delta\"") return finish(*read);
    if (type != "\"message_stop\"" || read->size() > 1) return "an event is not known";
    if (!finished_) return "it is not complete: no message_delta";
    stopped_ = true;
    return nullptr;
}

const char* MessageJoiner::start(const JsonMembers& event) {
    const auto message = JsonMembers::read(event.find("message"));
    if (message_ || !message || event.size() > 2) return "its begin is not known";
    if (message->find("content") != "[]") return "its begin has content";
    message_.emplace(*message);
    const auto usage = JsonMembers::read(message->find("usage"));
    if (usage) usage_.merge(*usage);
    return nullptr;
}

const char* MessageJoiner::start_block(const JsonMembers& event) {
    const auto index = read_json_index(event.find("index"));
    const auto block = JsonMembers::read(event.find("content_block"));
    if (!block || index != blocks_.size() || event.size() > 3) return "a block is not known";
    if (finished_) return "a block follows its end";
    blocks_.push_back({MemberList(*block), {}, false, false, false});
    const std::string_view type = block->find("type");
    // "tool_use", "server_tool_use", "mcp_tool_use"
    blocks_.back().takes_input = type.ends_with("tool_use\"");
    return nullptr;
}

Block* MessageJoiner::block_of(const JsonMembers& event) {
    const auto index = read_json_index(event.find("index"));
    if (!index || *index >= blocks_.size() || blocks_[*index].stopped) return nullptr;
    return &blocks_[*index];
}

const char* MessageJoiner::add_to_block(const JsonMembers& event) {
    Block* const block = block_of(event);
    const auto delta = JsonMembers::read(event.find("delta"));
    if (block == nullptr || !delta || event.size() > 3) return "a delta is of no block";
    if (delta->size() != 2) return "a delta is not known";
    const std::string_view type = delta->find("type");
    for (const DeltaRule& rule : text_deltas) {
        if (type != rule.type) continue;
        const bool joined =
            join_strings(block->members.find_or_add(rule.member), delta->find(rule.member));
        return joined ? nullptr : "a delta has no text";
    }
    if (type == "\"citations_delta\"") {
        const bool joined =
            join_element(block->members.find_or_add("citations"), delta->find("citation"));
        return joined ? nullptr : "a delta has no citation";
    }
    const std::string_view piece = delta->find("partial_json");
    if (type != "\"input_json_delta\"" || !block->takes_input || !is_json_string(piece))
        return "a delta is not known";
    if (!has_whole_escapes(inside_json_string(piece))) return "a delta has no text";
    block->input += inside_json_string(piece);
    block->has_input = true;
    return nullptr;
}

const char* MessageJoiner::stop_block(const JsonMembers& event) {
    Block* const block = block_of(event);
    if (block == nullptr || event.size() > 2) return "a block that ends was not begun";
    block->stopped = true;
    if (!block->takes_input) return nullptr;
    std::string& input = block->members.find_or_add("input");
    if (!block->input.empty()) {
        const auto decoded = decode_json_text(block->input);
        if (!decoded || !is_json_object(*decoded) || !is_sound_json(*decoded))
            return "the input of a tool is not complete";
        input = *decoded;
    }
    if (is_json_nothing(input)) input = "{}";
    return nullptr;
}

const char* MessageJoiner::finish(const JsonMembers& event) {
    const auto delta = JsonMembers::read(event.find("delta"));
    if (!delta) return "its end is not known";
    message_->merge(*delta);
    for (const JsonMember& member : event) {
        if (member.key == "type" || member.key == "delta") continue;
        if (member.key != "usage") {
            message_->set(member.key, std::string(member.value));
            continue;
        }
        const auto usage = JsonMembers::read(member.value);
        if (!usage) return "its usage is no object";
        usage_.merge(*usage);
    }
    finished_ = true;
    return nullptr;
}

Result<std::string> MessageJoiner::write() {
    if (!stopped_) return no_other_form("it is not complete: no message_stop");
    if (is_json_nothing(message_->find_or_add("stop_reason")))
        return no_other_form("it is not complete: no stop_reason");
    std::string content = "[";
    for (const Block& block : blocks_) {
        if (!block.stopped) return no_other_form("a block has no end");
        if (content.size() > 1) content += ',';
        content += block.members.write();
    }
    message_->set("content", content + ']');
    message_->set("usage", usage_.write());
    return message_->write();
}

}  // namespace

Result<std::string> messages_answer(RecordedEvents events) {
    MessageJoiner joiner;
    for (const RecordedEvent& event : events) {
        if (const char* problem = joiner.take(event)) return no_other_form(problem);
    }
    return joiner.write();
}

}  // namespace sluice::llm
