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
            if (is(name, "nvext")) return Key::note;  // Dynamo's
            return is(name, "model") ? Key::frame : Key::other;
        case 6:
            if (is(name, "output")) return Key::output;
            if (is(name, "x_groq")) return Key::note;
            return is(name, "object") ? Key::object : Key::other;
        case 7:
            if (is(name, "choices")) return Key::choices;
            if (is(name, "created")) return Key::frame;
            if (is(name, "timings")) return Key::timings;
            if (is(name, "message")) return Key::message;
            return is(name, "content") ? Key::content : Key::other;
        case 8:
            if (is(name, "response")) return Key::response;
            if (is(name, "provider")) return Key::note;  // OpenRouter's
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
            if (is(name, "prompt_logprobs")) return Key::note;  // vLLM's
            return is(name, "sequence_number") ? Key::sequence : Key::other;
        case 16:
            if (is(name, "tokens_evaluated")) return Key::evaluated;
            if (is(name, "prompt_token_ids")) return Key::note;  // vLLM's
            return is(name, "tokens_predicted") ? Key::predicted : Key::other;
        case 17:
            return is(name, "prompt_eval_count") ? Key::evaluated : Key::other;
        case 18:
            if (is(name, "kv_transfer_params")) return Key::note;  // vLLM's
            return is(name, "system_fingerprint") ? Key::frame : Key::other;
        case 21:
            return is(name, "prompt_filter_results") ? Key::note : Key::other;  // Azure's
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
constexpr Place place_inside(Place place, Key key, bool is_object) {
    switch (place) {
        case Place::root:
            if (key == Key::other) return Place::beside;
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

// What any value says by where it stands, null excepted.
constexpr AnswerSigns signs_of_value(Place place, Key key) {
    if (place == Place::choices) return choice_sign;
    // Every event of an OpenAI stream may have these, also one with nothing but usage.
    const bool is_frame = key == Key::frame || key == Key::object || key == Key::choices ||
                          key == Key::usage || key == Key::timings;
    return place == Place::root && !is_frame ? other_sign : 0;
}

// And one that is not empty, where nobody knows what it means: what is not known to say nothing is
// a word.
constexpr AnswerSigns signs_of_unknown(Place place, Key key) {
    if (place == Place::unknown || (place == Place::piece && key == Key::other)) return speech_sign;
    const bool beside = place == Place::beside || (place == Place::root && key == Key::other);
    return beside ? unknown_sign : 0;
}

// A string that is not empty.
constexpr AnswerSigns signs_of_text(Place place, Key key) {
    const AnswerSigns any = signs_of_value(place, key) | signs_of_unknown(place, key);
    switch (key) {
        case Key::content:
            return any | (place == Place::part ? speech_sign : content_sign);
        // Ollama's generated text; Responses' and Anthropic's pieces are told by their type.
        case Key::response:
            return any | content_sign;
        case Key::error:
            return any | error_sign;
        case Key::finish_reason:
            return any | finish_sign;
        default:
            return any;
    }
}

// A number, or true.
constexpr AnswerSigns signs_of_scalar(Place place, Key key) {
    const AnswerSigns any = signs_of_value(place, key) | signs_of_unknown(place, key);
    return any | (key == Key::error ? error_sign : 0);
}

constexpr AnswerSigns signs_of_container(Place place, Key key, bool is_object) {
    AnswerSigns signs = signs_of_value(place, key);
    if (key == Key::error) signs |= error_sign;
    if (key == Key::progress) signs |= notable_sign;
    // Empty or not: of one at the first level what is in it tells.
    if (place == Place::unknown || place == Place::beside) signs |= signs_of_unknown(place, key);
    if (place == Place::tool_calls || (key == Key::tool_call && is_object)) signs |= content_sign;
    const Place inside = place_inside(place, key, is_object);
    if (place == Place::root && inside == Place::usage) signs |= usage_sign;
    if (place == Place::root && inside == Place::choices) signs |= choices_sign;
    return signs;
}

// All of that for one place and one key, so that it takes one look.
struct alignas(16) Rule {
    AnswerSigns value = 0;  // an empty string, or false
    AnswerSigns text = 0;
    AnswerSigns scalar = 0;
    std::array<AnswerSigns, 2> container{};  // an array, an object
    std::array<Place, 2> inside{};
    bool counted = false;  // the bytes of a string are text of the answer
    bool read = false;     // what a string says matters
};

constexpr std::size_t places_max = static_cast<std::size_t>(Place::end);
constexpr std::size_t keys_max = static_cast<std::size_t>(Key::end);

constexpr Rule make_rule(Place place, Key key) {
    Rule rule;
    if (place == Place::nowhere) return rule;
    rule.value = signs_of_value(place, key);
    rule.text = signs_of_text(place, key);
    rule.scalar = signs_of_scalar(place, key);
    for (const bool is_object : {false, true}) {
        rule.container[is_object] = signs_of_container(place, key, is_object);
        rule.inside[is_object] = place_inside(place, key, is_object);
    }
    // Responses' piece of text stands in the event itself: "delta".
    rule.counted =
        (key == Key::content && place != Place::part) || key == Key::response || key == Key::delta;
    rule.read = key == Key::type || key == Key::part_type || key == Key::object;
    return rule;
}

constexpr auto rules = [] {
    std::array<std::array<Rule, keys_max>, places_max> made{};
    for (std::size_t place = 0; place < places_max; ++place) {
        for (std::size_t key = 0; key < keys_max; ++key)
            made[place][key] = make_rule(static_cast<Place>(place), static_cast<Key>(key));
    }
    return made;
}();

const Rule& rule_of(Place place, Key key) {
    return rules[static_cast<std::size_t>(place)][static_cast<std::size_t>(key)];
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
        signs |= content_sign;
        return;
    }
    if (type == "error" || type == "response.failed") signs |= error_sign;
    if (std::find(last_types.begin(), last_types.end(), type) != last_types.end())
        signs |= last_sign | finish_sign;
    if (type.ends_with(".partial_image")) signs |= speech_sign;
    if (!only_begins(type)) signs |= notable_sign;
}

const char* AnswerHandler::on_key(int depth, const JsonText& key) {
    if (!is_of_interest(depth)) return nullptr;
    key_ = key.truncated ? Key::other : find_key(places_[depth], key.text);
    return nullptr;
}

const char* AnswerHandler::on_string(int depth, const JsonText& string) {
    if (!is_of_interest(depth)) return nullptr;
    const Rule& rule = rule_of(places_[depth], key_);
    if (string.text.empty()) {
        facts_.signs |= rule.value;
        return nullptr;
    }
    facts_.signs |= rule.text;
    if (rule.counted) facts_.content_bytes += string.span.end - string.span.begin - quotes;
    if (rule.read) take_word(string.text);
    return nullptr;
}

void AnswerHandler::take_word(std::string_view word) {
    if (key_ == Key::type) return facts_.classify(word);
    if (key_ == Key::part_type && !only_frames(word)) facts_.signs |= speech_sign;
    if (key_ == Key::object && word == "error") facts_.signs |= error_sign;
}

const char* AnswerHandler::on_number(int depth, const JsonNumber& number) {
    if (!is_of_interest(depth)) return nullptr;
    facts_.signs |= rule_of(places_[depth], key_).scalar;
    if (!number.count) return nullptr;
    if (key_ >= Key::prompt_tokens) {
        if (*number.count <= tokens_max) counts_.set(key_, *number.count);
    } else if (key_ == Key::index) {
        choice_bit_ = std::uint32_t{1} << std::min(*number.count, Choices::index_max);
    } else if (key_ == Key::sequence && *number.count < EventFacts::unnumbered) {
        facts_.number = static_cast<std::uint32_t>(*number.count);
    }
    return nullptr;
}

const char* AnswerHandler::on_literal(int depth, JsonLiteral literal, Span) {
    if (!is_of_interest(depth)) return nullptr;
    if (literal == JsonLiteral::null) {
        // It says nothing, but an array that holds one is not empty.
        facts_.signs |= rule_of(places_[depth], Key::frame).value;
        return nullptr;
    }
    const Rule& rule = rule_of(places_[depth], key_);
    facts_.signs |= literal == JsonLiteral::true_ ? rule.scalar : rule.value;
    if (literal == JsonLiteral::true_ && key_ == Key::done) facts_.signs |= last_sign | finish_sign;
    return nullptr;
}

const char* AnswerHandler::on_open(int depth, bool is_object, std::size_t) {
    const Key key = key_;
    key_ = Key::other;
    if (depth == 1) {
        places_[1] = is_object ? Place::root : Place::nowhere;
        return nullptr;
    }
    if (depth - 1 > depth_max) return nullptr;
    const Rule& rule = rule_of(places_[depth - 1], key);
    facts_.signs |= rule.container[is_object];
    if (depth == 2) in_message_ = key == Key::message;
    const Place inside = rule.inside[is_object];
    if (inside == Place::choice && facts_.choices.named != 0) [[unlikely]]
        begin_further_choice();
    if (depth <= depth_max) places_[depth] = inside;
    return nullptr;
}

constexpr AnswerSigns signs_of_choice = content_sign | finish_sign;

// Behind another one: what that said is kept apart.
[[gnu::cold]] void AnswerHandler::begin_further_choice() {
    before_ |= facts_.signs & signs_of_choice;
    facts_.signs &= ~signs_of_choice;
}

// Its index may stand behind what it says.
void AnswerHandler::end_choice() {
    facts_.choices.named |= choice_bit_;
    facts_.choices.said |= facts_.has(content_sign) ? choice_bit_ : 0;
    facts_.choices.ended |= facts_.has(finish_sign) ? choice_bit_ : 0;
    facts_.signs |= before_;
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
