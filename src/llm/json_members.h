// JsonMembers: one level of a JSON object as views into its text, for those who put answers
// together without a document.
//
// Internal. Values stay as they stand in the text; whoever wants to look deeper reads the value the
// same way. Only the structure is checked: is_sound_json() says whether a whole text is JSON.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm {

struct JsonMember {
    std::string_view key;    // between its quotes; it has no escapes
    std::string_view value;  // with its quotes or brackets
};

class JsonMembers {
public:
    // None where `text` is no object, is not well formed, has a key twice or with escapes in it
    // (which clients read differently), or has more than members_max members.
    static std::optional<JsonMembers> read(std::string_view text);

    // Empty where there is none.
    std::string_view find(std::string_view key) const;
    // There, and not null.
    bool has(std::string_view key) const;
    auto begin() const { return members_.begin(); }
    auto end() const { return members_.end(); }
    std::size_t size() const { return members_.size(); }

private:
    // No object of an API has nearly as many; telling twins apart compares each with each.
    static constexpr std::size_t members_max = 128;

    std::vector<JsonMember> members_;
};

// The elements of an array; none where it is no array or not well formed.
std::optional<std::vector<std::string_view>> read_json_elements(std::string_view text);

// What kind of value a text begins with, where it is known to be a value.
inline bool is_json_string(std::string_view value) {
    return value.size() >= 2 && value.front() == '"';
}
inline bool is_json_object(std::string_view value) {
    return !value.empty() && value.front() == '{';
}
inline bool is_json_array(std::string_view value) {
    return !value.empty() && value.front() == '[';
}
// Not there, or null.
inline bool is_json_nothing(std::string_view value) {
    return value.empty() || value.front() == 'n';
}
// A whole number from 0 to 999.
std::optional<std::size_t> read_json_index(std::string_view value);

// Without the white space around it.
std::string_view trimmed_json(std::string_view text);

// What stands between the quotes of a string.
inline std::string_view inside_json_string(std::string_view value) {
    return value.substr(1, value.size() - 2);
}

// Each escape is whole, so that the text may be put in front of another one.
bool has_whole_escapes(std::string_view inside);

// The text that a string stands for, in UTF-8; halves of surrogate pairs are joined. Empty where
// the string is not well formed.
std::optional<std::string> decode_json_text(std::string_view inside);

// One whole value by RFC 8259: UTF-8, escapes, numbers and all.
bool is_sound_json(std::string_view text);

// The next piece of a string to be sent by itself: at most `bytes` long, and it does not end inside
// of a character, an escape or a pair of surrogates. Taken off `inside`.
std::string_view take_json_piece(std::string_view& inside, std::size_t bytes);

}  // namespace sluice::llm
