// Job: one piece of model work that a request asked for, with all that its answer needs to know.
#pragma once

#include "options.h"
#include "script.h"
#include "text.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::model_sim {

inline constexpr std::string_view json_type = "application/json; charset=utf-8";

// An answer that is known at once, or whose body is.
struct Document {
    int status = 200;
    std::string_view content_type = json_type;
    std::string body;
    std::string_view fields = {};  // further field lines, each with its CRLF
};

// The shape that a request is answered in.
enum class Kind : std::uint8_t {
    chat,             // /v1/chat/completions
    completions,      // /v1/completions
    responses,        // /v1/responses
    messages,         // /v1/messages, Anthropic's
    native,           // /completion and /infill, llama-server's own
    ollama_chat,      // /api/chat
    ollama_generate,  // /api/generate
    document,         // embeddings, rerank and the like: `document` is the answer
};

struct Job {
    Kind kind = Kind::chat;
    Api api = Api::llama;
    bool stream = false;
    bool include_usage = false;
    std::string model;            // as the answer names it, the inside of a JSON string
    std::string id;               // without the prefix that a shape gives it
    std::int64_t created_us = 0;  // since 1970
    std::uint32_t choices = 1;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t cached_tokens = 0;  // of them
    std::uint64_t first = 0;          // token that comes first: the request began the text
    std::uint64_t tokens = 0;         // of each choice
    bool cut = false;                 // by the request's max_tokens
    Text text;
    Script script;
    Document document;

    std::int64_t created() const { return created_us / 1'000'000; }
};

// What is known at the end of a job.
struct Totals {
    std::uint64_t tokens = 0;  // of each choice
    Duration prompt;           // until the first token
    Duration predicted;        // from the first token to the last
};

}  // namespace sluice::model_sim
