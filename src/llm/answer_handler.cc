#include "answer_handler.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::llm {

namespace {

using Key = AnswerKey;
using Place = AnswerPlace;

constexpr std::size_t quotes = 2;  // around a string

// Counts that no answer of this world has are not believed.
constexpr std::uint64_t tokens_max = std::uint64_t{1} << 40;

// Of a literal the size is known: the comparison is no call. Every key of an answer comes by here.
template <std::size_t size>
bool is(std::string_view name, const char (&literal)[size]) {
    return name.size() == size - 1 && std::memcmp(name.data(), literal, size - 1) == 0;
}

Key root_key(std::string_view name) {
    switch (name.size()) {
        case 2:
            return is(name, "id") ? Key::frame : Key::other;
        case 4:
            if (is(name, "type")) return Key::type;
            if (is(name, "item")) return Key::part;
            return is(name, "done") || is(name, "stop") ? Key::done : Key::other;
        case 5:
            if (is(name, "usage")) return Key::usage;
            if (is(name, "error")) return Key::error;
            if (is(name, "delta")) return Key::delta;
            return is(name, "model") ? Key::frame : Key::other;
        case 6:
            if (is(name, "output")) return Key::output;
            return is(name, "object") ? Key::object : Key::other;
        case 7:
            if (is(name, "choices")) return Key::choices;
            if (is(name, "created")) return Key::frame;
            if (is(name, "timings")) return Key::timings;
            if (is(name, "message")) return Key::message;
            return is(name, "content") ? Key::content : Key::other;
        case 8:
            if (is(name, "response")) return Key::response;
            return is(name, "thinking") ? Key::content : Key::other;
        case 10:
            return is(name, "eval_count") ? Key::predicted : Key::other;
        case 11:
            return is(name, "obfuscation") ? Key::frame : Key::other;
        case 12:
            return is(name, "service_tier") ? Key::frame : Key::other;
        case 13:
            return is(name, "content_block") ? Key::part : Key::other;
        case 15:
            if (is(name, "prompt_progress")) return Key::progress;
            return is(name, "sequence_number") ? Key::sequence : Key::other;
        case 16:
            if (is(name, "tokens_evaluated")) return Key::evaluated;
            return is(name, "tokens_predicted") ? Key::predicted : Key::other;
        case 17:
            return is(name, "prompt_eval_count") ? Key::evaluated : Key::other;
        case 18:
            return is(name, "system_fingerprint") ? Key::frame : Key::other;
        case 24:
            return is(name, "prompt_eval_cached_count") ? Key::evaluated_cached : Key::other;
        default:
            return Key::other;
    }
}

Key choice_key(std::string_view name) {
    switch (name.size()) {
        case 4:
            return is(name, "text") ? Key::content : Key::other;
        case 5:
            if (is(name, "delta")) return Key::delta;
            return is(name, "index") ? Key::index : Key::other;
        case 7:
            return is(name, "message") ? Key::delta : Key::other;
        case 13:
            return is(name, "finish_reason") ? Key::finish_reason : Key::other;
        default:
            return Key::other;
    }
}

Key delta_key(std::string_view name) {
    switch (name.size()) {
        case 4:
            if (is(name, "role")) return Key::frame;
            return is(name, "text") ? Key::content : Key::other;
        case 5:
            if (is(name, "usage")) return Key::usage;
            if (is(name, "error")) return Key::error;
            return is(name, "audio") ? Key::tool_call : Key::other;
        case 7:
            return is(name, "content") || is(name, "refusal") ? Key::content : Key::other;
        case 8:
            return is(name, "thinking") ? Key::content : Key::other;
        case 9:
            return is(name, "reasoning") ? Key::content : Key::other;
        case 10:
            return is(name, "tool_calls") ? Key::tool_calls : Key::other;
        case 11:
            return is(name, "stop_reason") ? Key::finish_reason : Key::other;
        case 12:
            return is(name, "partial_json") ? Key::content : Key::other;
        case 13:
            return is(name, "function_call") ? Key::tool_call : Key::other;
        case 17:
            return is(name, "reasoning_content") ? Key::content : Key::other;
        default:
            return Key::other;
    }
}

Key part_key(std::string_view name) {
    if (is(name, "type")) return Key::part_type;
    return is(name, "text") || is(name, "thinking") ? Key::content : Key::other;
}

Key usage_key(std::string_view name) {
    switch (name.size()) {
        case 12:
            return is(name, "input_tokens") ? Key::input_tokens : Key::other;
        case 13:
            if (is(name, "prompt_tokens")) return Key::prompt_tokens;
            return is(name, "output_tokens") ? Key::output_tokens : Key::other;
        case 17:
            return is(name, "completion_tokens") ? Key::completion_tokens : Key::other;
        case 20:
            return is(name, "input_tokens_details") ? Key::details : Key::other;
        case 21:
            return is(name, "prompt_tokens_details") ? Key::details : Key::other;
        case 23:
            return is(name, "cache_read_input_tokens") ? Key::cache_read : Key::other;
        case 27:
            return is(name, "cache_creation_input_tokens") ? Key::cache_creation : Key::other;
        default:
            return Key::other;
    }
}

Key timings_key(std::string_view name) {
    switch (name.size()) {
        case 7:
            return is(name, "cache_n") ? Key::cache_n : Key::other;
        case 8:
            return is(name, "prompt_n") ? Key::prompt_n : Key::other;
        case 11:
            return is(name, "predicted_n") ? Key::predicted_n : Key::other;
        default:
            return Key::other;
    }
}

Key find_key(Place place, std::string_view name) {
    switch (place) {
        case Place::root:
            return root_key(name);
        case Place::choice:
            return choice_key(name);
        case Place::delta:
        case Place::piece:
            return delta_key(name);
        case Place::part:
            return part_key(name);
        case Place::usage:
            return usage_key(name);
        case Place::item:
            return is(name, "content") ? Key::content : Key::other;
        case Place::details:
            return is(name, "cached_tokens") ? Key::cached_tokens : Key::other;
        case Place::timings:
            return timings_key(name);
        default:
            return Key::other;
    }
}

// The place inside a container that stands at `key` in `place`.
Place place_inside(Place place, Key key, bool is_object) {
    switch (place) {
        case Place::root:
            if (key == Key::choices && !is_object) return Place::choices;
            if (key == Key::content && !is_object) return Place::blocks;
            if (key == Key::output && !is_object) return Place::output;
            if (!is_object) return Place::nowhere;
            if (key == Key::usage) return Place::usage;
            if (key == Key::timings) return Place::timings;
            if (key == Key::delta || key == Key::message || key == Key::response) {
                return Place::delta;
            }
            return key == Key::part ? Place::part : Place::nowhere;
        case Place::choices:
            return is_object ? Place::choice : Place::nowhere;
        case Place::choice:
            return key == Key::delta && is_object ? Place::piece : Place::nowhere;
        case Place::piece:
            if (key == Key::usage && is_object) return Place::usage;
            return key == Key::tool_calls && !is_object ? Place::tool_calls : Place::unknown;
        case Place::delta:
            if (key == Key::usage && is_object) return Place::usage;
            return key == Key::tool_calls && !is_object ? Place::tool_calls : Place::nowhere;
        case Place::blocks:
            return is_object ? Place::delta : Place::nowhere;
        case Place::output:
            return is_object ? Place::item : Place::nowhere;
        case Place::item:
            return key == Key::content && !is_object ? Place::blocks : Place::nowhere;
        case Place::usage:
            return key == Key::details && is_object ? Place::details : Place::nowhere;
        default:
            return Place::nowhere;
    }
}

// Whether every event of an OpenAI stream may have this key, also one with nothing but usage.
bool belongs_to_frame(Key key) {
    return key == Key::frame || key == Key::object || key == Key::choices || key == Key::usage ||
           key == Key::timings;
}

// Whether an event of that type only says that an answer, or a part of one, begins.
bool only_begins(std::string_view type) {
    using namespace std::string_view_literals;
    static constexpr std::array types{"message_start"sv,
                                      "content_block_start"sv,
                                      "ping"sv,
                                      "response.created"sv,
                                      "response.queued"sv,
                                      "response.in_progress"sv,
                                      "response.output_item.added"sv,
                                      "response.content_part.added"sv,
                                      "response.reasoning_summary_part.added"sv};
    return std::find(types.begin(), types.end(), type) != types.end();
}

// Whether the begin of a part of that type is of no use without what it says. Of a tool's call the
// name is.
bool only_frames(std::string_view type) {
    return is(type, "text") || is(type, "thinking") || is(type, "message") || is(type, "reasoning");
}

}  // namespace

void AnswerFacts::classify(std::string_view type) {
    using namespace std::string_view_literals;
    static constexpr std::array last_types{
        "message_stop"sv,         "response.completed"sv,        "response.incomplete"sv,
        "response.failed"sv,      "transcript.text.done"sv,      "speech.audio.done"sv,
        "image_edit.completed"sv, "image_generation.completed"sv};
    if (type == "content_block_delta" || type.ends_with(".delta")) {
        content = true;
        return;
    }
    if (type == "error" || type == "response.failed") error = true;
    if (std::find(last_types.begin(), last_types.end(), type) != last_types.end()) {
        last = true;
        finished = true;
    }
    speaks |= type.ends_with(".partial_image");
    notable |= !only_begins(type);
}

// Any value at all has come; `depth` is that of the container it stands in.
void AnswerHandler::take_any(int depth, Key key) {
    if (depth == 1) facts_.carries_other |= !belongs_to_frame(key);
    if (places_[depth] == Place::choices) facts_.choices_empty = false;
}

const char* AnswerHandler::on_key(int depth, const JsonText& key) {
    if (!is_of_interest(depth)) return nullptr;
    key_ = key.truncated ? Key::other : find_key(places_[depth], key.text);
    return nullptr;
}

const char* AnswerHandler::on_string(int depth, const JsonText& string) {
    if (!is_of_interest(depth)) return nullptr;
    take_any(depth, key_);
    if (string.text.empty()) return nullptr;
    switch (key_) {
        case Key::content:
            if (places_[depth] == Place::part) {
                facts_.speaks = true;
                break;
            }
            [[fallthrough]];
        // Ollama's generated text; Responses' and Anthropic's pieces are told by their type.
        case Key::response:
            facts_.content = true;
            facts_.content_bytes += string.span.end - string.span.begin - quotes;
            break;
        // Responses' piece of text stands in the event itself.
        case Key::delta:
            facts_.content_bytes += string.span.end - string.span.begin - quotes;
            break;
        case Key::type:
            facts_.classify(string.text);
            break;
        case Key::other:
            facts_.speaks |= places_[depth] == Place::unknown || places_[depth] == Place::piece;
            break;
        case Key::part_type:
            facts_.speaks |= !only_frames(string.text);
            break;
        case Key::object:
            facts_.error |= string.text == "error";
            break;
        case Key::error:
            facts_.error = true;
            break;
        case Key::finish_reason:
            facts_.finished = true;
            break;
        default:
            break;
    }
    return nullptr;
}

const char* AnswerHandler::on_number(int depth, const JsonNumber& number) {
    if (!is_of_interest(depth)) return nullptr;
    take_any(depth, key_);
    if (key_ >= Key::prompt_tokens && number.count && *number.count <= tokens_max) {
        counts_.set(key_, *number.count);
    } else if (key_ == Key::index && number.count) {
        choice_bit_ = std::uint32_t{1} << std::min(*number.count, Choices::index_max);
    } else if (key_ == Key::error) {
        facts_.error = true;
    } else if (key_ == Key::sequence && number.count && *number.count < EventFacts::unnumbered) {
        facts_.number = static_cast<std::uint32_t>(*number.count);
    }
    return nullptr;
}

const char* AnswerHandler::on_literal(int depth, JsonLiteral literal, Span) {
    if (!is_of_interest(depth)) return nullptr;
    // A null says nothing, but an array that holds one is not empty.
    take_any(depth, literal == JsonLiteral::null ? Key::frame : key_);
    if (literal != JsonLiteral::true_) return nullptr;
    if (key_ == Key::done) {
        facts_.last = true;
        facts_.finished = true;
    } else if (key_ == Key::error) {
        facts_.error = true;
    }
    return nullptr;
}

const char* AnswerHandler::on_open(int depth, bool is_object, std::size_t) {
    const Key key = key_;
    key_ = Key::other;
    if (depth == 1) {
        places_[1] = is_object ? Place::root : Place::nowhere;
        return nullptr;
    }
    if (depth <= depth_max) places_[depth] = Place::nowhere;
    if (!is_of_interest(depth - 1)) return nullptr;
    const Place outer = places_[depth - 1];
    take_any(depth - 1, key);

    facts_.error |= key == Key::error;
    facts_.notable |= key == Key::progress;
    facts_.speaks |= outer == Place::unknown;
    facts_.content |= outer == Place::tool_calls || (key == Key::tool_call && is_object);
    const Place inner = place_inside(outer, key, is_object);
    if (depth == 2) {
        in_message_ = key == Key::message;
        facts_.usage_at_root |= inner == Place::usage;
        facts_.choices_empty |= inner == Place::choices;
    }
    if (inner == Place::choice && facts_.choices.named != 0) [[unlikely]]
        begin_further_choice();
    if (depth <= depth_max) places_[depth] = inner;
    return nullptr;
}

// Behind another one: what that said is kept apart.
[[gnu::cold]] void AnswerHandler::begin_further_choice() {
    content_before_ |= std::exchange(facts_.content, false);
    finished_before_ |= std::exchange(facts_.finished, false);
}

// Its index may stand behind what it says.
void AnswerHandler::end_choice() {
    facts_.choices.named |= choice_bit_;
    facts_.choices.said |= facts_.content ? choice_bit_ : 0;
    facts_.choices.ended |= facts_.finished ? choice_bit_ : 0;
    facts_.content |= content_before_;
    facts_.finished |= finished_before_;
    choice_bit_ = 1;
}

const char* AnswerHandler::on_close(int depth, std::size_t) {
    key_ = Key::other;
    if (depth > depth_max) return nullptr;
    if (places_[depth] == Place::choice) {
        end_choice();
    } else if (places_[depth] == Place::usage) {
        counts_.usage_whole = true;
        counts_.preliminary = depth > 2 && in_message_;
    } else if (places_[depth] == Place::timings) {
        counts_.timings_whole = true;
    }
    counts_.answer_whole |= depth == 1;
    return nullptr;
}

}  // namespace sluice::llm
