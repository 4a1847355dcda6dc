// Token usage of an answer, read in place from the shapes that model servers send.
//
// Sources, in this order: OpenAI `usage` (prompt_tokens, completion_tokens,
// prompt_tokens_details.cached_tokens), Responses `usage` (input_tokens, output_tokens, also inside
// `response`), Anthropic `usage` (input_tokens without the cached ones, cache_read_input_tokens,
// output_tokens; message_start then message_delta), llama-server `timings` (cache_n, prompt_n,
// predicted_n), Ollama (prompt_eval_count, eval_count), llama-server's native `tokens_evaluated`,
// `tokens_predicted`, `tokens_cached`.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::llm {

struct Usage {
    std::uint64_t prompt = 0;      // tokens read, cached ones included
    std::uint64_t completion = 0;  // tokens written
    std::uint64_t cached = 0;      // of `prompt`, served from the backend's prompt cache
    bool known = false;            // the backend told; else nothing here may be trusted
};

// What one event of a stream means to the gateway.
struct EventFacts {
    bool done = false;          // the dialect's last event: [DONE], message_stop, response.completed
    bool error = false;         // an error object
    bool finished = false;      // a choice has its finish_reason / stop_reason
    bool content = false;       // carries generated text, reasoning or a tool call piece
    bool usage_only = false;    // OpenAI's extra event: "choices":[] with usage and nothing else to say
};

// Reads one SSE event's data (or one line of NDJSON, or one native event). Merges usage into
// `usage`: a later report replaces an earlier one, except that with several choices the largest
// prompt count stays and completion counts of usage-only events are kept as the server sent them.
// `name` is the SSE event name, empty where there is none. Costs one pass of memchr/memmem over
// the data, more only when a key of interest is there.
EventFacts read_event(std::string_view name, std::string_view data, Usage& usage);

}  // namespace sluice::llm
