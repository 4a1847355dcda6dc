// Shapes: what the answer to a job looks like on the wire, for each endpoint and server.
//
// A stream is rendered once into frames, and a token then costs three copies. Sources: recordings
// of llama-server; the documentation of OpenAI, Anthropic, Ollama and vLLM for theirs.
#pragma once

#include "job.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::model_sim {

// The events of one choice of a stream, but for the tokens' text.
struct Frame {
    std::string opening;  // events before the first token
    std::string prefix;   // of each token's event
    std::string suffix;
    // When not empty, a running number and this follow the suffix.
    std::string counted_tail;
    std::uint64_t count_from = 0;
};

// The events behind the last token.
struct Closing {
    std::vector<std::string> chunks;  // each one HTTP chunk
    std::string last;                 // the event that says that the stream is complete, if any
    bool last_apart = true;           // in a chunk of its own
};

struct Shape {
    std::string_view stream_type;  // Content-Type of a stream
    bool opening_apart;            // the opening is a chunk of its own
    Frame (*frame)(const Job& job, std::uint32_t choice);
    Closing (*closing)(const Job& job, const Totals& totals);
    std::string (*body)(const Job& job, const Totals& totals);  // of an answer without a stream
    std::string (*error_event)(const Job& job);                 // ends a broken stream
};

Shape shape_of(const Job& job);

// --- for the shapes themselves ---

// Where a token's text goes in an event that is rendered with it.
inline constexpr char text_mark = '\x01';
// Cuts an event at its mark into the prefix and suffix of a frame.
void split_at_mark(Frame& frame, std::string_view event);
// The whole text of a choice, as the inside of a JSON string.
std::string whole_text(const Job& job, std::uint32_t choice);
// llama-server's `"timings":{...}`.
std::string timings(const Job& job, const Totals& totals);

Shape chat_shape(Api api);
Shape completions_shape();
Shape responses_shape();
Shape messages_shape();
Shape native_shape();
Shape ollama_shape();
Shape document_shape();

}  // namespace sluice::model_sim
