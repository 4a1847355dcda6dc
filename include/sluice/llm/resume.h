// ResumeJournal: what a chat stream has told its client so far, so that another backend can go on
// with it when its own one dies; and the reason where that could not be done faithfully.
//
// Pure. It is fed with the data of each event of a stream of OpenAI's chat.completion.chunk, before
// the event is passed on, and keeps the text, the ids and the tokens that were counted. Other
// dialects are not resumed. An event costs one pass over its data, and nothing is allocated but
// the growing text, up to limits::resumable_text_bytes_max.
//
// Faithful means: the client reads what one backend could have said from begin to end. Where that
// is in doubt the answer is no, and the stream ends with an error instead (see ResumeObstacle).
//
//     ResumeJournal journal;                      // with the first backend's stream
//     journal.take(event.data);                   // each event
//     ... the backend dies ...
//     if (journal.obstacle() == none) plan_resume(body, journal, style)     // resume_request.h
//     ResumedStream second(journal);              // resumed_stream.h; it feeds the journal itself
#pragma once

#include "sluice/base/limits.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::llm {

// Why a stream cannot go on elsewhere.
enum class ResumeObstacle : std::uint8_t {
    none,
    // --- the stream ---
    finished,         // the answer was complete; only its end was missing
    malformed,        // an event that is not a chunk, or text that is not UTF-8
    tool_call,        // part of a tool call was sent; no server continues one
    function_call,    // the same in its older form
    reasoning,        // the reasoning was not complete
    reasoning_tags,   // reasoning within the text, which servers cut out of a prefill
    logprobs,         // token probabilities, which a prefill has none of
    choices,          // several choices
    audio,            // speech
    refusal,          // a refusal, which is not the answer's text
    unknown_content,  // a part that this gateway does not know
    half_character,   // the text ends inside of a character
    text_too_long,    // more than limits::resumable_text_bytes_max
    // --- the request (see resume_request.h) ---
    not_a_chat,    // not streamed, or its messages cannot be found for sure
    constrained,   // a grammar, a JSON schema or a tool that must be called
    option,        // an option of the request that does not allow it
    last_message,  // the last message is an assistant's, and the text cannot be put behind it
    // --- the backend that should go on ---
    unsupported,     // it is not known to continue an assistant's message
    trailing_space,  // the text ends in white space, which its chat templates may cut off
    reasoning_lost,  // the answer was reasoned about, and it cannot be told that reasoning
    reasoned_anew,   // it began to reason instead of going on
    repeated,        // it may have repeated the text: too short to tell
};

// The same in words, for the log and for the error that ends the stream: "because ...".
std::string_view describe(ResumeObstacle obstacle);

class ResumeJournal {
public:
    // One event's data, before it is passed on to the client; also "[DONE]". Not for comments, nor
    // for an error event, which must not be passed on if the stream is to be resumed.
    void take(std::string_view data);

    // Whether, as far as this stream tells, another backend can go on; `none` when it can.
    ResumeObstacle obstacle() const;

    // What the first event said, as the JSON text that stands there; empty where it said nothing.
    std::string_view id() const { return id_; }
    std::string_view created() const { return created_; }
    std::string_view model() const { return model_; }
    std::string_view system_fingerprint() const { return system_fingerprint_; }

    // Decoded.
    const std::string& text() const { return text_; }
    const std::string& reasoning() const { return reasoning_; }

    bool role_sent() const { return role_sent_; }
    bool finish_sent() const { return finished_; }
    bool usage_sent() const { return usage_sent_; }
    // Tokens that the client got: what the stream told of them, else its events with content, which
    // are fewer where a character has several tokens.
    std::uint64_t tokens_sent() const { return tokens_ > events_ ? tokens_ : events_; }
    // Prompt tokens, where the stream told of them before its end; else 0.
    std::uint64_t prompt_tokens() const { return prompt_tokens_; }
    // Events with content or reasoning.
    std::uint64_t content_events() const { return events_; }

private:
    void set_obstacle(ResumeObstacle obstacle) {
        if (obstacle_ == ResumeObstacle::none) obstacle_ = obstacle;
    }
    void append(std::string& text, std::string_view raw);

    std::string id_;
    std::string created_;
    std::string model_;
    std::string system_fingerprint_;
    std::string text_;
    std::string reasoning_;
    std::uint64_t tokens_ = 0;
    std::uint64_t events_ = 0;
    std::uint64_t prompt_tokens_ = 0;
    std::uint16_t half_ = 0;  // a high surrogate that waits for its other half
    ResumeObstacle obstacle_ = ResumeObstacle::none;
    bool first_ = true;
    bool role_sent_ = false;
    bool finished_ = false;
    bool usage_sent_ = false;
};

// Whether the text holds the tags of reasoning, open or closed.
bool has_reasoning_tags(std::string_view text);

}  // namespace sluice::llm
