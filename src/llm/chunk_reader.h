// Reads one event of a chat stream in OpenAI's form (a chat.completion.chunk) for resuming: where
// its parts stand, and what in it another backend could not go on with.
//
// Internal. One pass over the data, no allocation. Strings are handed on as they stand there.
#pragma once

#include "sluice/llm/body_reader.h"
#include "sluice/llm/resume.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::llm {

// A count in a report, and its place.
struct ChunkCount {
    std::optional<std::uint64_t> value;
    Span span;
};

// All spans are empty where there is nothing. Those of strings include the quotes.
struct ChunkFacts {
    bool well_formed = false;  // one whole JSON object, whose keys can be told apart
    bool error = false;        // it has an "error"
    ResumeObstacle obstacle = ResumeObstacle::none;  // the first thing that stands in the way

    Span id;
    Span created;
    Span model;
    Span system_fingerprint;

    bool has_choice = false;
    bool finished = false;      // the choice has its finish_reason
    bool delta_speaks = false;  // something besides the role, the content and what says nothing
    Span role_key;
    Span role;
    Span content;    // a string
    Span reasoning;  // a string that is not empty

    bool usage = false;  // an object
    ChunkCount prompt_tokens;
    ChunkCount completion_tokens;
    ChunkCount total_tokens;
    ChunkCount cached_tokens;
    ChunkCount predicted_n;  // llama-server's timings
};

ChunkFacts read_chunk_for_resume(std::string_view data);

}  // namespace sluice::llm
