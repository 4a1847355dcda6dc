// The Responses API: the last event has the whole answer, at most without its output.
#include "answer_makers.h"
#include "json_members.h"

#include <algorithm>
#include <array>
#include <vector>

namespace sluice::llm {

namespace {

constexpr std::array<std::string_view, 6> event_members{"type",    "sequence_number", "response",
                                                        "timings", "obfuscation",     "stream_id"};

// The items in the order of their output_index, or as they came.
struct DoneItem {
    std::size_t index = 0;
    std::string_view item;
};

void insert_item(std::vector<DoneItem>& items, DoneItem item) {
    const auto is_before = [](const DoneItem& a, const DoneItem& b) { return a.index < b.index; };
    items.insert(std::upper_bound(items.begin(), items.end(), item, is_before), item);
}

std::string with_output(const JsonMembers& response, const std::vector<DoneItem>& items) {
    std::string output = "[";
    for (const DoneItem& item : items) {
        if (output.size() > 1) output += ',';
        output += item.item;
    }
    output += ']';
    std::string out = "{";
    const auto append = [&out](std::string_view key, std::string_view value) {
        if (out.size() > 1) out += ',';
        out.append("\"").append(key).append("\":").append(value);
    };
    for (const JsonMember& member : response)
        append(member.key, member.key == "output" ? output : member.value);
    if (response.find("output").empty()) append("output", output);
    return out + '}';
}

// Of the terminal event.
Result<std::string> final_response(const JsonMembers& event, const std::vector<DoneItem>& items) {
    for (const JsonMember& member : event) {
        if (std::find(event_members.begin(), event_members.end(), member.key) ==
            event_members.end())
            return no_other_form("its last event says something that is not known");
    }
    const std::string_view text = event.find("response");
    const auto response = JsonMembers::read(text);
    if (!response) return no_other_form("its last event has no sound response");
    if (response->has("error")) return no_other_form("it holds an error");
    const std::string_view output = response->find("output");
    if (is_json_nothing(output)) return with_output(*response, items);
    const auto told = read_json_elements(output);
    if (!told) return no_other_form("its output is no array");
    if (told->empty() && !items.empty()) return with_output(*response, items);
    return std::string(text);
}

}  // namespace

Result<std::string> responses_answer(RecordedEvents events) {
    std::vector<DoneItem> items;
    for (const RecordedEvent& event : events) {
        const auto read = JsonMembers::read(event.data);
        if (!read) return no_other_form("an event is no sound object");
        const std::string_view type = read->find("type");
        if (type == "\"error\"" || type == "\"response.failed\"" || event.name == "error")
            return no_other_form("it holds an error");
        if (type == "\"response.output_item.done\"") {
            const std::string_view item = read->find("item");
            if (!is_json_object(item)) return no_other_form("an item is no object");
            const auto index = read_json_index(read->find("output_index"));
            insert_item(items, {index.value_or(items.size()), item});
        }
        if (type == "\"response.completed\"" || type == "\"response.incomplete\"") {
            if (&event != &events.back()) return no_other_form("something follows its end");
            return final_response(*read, items);
        }
    }
    return no_other_form("it is not complete: no response.completed");
}

}  // namespace sluice::llm
