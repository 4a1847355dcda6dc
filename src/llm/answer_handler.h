// AnswerHandler: what an answer, or one event of a stream, says about tokens, content and its end.
//
// Internal. A handler for JsonScanner that follows a few keys of every dialect by their place in
// the text, so that the same words inside a string or deeper down mean nothing.
#pragma once

#include "json_scanner.h"
#include "sluice/llm/usage.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::llm {

// The places in an answer whose keys mean something.
enum class AnswerPlace : std::uint8_t {
    nowhere,
    root,
    choices,     // "choices": [
    choice,      // ... {
    delta,       // "delta", "message", "response": where content stands, in several dialects
    piece,       // the same inside of a choice
    unknown,     // what servers of their own kind put there
    beside,      // the same at the root
    part,        // "content_block", "item": that an event says to begin
    blocks,      // "content": [ of Anthropic's messages, or of Responses' output
    output,      // Responses' "output": [
    item,        // ... {
    tool_calls,  // "tool_calls": [
    usage,
    details,  // "prompt_tokens_details", "input_tokens_details"
    timings,  // llama-server's
    end,
};

// The keys that mean something, each in one or several places.
enum class AnswerKey : std::uint8_t {
    other,  // anything that a client may want
    frame,  // what every event of a stream repeats: id, object, model ...
    note,   // what a client may want, but no word of an answer: prompt_filter_results ...
    // --- containers ---
    choices,
    output,
    delta,
    message,
    response,
    tool_calls,
    tool_call,  // an object: function_call, audio
    part,       // content_block, item
    usage,
    details,
    timings,
    // --- scalars ---
    content,  // text, by whatever name
    type,
    part_type,
    object,
    error,
    done,      // Ollama's `done`, llama-server's `stop`
    progress,  // llama-server's `prompt_progress`
    finish_reason,
    index,     // of a choice
    sequence,  // sequence_number, of a Responses event
    // --- counts: all from here on ---
    prompt_tokens,
    completion_tokens,
    input_tokens,
    output_tokens,
    cache_read,
    cache_creation,
    cached_tokens,
    cache_n,
    prompt_n,
    predicted_n,
    evaluated,         // Ollama's prompt_eval_count, llama-server's tokens_evaluated
    evaluated_cached,  // Ollama's
    predicted,         // Ollama's eval_count, llama-server's tokens_predicted
    end,
};

// The counts that an answer named, and how far they may be trusted.
struct AnswerCounts {
    static constexpr AnswerKey first = AnswerKey::prompt_tokens;
    static constexpr std::size_t count_max =
        static_cast<std::size_t>(AnswerKey::end) - static_cast<std::size_t>(first);

    std::array<std::uint64_t, count_max> values;  // each where `present` has its bit
    std::uint16_t present = 0;
    bool usage_whole = false;    // a "usage" object has come to its end
    bool timings_whole = false;  // a "timings" object has
    bool answer_whole = false;   // the whole answer has
    bool preliminary = false;    // the usage is that of Anthropic's message_start

    static std::size_t index(AnswerKey key) {
        return static_cast<std::size_t>(key) - static_cast<std::size_t>(first);
    }
    bool has(AnswerKey key) const { return (present >> index(key) & 1) != 0; }
    std::uint64_t get(AnswerKey key) const { return has(key) ? values[index(key)] : 0; }
    void set(AnswerKey key, std::uint64_t value) {
        values[index(key)] = value;
        present = static_cast<std::uint16_t>(present | 1u << index(key));
    }
};

// What an answer says of itself, a bit each.
using AnswerSigns = std::uint16_t;
enum AnswerSign : AnswerSigns {
    error_sign = 1 << 0,
    finish_sign = 1 << 1,
    content_sign = 1 << 2,
    last_sign = 1 << 3,     // what ends the dialect's stream
    choices_sign = 1 << 4,  // "choices": [...]
    choice_sign = 1 << 5,   // anything in it
    usage_sign = 1 << 6,    // "usage": {...} beside it
    other_sign = 1 << 7,    // anything that the frame of an event does not hold
    unknown_sign = 1 << 8,  // of that, what nobody knows and is not empty
    notable_sign = 1 << 9,  // see EventFacts
    speech_sign = 1 << 10,  // the same
};

struct AnswerFacts {
    AnswerSigns signs = 0;
    std::size_t content_bytes = 0;
    Choices choices;  // an answer without choices is one of one choice
    std::uint32_t number = EventFacts::unnumbered;

    bool has(AnswerSign sign) const { return (signs & sign) != 0; }
    bool choices_empty() const { return (signs & (choices_sign | choice_sign)) == choices_sign; }
    // It is a piece of the answer; beside `"choices": []` is also what nobody knows: citations.
    bool speaks() const {
        return (signs & (speech_sign | content_sign)) != 0 ||
               (has(unknown_sign) && choices_empty());
    }

    // What the type of an event says: its SSE name, or "type" in its data.
    void classify(std::string_view type);
};

class AnswerHandler {
public:
    static constexpr bool strict = false;
    // No key and no word that we look for is longer.
    static constexpr std::size_t text_bytes_max = 40;

    const char* on_key(int depth, const JsonText& key);
    const char* on_string(int depth, const JsonText& string);
    const char* on_number(int depth, const JsonNumber& number);
    const char* on_literal(int depth, JsonLiteral literal, Span span);
    const char* on_open(int depth, bool is_object, std::size_t begin);
    const char* on_close(int depth, std::size_t end);

    // As if the outermost object had begun, and the key of its choices had come.
    void begin_at_choices() {
        places_[1] = AnswerPlace::root;
        key_ = AnswerKey::choices;
    }

    const AnswerFacts& facts() const { return facts_; }
    // The same for the name of an event.
    void classify(std::string_view name) { facts_.classify(name); }
    const AnswerCounts& counts() const { return counts_; }

private:
    // Deeper than this nothing is of interest: choices[0].delta.tool_calls[0].
    static constexpr int depth_max = 5;

    bool is_of_interest(int depth) const {
        return depth <= depth_max && places_[depth] != AnswerPlace::nowhere;
    }
    void take_word(std::string_view word);
    void begin_further_choice();
    void end_choice();

    std::array<AnswerPlace, depth_max + 1> places_{};  // by depth
    AnswerKey key_ = AnswerKey::other;                 // of the value that comes next
    bool in_message_ = false;                          // inside the root's "message"
    AnswerSigns before_ = 0;                           // what the choices before this one said
    std::uint32_t choice_bit_ = 1;  // of the choice at hand; it is the first unless it says so
    AnswerFacts facts_;
    AnswerCounts counts_;
};

// Adds what one answer or event told to what is known so far.
void merge_usage(const AnswerCounts& counts, Usage& usage);

}  // namespace sluice::llm
