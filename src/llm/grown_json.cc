#include "grown_json.h"

#include "json_members.h"

#include <algorithm>
#include <array>

namespace sluice::llm {

namespace {

enum class Growth : std::uint8_t {
    state,    // the first value that is not empty; others must be the same
    first,    // the same, but later ones do not count
    last,     // the last value that is not null
    dropped,  // has no place in a document
    once,     // a text that is not known to grow: only one may say something
    text,     // pieces of a text
    list,     // pieces of an array
    indexed,  // an array whose objects are told apart by their "index"
    object,   // its members grow
};

struct GrowthRule {
    std::string_view key;
    Growth growth = Growth::state;
    GrowthPlace place = GrowthPlace::state;  // of what is in it
};

constexpr std::array frame_rules{
    // Some servers write the time of each chunk, and Azure's first one is of nobody.
    GrowthRule{"id", Growth::first},
    GrowthRule{"created", Growth::first},
    GrowthRule{"model", Growth::first},
    GrowthRule{"system_fingerprint", Growth::first},
    GrowthRule{"service_tier", Growth::last},
    GrowthRule{"usage", Growth::last},
    GrowthRule{"timings", Growth::last},
    GrowthRule{"obfuscation", Growth::dropped},
    GrowthRule{"prompt_progress", Growth::dropped},
};
constexpr std::array choice_rules{
    GrowthRule{"text", Growth::text},
    GrowthRule{"delta", Growth::object, GrowthPlace::delta},
    GrowthRule{"logprobs", Growth::object, GrowthPlace::logprobs},
    GrowthRule{"token_ids", Growth::list},
    GrowthRule{"content_filter_results", Growth::last},
};
constexpr std::array delta_rules{
    GrowthRule{"role"},
    GrowthRule{"content", Growth::text},
    GrowthRule{"refusal", Growth::text},
    GrowthRule{"reasoning_content", Growth::text},
    GrowthRule{"reasoning", Growth::text},
    GrowthRule{"tool_calls", Growth::indexed, GrowthPlace::part},
    GrowthRule{"reasoning_details", Growth::indexed, GrowthPlace::part},
    GrowthRule{"function_call", Growth::object, GrowthPlace::part},
    GrowthRule{"annotations", Growth::list},
};
constexpr std::array part_rules{
    GrowthRule{"arguments", Growth::text},
    GrowthRule{"input", Growth::text},
    GrowthRule{"text", Growth::text},
    GrowthRule{"summary", Growth::text},
    GrowthRule{"function", Growth::object, GrowthPlace::part},
    GrowthRule{"custom", Growth::object, GrowthPlace::part},
};
constexpr std::array line_rules{
    GrowthRule{"message", Growth::object, GrowthPlace::message},
    GrowthRule{"response", Growth::text},
    GrowthRule{"thinking", Growth::text},
    GrowthRule{"tool_calls", Growth::list},
    GrowthRule{"logprobs", Growth::list},
    GrowthRule{"created_at", Growth::last},
    GrowthRule{"done", Growth::last},
};
constexpr std::array message_rules{
    GrowthRule{"role"},
    GrowthRule{"content", Growth::text},
    GrowthRule{"thinking", Growth::text},
    GrowthRule{"tool_calls", Growth::list},
};

template <std::size_t size>
GrowthRule find_rule(const std::array<GrowthRule, size>& rules, std::string_view key,
                     Growth unknown) {
    const auto found =
        std::find_if(rules.begin(), rules.end(), [key](GrowthRule r) { return r.key == key; });
    return found != rules.end() ? *found : GrowthRule{key, unknown};
}

GrowthRule rule_of(GrowthPlace place, std::string_view key) {
    switch (place) {
        case GrowthPlace::frame:
            return find_rule(frame_rules, key, Growth::state);
        case GrowthPlace::choice:
            return find_rule(choice_rules, key, Growth::state);
        case GrowthPlace::delta:
            return find_rule(delta_rules, key, Growth::once);
        case GrowthPlace::part:
            return find_rule(part_rules, key, Growth::state);
        case GrowthPlace::logprobs:
            return {key, Growth::list};
        case GrowthPlace::line:
            return find_rule(line_rules, key, Growth::state);
        case GrowthPlace::message:
            return find_rule(message_rules, key, Growth::once);
        case GrowthPlace::state:
            break;
    }
    return {key};
}

bool is_empty_value(std::string_view value) {
    return is_json_nothing(value) || value == "\"\"";
}

const GrownJson absent_value;

}  // namespace

GrownJson& GrownJson::member(std::string_view key) {
    for (Member& member : members_) {
        if (member.key == key) return member.value;
    }
    members_.push_back({key, {}});
    return members_.back().value;
}

const GrownJson& GrownJson::operator[](std::string_view key) const {
    for (const Member& member : members_) {
        if (member.key == key) return member.value;
    }
    return absent_value;
}

bool GrownJson::grow_all(std::string_view object) {
    const auto read = JsonMembers::read(object);
    if (!read) return false;
    return std::all_of(read->begin(), read->end(),
                       [this](const JsonMember& m) { return grow(m.key, m.value); });
}

bool GrownJson::grow(std::string_view key, std::string_view value) {
    const GrowthRule rule = rule_of(place_, key);
    if (rule.growth == Growth::dropped) return true;
    GrownJson& grown = member(key);
    if (is_json_nothing(value)) {
        if (grown.kind_ == Kind::absent) grown.kind_ = Kind::null;
        return true;
    }
    switch (rule.growth) {
        case Growth::last:
            grown.kind_ = Kind::scalar;
            grown.scalar_ = value;
            return true;
        case Growth::first:
            if (grown.says() && !is_empty_value(grown.scalar_)) return true;
            grown.kind_ = Kind::scalar;
            grown.scalar_ = value;
            return true;
        case Growth::once:
            return is_json_string(value) ? grown.add_text(value, true) : grown.set_state(value);
        case Growth::text:
            return grown.add_text(value, false);
        case Growth::list:
            return grown.add_list(value);
        case Growth::indexed:
            return grown.add_indexed(value, rule.place);
        case Growth::object:
            return grown.add_object(value, rule.place);
        default:
            return grown.set_state(value);
    }
}

bool GrownJson::set_state(std::string_view value) {
    if (kind_ == Kind::object) return add_object(value, place_);
    if (kind_ != Kind::scalar && says()) return false;
    if (!says() || scalar_ == "\"\"") {
        kind_ = Kind::scalar;
        scalar_ = value;
        return true;
    }
    if (value == scalar_ || value == "\"\"") return true;
    // Two objects: what one of them leaves out the other may say.
    if (!is_json_object(value) || !is_json_object(scalar_)) return false;
    const std::string_view before = scalar_;
    kind_ = Kind::null;
    return add_object(before, GrowthPlace::state) && add_object(value, GrowthPlace::state);
}

bool GrownJson::add_text(std::string_view value, bool once) {
    if (!is_json_string(value) || (says() && kind_ != Kind::text)) return false;
    kind_ = Kind::text;
    const std::string_view piece = inside_json_string(value);
    if (once && !piece.empty() && !text_.empty()) return false;
    if (piece.find('\\') != piece.npos && !has_whole_escapes(piece)) return false;
    text_ += piece;
    return true;
}

bool GrownJson::add_list(std::string_view value) {
    if (!is_json_array(value) || (says() && kind_ != Kind::list)) return false;
    kind_ = Kind::list;
    const std::string_view piece = trimmed_json(value.substr(1, value.size() - 2));
    if (piece.empty()) return true;
    if (!text_.empty()) text_ += ',';
    text_ += piece;
    return true;
}

bool GrownJson::add_indexed(std::string_view value, GrowthPlace place) {
    const auto elements = read_json_elements(value);
    if (!elements || (says() && kind_ != Kind::indexed)) return false;
    kind_ = Kind::indexed;
    for (const std::string_view element : *elements) {
        const auto read = JsonMembers::read(element);
        if (!read) return false;
        const std::string_view told = read->find("index");
        // Without an index it is a whole one, as some servers send them.
        const auto index = is_json_nothing(told) ? items_.size() : read_json_index(told);
        if (!index || (is_json_nothing(told) && !read->has("id"))) return false;
        auto at = std::lower_bound(items_.begin(), items_.end(), *index,
                                   [](const Item& item, std::size_t i) { return item.index < i; });
        const bool is_there = at != items_.end() && at->index == *index;
        if (is_there && is_json_nothing(told)) return false;
        if (!is_there) at = items_.insert(at, {*index, GrownJson(place)});
        for (const JsonMember& m : *read) {
            if (m.key != "index" && !at->value.grow(m.key, m.value)) return false;
        }
    }
    return true;
}

bool GrownJson::add_object(std::string_view value, GrowthPlace place) {
    if (!is_json_object(value) || (says() && kind_ != Kind::object)) return false;
    kind_ = Kind::object;
    place_ = place;
    return grow_all(value);
}

void GrownJson::write(std::string& out) const {
    switch (kind_) {
        case Kind::absent:
        case Kind::null:
            out += "null";
            return;
        case Kind::scalar:
            out += scalar_;
            return;
        case Kind::text:
            out.append("\"").append(text_).append("\"");
            return;
        case Kind::list:
            out.append("[").append(text_).append("]");
            return;
        case Kind::indexed:
            out += '[';
            for (const Item& item : items_) {
                if (&item != items_.data()) out += ',';
                item.value.write(out);
            }
            out += ']';
            return;
        case Kind::object:
            out += '{';
            for (const Member& member : members_)
                append_json_member(out, member.key, member.value);
            out += '}';
            return;
    }
}

namespace {

void append_json_key(std::string& out, std::string_view key) {
    if (!out.empty() && out.back() != '{') out += ',';
    out.append("\"").append(key).append("\":");
}

}  // namespace

void append_json_member(std::string& out, std::string_view key, std::string_view value) {
    append_json_key(out, key);
    out += value;
}

void append_json_member(std::string& out, std::string_view key, const GrownJson& value) {
    append_json_key(out, key);
    value.write(out);
}

}  // namespace sluice::llm
