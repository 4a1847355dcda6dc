// Answer: a finished answer as it came, to be given again. Recorder: how one is put together.
//
// Pure. An answer is immutable and may be read by several deliveries at a time, also while the
// store drops it: each holds a share. Everything of variable size lies in one block of exactly the
// bytes that are needed, so that what an answer takes can be said to the byte.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/cache/key.h"
#include "sluice/llm/usage.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cache {

// What the body is: one document, a stream of server-sent events, or JSON lines (Ollama).
enum class Form : std::uint8_t { document, events, lines };

// One event or line of a stream.
struct AnswerEvent {
    std::uint32_t end = 0;  // offset in the body of the byte behind it, its empty line included
    std::uint32_t us = 0;   // when its last byte had come, in microseconds since the first byte
};

struct AnswerFacts {
    int status = 200;
    Form form = Form::document;
    std::string_view content_type;
    std::string_view model;  // the name in the gateway
    Scope scope;
    std::string_view consumer;  // who asked, whatever the scope is; may be empty
    llm::Usage usage;
    WallTime created;
};

class Answer {
    struct Private {};

public:
    // Copies what the views show. At most 4 GiB of body; events in the order of their ends.
    static std::shared_ptr<const Answer> make(const AnswerFacts& facts, std::string_view body,
                                              std::span<const AnswerEvent> events = {});
    Answer(Private, const AnswerFacts& facts, std::string_view body,
           std::span<const AnswerEvent> events);

    int status() const { return status_; }
    Form form() const { return form_; }
    std::string_view content_type() const { return content_type_; }
    std::string_view model() const { return model_; }
    Scope scope() const { return scope_; }
    std::string_view consumer() const { return consumer_; }
    std::string_view body() const { return body_; }
    std::span<const AnswerEvent> events() const { return events_; }
    const llm::Usage& usage() const { return usage_; }
    WallTime created() const { return created_; }
    // How long it took to come, from its first byte on.
    std::uint32_t took_us() const { return events_.empty() ? 0 : events_.back().us; }

    // What it takes: this object with its share counts, and the block. As asked for: what an
    // allocator adds by rounding up (mimalloc: an eighth at most) is not in it.
    std::size_t bytes() const { return bytes_of(block_bytes_); }
    // The same before there is one.
    static std::size_t bytes_of(const AnswerFacts& facts, std::size_t body_bytes,
                                std::size_t events);

private:
    static std::size_t bytes_of(std::size_t block_bytes);

    std::size_t block_bytes_;
    std::unique_ptr<char[]> block_;  // the events, then the texts; all views show into it
    std::span<const AnswerEvent> events_;
    std::string_view content_type_;
    std::string_view model_;
    std::string_view consumer_;
    std::string_view body_;
    Scope scope_;
    llm::Usage usage_;
    WallTime created_;
    int status_;
    Form form_;
};

// Collects an answer as it comes, up to a size; what is longer is given up and its memory freed.
class Recorder {
public:
    explicit Recorder(std::size_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

    // False: it was too long, now or before; nothing of it is kept.
    bool add(std::string_view run);
    // What was added since the last one is an event. `since_first`: since the first byte came.
    void end_event(Duration since_first);
    std::size_t body_bytes() const { return body_.size(); }
    bool given_up() const { return given_up_; }

    // Null where it was given up. The caller says that the answer is complete and a success.
    std::shared_ptr<const Answer> finish(const AnswerFacts& facts) const;

private:
    std::size_t body_bytes_max_;
    bool given_up_ = false;
    std::string body_;
    std::vector<AnswerEvent> events_;
};

}  // namespace sluice::cache
