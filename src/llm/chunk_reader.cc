#include "chunk_reader.h"

#include "json_walker.h"

#include <algorithm>
#include <array>

namespace sluice::llm {

namespace {

// The keys that are read, each in one place; `other` is any other key of that place.
enum class ChunkKey : std::uint8_t {
    other,
    // --- the chunk ---
    id,
    created,
    model,
    system_fingerprint,
    choices,
    usage,
    timings,
    error,
    // --- a choice ---
    index,
    delta,
    finish_reason,
    logprobs,
    text,  // `text` or `message`: another form of answer
    token_ids,
    // --- its delta ---
    role,
    content,
    reasoning_content,
    reasoning,
    tool_calls,
    function_call,
    audio,
    refusal,
};

struct NamedKey {
    std::string_view name;
    ChunkKey key;
};

constexpr std::array chunk_keys{
    NamedKey{"id", ChunkKey::id},
    NamedKey{"created", ChunkKey::created},
    NamedKey{"model", ChunkKey::model},
    NamedKey{"system_fingerprint", ChunkKey::system_fingerprint},
    NamedKey{"choices", ChunkKey::choices},
    NamedKey{"usage", ChunkKey::usage},
    NamedKey{"timings", ChunkKey::timings},
    NamedKey{"error", ChunkKey::error},
};
constexpr std::array choice_keys{
    NamedKey{"index", ChunkKey::index},         NamedKey{"delta", ChunkKey::delta},
    NamedKey{"logprobs", ChunkKey::logprobs},   NamedKey{"finish_reason", ChunkKey::finish_reason},
    NamedKey{"text", ChunkKey::text},           NamedKey{"message", ChunkKey::text},
    NamedKey{"token_ids", ChunkKey::token_ids},
};
constexpr std::array delta_keys{
    NamedKey{"role", ChunkKey::role},
    NamedKey{"content", ChunkKey::content},
    NamedKey{"reasoning_content", ChunkKey::reasoning_content},
    NamedKey{"reasoning", ChunkKey::reasoning},
    NamedKey{"tool_calls", ChunkKey::tool_calls},
    NamedKey{"function_call", ChunkKey::function_call},
    NamedKey{"audio", ChunkKey::audio},
    NamedKey{"refusal", ChunkKey::refusal},
};

// Where a value stands, by the number of containers around it.
constexpr int chunk_depth = 1;
constexpr int choices_depth = 2;  // the array; also the members of "usage" and "timings"
constexpr int choice_depth = 3;   // also the members of "usage"'s details
constexpr int delta_depth = 4;

ResumeObstacle obstacle_of(ChunkKey key) {
    switch (key) {
        case ChunkKey::tool_calls:
            return ResumeObstacle::tool_call;
        case ChunkKey::function_call:
            return ResumeObstacle::function_call;
        case ChunkKey::audio:
            return ResumeObstacle::audio;
        case ChunkKey::refusal:
            return ResumeObstacle::refusal;
        default:
            return ResumeObstacle::unknown_content;
    }
}

class ChunkHandler {
public:
    static constexpr bool strict = false;

    void on_key(int depth, const JsonText& key);
    void on_string(int depth, const JsonText& string);
    void on_number(int depth, const JsonNumber& number);
    void on_literal(int depth, JsonLiteral literal, Span span);
    void on_open(int depth, bool is_object, std::size_t begin);
    void on_close(int, std::size_t) {}

    // The text was one whole value.
    ChunkFacts take_facts() {
        facts_.well_formed = sound_ && (has_choices_ || facts_.error);
        return facts_;
    }

private:
    bool in_choice(int depth) const {
        return chunk_key_ == ChunkKey::choices && depth >= choice_depth;
    }
    bool in_delta(int depth) const {
        return in_choice(depth) && depth >= delta_depth && choice_key_ == ChunkKey::delta;
    }
    template <std::size_t size>
    ChunkKey identify(const std::array<NamedKey, size>& keys, std::string_view name);
    void set_obstacle(ResumeObstacle obstacle) {
        if (facts_.obstacle == ResumeObstacle::none) facts_.obstacle = obstacle;
    }
    void take_chunk_value(Span span, bool is_null);
    // A value in the delta, or deeper, that says something and is no text of the answer.
    void take_delta_value() {
        facts_.delta_speaks = true;
        set_obstacle(obstacle_of(delta_key_));
    }
    ChunkCount* find_count(int depth);

    ChunkFacts facts_;
    bool sound_ = true;
    bool has_choices_ = false;
    ChunkKey chunk_key_ = ChunkKey::other;
    ChunkKey choice_key_ = ChunkKey::other;
    ChunkKey delta_key_ = ChunkKey::other;
    std::string_view report_key_;   // in "usage" or "timings"
    std::string_view details_key_;  // in "prompt_tokens_details"
    std::uint32_t seen_ = 0;        // the keys that were there, as bits
};

// A key that is there twice, or that is written with escapes, is read differently by different
// clients: nothing is known for sure then.
template <std::size_t size>
ChunkKey ChunkHandler::identify(const std::array<NamedKey, size>& keys, std::string_view name) {
    if (name.find('\\') != name.npos) sound_ = false;
    const auto found =
        std::find_if(keys.begin(), keys.end(), [name](NamedKey k) { return k.name == name; });
    if (found == keys.end()) return ChunkKey::other;
    const std::uint32_t bit = std::uint32_t{1} << static_cast<unsigned>(found->key);
    if ((seen_ & bit) != 0) sound_ = false;
    seen_ |= bit;
    return found->key;
}

void ChunkHandler::on_key(int depth, const JsonText& key) {
    if (depth == chunk_depth) {
        chunk_key_ = identify(chunk_keys, key.text);
        return;
    }
    if (in_choice(depth)) {
        if (depth == choice_depth) choice_key_ = identify(choice_keys, key.text);
        if (depth != delta_depth || choice_key_ != ChunkKey::delta) return;
        delta_key_ = identify(delta_keys, key.text);
        if (delta_key_ == ChunkKey::role) facts_.role_key = key.span;
        return;
    }
    if (depth == choices_depth) report_key_ = key.text;
    if (depth == choice_depth) details_key_ = key.text;
}

void ChunkHandler::take_chunk_value(Span span, bool is_null) {
    switch (chunk_key_) {
        case ChunkKey::id:
            facts_.id = span;
            break;
        case ChunkKey::created:
            facts_.created = span;
            break;
        case ChunkKey::model:
            facts_.model = span;
            break;
        case ChunkKey::system_fingerprint:
            facts_.system_fingerprint = span;
            break;
        case ChunkKey::error:
            facts_.error |= !is_null;
            break;
        case ChunkKey::choices:
            sound_ = false;  // not an array
            break;
        default:
            break;
    }
}

void ChunkHandler::on_string(int depth, const JsonText& string) {
    if (depth == 0) sound_ = false;
    if (depth == chunk_depth) return take_chunk_value(string.span, false);
    if (chunk_key_ == ChunkKey::choices && depth == choices_depth) sound_ = false;
    if (!in_choice(depth) || string.text.empty()) {
        if (in_delta(depth) && depth == delta_depth) {
            if (delta_key_ == ChunkKey::role) facts_.role = string.span;
            if (delta_key_ == ChunkKey::content) facts_.content = string.span;
        }
        return;
    }
    if (depth == choice_depth) {
        if (choice_key_ == ChunkKey::finish_reason) facts_.finished = true;
        if (choice_key_ == ChunkKey::logprobs) set_obstacle(ResumeObstacle::logprobs);
        if (choice_key_ == ChunkKey::text) set_obstacle(ResumeObstacle::unknown_content);
        if (choice_key_ == ChunkKey::delta || choice_key_ == ChunkKey::index) sound_ = false;
        return;
    }
    if (!in_delta(depth)) return;
    if (depth > delta_depth) return take_delta_value();
    switch (delta_key_) {
        case ChunkKey::role:
            facts_.role = string.span;
            break;
        case ChunkKey::content:
            facts_.content = string.span;
            break;
        case ChunkKey::reasoning_content:
        case ChunkKey::reasoning:
            if (!facts_.reasoning.empty()) take_delta_value();
            facts_.reasoning = string.span;
            break;
        default:
            take_delta_value();
            break;
    }
}

ChunkCount* ChunkHandler::find_count(int depth) {
    if (chunk_key_ == ChunkKey::timings && depth == choices_depth) {
        return report_key_ == "predicted_n" ? &facts_.predicted_n : nullptr;
    }
    if (chunk_key_ != ChunkKey::usage) return nullptr;
    if (depth == choice_depth) {
        const bool is_cached =
            report_key_ == "prompt_tokens_details" && details_key_ == "cached_tokens";
        return is_cached ? &facts_.cached_tokens : nullptr;
    }
    if (depth != choices_depth) return nullptr;
    if (report_key_ == "prompt_tokens") return &facts_.prompt_tokens;
    if (report_key_ == "completion_tokens") return &facts_.completion_tokens;
    return report_key_ == "total_tokens" ? &facts_.total_tokens : nullptr;
}

void ChunkHandler::on_number(int depth, const JsonNumber& number) {
    if (depth == 0) sound_ = false;
    if (depth == chunk_depth) return take_chunk_value(number.span, false);
    if (ChunkCount* count = find_count(depth)) *count = {number.count, number.span};
    if (chunk_key_ == ChunkKey::choices && depth == choices_depth) sound_ = false;
    if (!in_choice(depth)) return;
    if (depth == choice_depth) {
        if (choice_key_ == ChunkKey::index && number.count != 0)
            set_obstacle(ResumeObstacle::choices);
        if (choice_key_ == ChunkKey::delta) sound_ = false;
        return;
    }
    if (!in_delta(depth)) return;
    if (depth > delta_depth || delta_key_ != ChunkKey::other) return take_delta_value();
    facts_.delta_speaks = true;  // a number is no text
}

void ChunkHandler::on_literal(int depth, JsonLiteral literal, Span span) {
    const bool is_null = literal == JsonLiteral::null;
    if (depth == 0) sound_ = false;
    if (depth == chunk_depth) return take_chunk_value(span, is_null);
    if (chunk_key_ == ChunkKey::choices && depth == choices_depth) sound_ = false;
    if (!in_choice(depth) || is_null) return;
    if (depth == choice_depth) {
        if (choice_key_ == ChunkKey::delta || choice_key_ == ChunkKey::index) sound_ = false;
        return;
    }
    if (!in_delta(depth)) return;
    if (depth > delta_depth || delta_key_ != ChunkKey::other) return take_delta_value();
    facts_.delta_speaks = true;
}

void ChunkHandler::on_open(int depth, bool is_object, std::size_t begin) {
    // The container itself stands one level above what it holds.
    if (depth == chunk_depth) {
        if (!is_object) sound_ = false;
        return;
    }
    if (depth == choices_depth) {
        report_key_ = {};
        if (chunk_key_ == ChunkKey::choices) has_choices_ = true;
        if (chunk_key_ == ChunkKey::choices && !is_object) return;
        if (chunk_key_ == ChunkKey::usage && is_object) {
            facts_.usage = true;
            return;
        }
        return take_chunk_value({begin, begin}, false);
    }
    if (chunk_key_ != ChunkKey::choices) {
        if (depth == choice_depth) details_key_ = {};
        return;
    }
    if (depth == choice_depth) {
        if (!is_object) sound_ = false;
        if (facts_.has_choice) set_obstacle(ResumeObstacle::choices);
        facts_.has_choice = true;
        seen_ &=
            (std::uint32_t{1} << static_cast<unsigned>(ChunkKey::index)) - 1;  // keys of chunks
        choice_key_ = ChunkKey::other;
        return;
    }
    if (depth == delta_depth) {
        if (choice_key_ == ChunkKey::delta && !is_object) sound_ = false;
        if (choice_key_ == ChunkKey::index) sound_ = false;
        if (choice_key_ == ChunkKey::logprobs) set_obstacle(ResumeObstacle::logprobs);
        const bool is_text = choice_key_ == ChunkKey::text || choice_key_ == ChunkKey::token_ids;
        if (is_text) set_obstacle(ResumeObstacle::unknown_content);
        delta_key_ = ChunkKey::other;
        return;
    }
    if (!in_delta(depth)) return;
    // Empty lists of tool calls, annotations and the like are sent by some servers in every event.
    const bool may_be_empty = delta_key_ == ChunkKey::other || delta_key_ == ChunkKey::tool_calls;
    if (depth > delta_depth + 1 || !may_be_empty) take_delta_value();
}

}  // namespace

ChunkFacts read_chunk_for_resume(std::string_view data) {
    ChunkHandler handler;
    if (!JsonWalker(data, handler).walk()) return {};
    return handler.take_facts();
}

}  // namespace sluice::llm
