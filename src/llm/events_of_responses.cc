// The events of a Responses answer: each item begins, grows and ends; the last one has it whole.
#include "event_makers.h"

#include <array>
#include <cstdint>
#include <optional>

namespace sluice::llm {

namespace {

// A text that is told in deltas: a part of an item by its type, or a member of an item.
struct TextRule {
    std::string_view type;    // of the part or item
    std::string_view member;  // that holds the text, also in the done event
    std::string_view event;   // EVENT.delta, EVENT.done
};
constexpr std::array part_rules_of_output{
    TextRule{"\"output_text\"", "text", "response.output_text"},
    TextRule{"\"refusal\"", "refusal", "response.refusal"},
    TextRule{"\"reasoning_text\"", "text", "response.reasoning_text"},
    TextRule{"\"summary_text\"", "text", "response.reasoning_summary_text"},
};
constexpr std::array item_rules{
    TextRule{"\"function_call\"", "arguments", "response.function_call_arguments"},
    TextRule{"\"custom_tool_call\"", "input", "response.custom_tool_call_input"},
};

template <std::size_t size>
const TextRule* find_text_rule(const std::array<TextRule, size>& rules, std::string_view type) {
    for (const TextRule& rule : rules) {
        if (rule.type == type) return &rule;
    }
    return nullptr;
}

class ResponseSplitter {
public:
    const char* split(std::string_view document, const JsonMembers& response);
    std::string take() { return std::move(out_); }

private:
    // The parts of one item, in its member `list`.
    struct Parts {
        std::string_view list;   // "content" or "summary"
        std::string_view index;  // "content_index" or "summary_index"
        std::string_view event;  // EVENT.added, EVENT.done
    };

    void event(std::string_view type, const ObjectText& said);
    void lifecycle(std::string_view type, std::string_view response);
    // Where in the answer an event is: the item, and the part.
    ObjectText place() const;
    const char* split_item(std::string_view text);
    const char* split_parts(const JsonMembers& item, const Parts& parts);
    const char* split_part(std::string_view text, const Parts& parts);
    const char* split_text(const JsonMembers& holder, const TextRule& rule);
    const char* annotate(const JsonMembers& part);

    std::uint64_t number_ = 0;
    std::size_t output_index_ = 0;
    std::string_view item_id_;
    std::string_view part_key_;
    std::size_t part_index_ = 0;
    std::string out_;
};

void ResponseSplitter::event(std::string_view type, const ObjectText& said) {
    ObjectText data;
    data.add_text("type", type).add("sequence_number", std::to_string(number_++)).add_all(said);
    append_sse(out_, type, data.done());
}

void ResponseSplitter::lifecycle(std::string_view type, std::string_view response) {
    event(type, ObjectText().add("response", response));
}

ObjectText ResponseSplitter::place() const {
    ObjectText place;
    place.add("item_id", item_id_).add("output_index", std::to_string(output_index_));
    if (!part_key_.empty()) place.add(part_key_, std::to_string(part_index_));
    return place;
}

const char* ResponseSplitter::annotate(const JsonMembers& part) {
    if (!part.has("annotations")) return nullptr;
    const auto annotations = read_json_elements(part.find("annotations"));
    if (!annotations) return "its annotations are no array";
    for (std::size_t i = 0; i < annotations->size(); ++i) {
        ObjectText said = place();
        said.add("annotation_index", std::to_string(i)).add("annotation", (*annotations)[i]);
        event("response.output_text.annotation.added", said);
    }
    return nullptr;
}

const char* ResponseSplitter::split_text(const JsonMembers& holder, const TextRule& rule) {
    const std::string_view text = holder.find(rule.member);
    if (!is_json_string(text)) return "a text of its output is no string";
    const bool has_logprobs = rule.type == "\"output_text\"";
    for_each_piece(text, [&](std::string_view piece) {
        ObjectText said = place();
        said.add_text("delta", piece);
        if (has_logprobs) said.add("logprobs", "[]");
        event(std::string(rule.event) + ".delta", said);
    });
    if (const char* problem = has_logprobs ? annotate(holder) : nullptr) return problem;
    ObjectText said = place();
    said.add(rule.member, text);
    if (has_logprobs) said.add("logprobs", holder.has("logprobs") ? holder.find("logprobs") : "[]");
    if (holder.has("name")) said.add("name", holder.find("name"));
    event(std::string(rule.event) + ".done", said);
    return nullptr;
}

const char* ResponseSplitter::split_part(std::string_view text, const Parts& parts) {
    const auto part = JsonMembers::read(text);
    if (!part) return "a part of its output is no object";
    const TextRule* const rule = find_text_rule(part_rules_of_output, part->find("type"));
    const std::string begun =
        rule == nullptr
            ? std::string(text)
            : with_values(*part, {{rule->member, "\"\""},
                                  {"annotations", part->has("annotations") ? "[]" : "null"},
                                  {"logprobs", part->has("logprobs") ? "[]" : "null"}});
    event(std::string(parts.event) + ".added", place().add("part", begun));
    if (rule != nullptr) {
        if (const char* problem = split_text(*part, *rule)) return problem;
    }
    event(std::string(parts.event) + ".done", place().add("part", text));
    return nullptr;
}

const char* ResponseSplitter::split_parts(const JsonMembers& item, const Parts& parts) {
    if (!item.has(parts.list)) return nullptr;
    const auto elements = read_json_elements(item.find(parts.list));
    if (!elements) return "the parts of an item are no array";
    part_key_ = parts.index;
    part_index_ = 0;
    for (const std::string_view part : *elements) {
        if (const char* problem = split_part(part, parts)) return problem;
        ++part_index_;
    }
    part_key_ = {};
    return nullptr;
}

// An item that has no id, or is of a type that does not grow, begins as it ends.
const char* ResponseSplitter::split_item(std::string_view text) {
    const auto item = JsonMembers::read(text);
    if (!item || !is_json_string(item->find("type"))) return "an item of its output is no object";
    const std::string_view type = item->find("type");
    item_id_ = item->find("id");
    const TextRule* const rule = find_text_rule(item_rules, type);
    const bool has_parts = type == "\"message\"" || type == "\"reasoning\"";
    const bool grows = is_json_string(item_id_) && (rule != nullptr || has_parts);
    ObjectText added;
    added.add("output_index", std::to_string(output_index_));
    if (grows) {
        const std::string_view status =
            item->has("status") ? "\"in_progress\"" : item->find("status");
        const std::string_view growing = rule != nullptr ? rule->member : "content";
        const std::string_view begin = rule != nullptr        ? "\"\""
                                       : item->has("content") ? "[]"
                                                              : "null";
        added.add("item",
                  with_values(*item, {{"status", status}, {growing, begin}, {"summary", "[]"}}));
    } else {
        added.add("item", text);
    }
    event("response.output_item.added", added);
    const char* problem = nullptr;
    if (grows && rule != nullptr) problem = split_text(*item, *rule);
    if (grows && type == "\"reasoning\"") {
        problem =
            split_parts(*item, {"summary", "summary_index", "response.reasoning_summary_part"});
    }
    if (grows && has_parts && problem == nullptr)
        problem = split_parts(*item, {"content", "content_index", "response.content_part"});
    if (problem != nullptr) return problem;
    ObjectText done;
    done.add("output_index", std::to_string(output_index_)).add("item", text);
    event("response.output_item.done", done);
    ++output_index_;
    return nullptr;
}

const char* ResponseSplitter::split(std::string_view document, const JsonMembers& response) {
    const std::string_view status = response.find("status");
    const bool completed = status == "\"completed\"";
    if (!completed && status != "\"incomplete\"") return "it is not finished";
    if (response.has("error")) return "it is an error";
    if (response.find("object") != "\"response\"") return "it is another object";
    const auto items = read_json_elements(response.find("output"));
    if (!items) return "its output is no array";
    const std::string begun = with_values(response, {{"status", "\"in_progress\""},
                                                     {"output", "[]"},
                                                     {"usage", "null"},
                                                     {"completed_at", "null"},
                                                     {"incomplete_details", "null"}});
    lifecycle("response.created", begun);
    lifecycle("response.in_progress", begun);
    for (const std::string_view item : *items) {
        if (const char* problem = split_item(item)) return problem;
    }
    lifecycle(completed ? "response.completed" : "response.incomplete", document);
    return nullptr;
}

}  // namespace

Result<std::string> responses_events(std::string_view document) {
    const auto response = JsonMembers::read(document);
    if (!response) return no_other_form("it is no sound object");
    ResponseSplitter splitter;
    if (const char* problem = splitter.split(document, *response)) return no_other_form(problem);
    return splitter.take();
}

}  // namespace sluice::llm
