// GrownJson: a JSON value that a stream tells in pieces: texts are put together, calls are told
// apart by their index, and what is said again must be the same.
//
// Internal. Which members grow, and how, is a table for each place (grown_json.cc). What the table
// does not know may be there once, or over and over as the same; anything else is refused, for
// nobody can tell what it would become. Texts and values stay as they stand in the stream, whose
// bytes outlive this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::llm {

// Where an object stands, which says how its members grow.
enum class GrowthPlace : std::uint8_t {
    frame,     // a chunk of OpenAI's, beside its choices
    choice,    // one of its choices
    delta,     // its delta
    part,      // a tool call, its function, a detail of the reasoning
    logprobs,  // lists of tokens
    line,      // a line of Ollama's
    message,   // its message
    state,     // anything else: nothing in it grows
};

class GrownJson {
public:
    enum class Kind : std::uint8_t { absent, null, scalar, text, list, indexed, object };

    GrownJson();
    explicit GrownJson(GrowthPlace place);  // an object

    // An object takes the member `key` with its next value. False: it cannot be put together.
    [[nodiscard]] bool grow(std::string_view key, std::string_view value);
    // All members of an object.
    [[nodiscard]] bool grow_all(std::string_view object);

    Kind kind() const { return kind_; }
    // Neither absent nor null.
    bool says() const { return kind_ > Kind::null; }
    // A member; one that is absent where there is none.
    const GrownJson& operator[](std::string_view key) const;

    struct Member;
    const std::vector<Member>& members() const { return members_; }

    // As JSON; null where it is absent.
    void write(std::string& out) const;

private:
    struct Item;

    [[nodiscard]] bool set_state(std::string_view value);
    [[nodiscard]] bool add_text(std::string_view value, bool once);
    [[nodiscard]] bool add_list(std::string_view value);
    [[nodiscard]] bool add_indexed(std::string_view value, GrowthPlace place);
    [[nodiscard]] bool add_object(std::string_view value, GrowthPlace place);
    GrownJson& member(std::string_view key);

    Kind kind_ = Kind::absent;
    GrowthPlace place_ = GrowthPlace::state;
    std::string_view scalar_;  // the value
    std::string text_;         // inside of the quotes, or of the brackets of a list
    std::vector<Member> members_;
    std::vector<Item> items_;  // by their index
};

struct GrownJson::Member {
    std::string_view key;
    GrownJson value;
};

struct GrownJson::Item {
    std::size_t index = 0;
    GrownJson value;
};

// Down here for their members are of types that hold such values.
inline GrownJson::GrownJson() = default;
inline GrownJson::GrownJson(GrowthPlace place) : kind_(Kind::object), place_(place) {}

// `"key":value` with a comma in front, unless it is the first of an object.
void append_json_member(std::string& out, std::string_view key, std::string_view value);
void append_json_member(std::string& out, std::string_view key, const GrownJson& value);

}  // namespace sluice::llm
