// One maker a dialect: the stream of a recorded document. See events_of_answer.h.
//
// Internal. Each takes a document that is known to be sound JSON without line ends in it.
#pragma once

#include "answer_makers.h"
#include "json_members.h"
#include "sluice/llm/events_of_answer.h"

#include <initializer_list>

namespace sluice::llm {

Result<std::string> chat_events(std::string_view document, bool include_usage);
Result<std::string> completion_events(std::string_view document, bool include_usage);
Result<std::string> messages_events(std::string_view document);
Result<std::string> responses_events(std::string_view document);
Result<std::string> ollama_chat_lines(std::string_view document);
Result<std::string> ollama_generate_lines(std::string_view document);

// An object, member by member.
class ObjectText {
public:
    ObjectText& add(std::string_view key, std::string_view value) {
        text_ += text_.empty() ? "{\"" : ",\"";
        text_.append(key).append("\":").append(value);
        return *this;
    }
    // A string, of what stands between its quotes.
    ObjectText& add_text(std::string_view key, std::string_view inside) {
        text_ += text_.empty() ? "{\"" : ",\"";
        text_.append(key).append("\":\"").append(inside).append("\"");
        return *this;
    }
    ObjectText& add_all(const ObjectText& other) {
        if (other.empty()) return *this;
        text_ += text_.empty() ? '{' : ',';
        text_.append(other.text_, 1);
        return *this;
    }
    bool empty() const { return text_.empty(); }
    std::string done() const { return text_.empty() ? "{}" : text_ + "}"; }

private:
    std::string text_;
};

// The object with other values for some of its members, where it has them.
inline std::string with_values(const JsonMembers& members,
                               std::initializer_list<JsonMember> replaced) {
    ObjectText out;
    for (const JsonMember& member : members) {
        std::string_view value = member.value;
        for (const JsonMember& other : replaced) {
            if (other.key == member.key) value = other.value;
        }
        out.add(member.key, value);
    }
    return out.done();
}

// Calls take(piece) for the pieces in which a text is sent; not at all for an empty one.
template <class Take>
void for_each_piece(std::string_view string, Take&& take) {
    std::string_view inside = inside_json_string(string);
    while (!inside.empty())
        take(take_json_piece(inside, piece_bytes));
}

inline void append_sse(std::string& out, std::string_view name, std::string_view data) {
    if (!name.empty()) out.append("event: ").append(name).append("\n");
    out.append("data: ").append(data).append("\n\n");
}

}  // namespace sluice::llm
