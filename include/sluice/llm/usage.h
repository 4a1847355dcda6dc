// Token usage of an answer, read in place from the shapes that model servers send.
//
// Sources, in this order: OpenAI `usage` (prompt_tokens, completion_tokens,
// prompt_tokens_details.cached_tokens), Responses `usage` (input_tokens, output_tokens, also inside
// `response`), Anthropic `usage` (input_tokens without the cached ones, cache_read_input_tokens,
// output_tokens; message_start then message_delta), llama-server `timings` (cache_n, prompt_n,
// predicted_n), Ollama (prompt_eval_count, prompt_eval_cached_count, eval_count), llama-server's
// native `tokens_evaluated`, `tokens_predicted` (its `tokens_cached` counts the generated ones in
// and is not used).
//
// A report whose counts are all zero says nothing, and a count of zero beside others is not told:
// Ollama leaves out those that it does not know. Within a stream counts only grow: of several
// reports the largest counts stay, so one that comes twice is counted once. llama-server reports
// each of `n` choices by itself, and nothing tells that from a repeated report: there the largest
// choice is counted.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::llm {

struct Usage {
    std::uint64_t prompt = 0;      // tokens read, cached ones included
    std::uint64_t completion = 0;  // tokens written
    std::uint64_t cached = 0;      // of `prompt`, served from the backend's prompt cache
    bool cached_known = false;     // the backend told that; a null or nothing is no 0
    // The backend told; else nothing here may be trusted. What Anthropic's message_start tells
    // fills the counts, but it is known only with the report at the end.
    bool known = false;
    // And of `completion`: not what message_start told, which is no more than a begin, where the
    // report at the end leaves it out.
    bool completion_known = false;
};

// The choices that an event names, a bit for each index; those past the last bit share it.
struct Choices {
    static constexpr std::uint64_t index_max = 31;

    std::uint32_t named = 0;
    std::uint32_t said = 0;   // that say something here
    std::uint32_t ended = 0;  // that have their finish reason here
};

// What one event of a stream means to the gateway.
struct EventFacts {
    // The dialect's last event: [DONE], message_stop, response.completed (.incomplete, .failed),
    // Ollama's "done": true, llama-server's "stop": true.
    bool done = false;
    bool error = false;     // an error object
    bool answers = false;   // has choices, or text of whatever dialect
    bool finished = false;  // a choice has its finish_reason / stop_reason
    bool content = false;   // carries generated text, reasoning or a tool call piece
    // It is of use to a client before the first word: it says how far the prompt is read, that a
    // tool is at work. Those that only say that an answer begins (who speaks, its id) are not.
    bool notable = false;
    // A piece of the answer, also of those that are counted nowhere: the begin of a tool's call, an
    // image, what only this kind of server says.
    bool speaks = false;
    bool usage_only =
        false;  // OpenAI's extra event: "choices":[] with usage and nothing else to say
    bool malformed = false;  // neither one whole JSON value, as far as it was checked, nor [DONE]
    // It says nothing, and no client is told of it (an empty `data:`, an `id:` alone) or none knows
    // it (a heartbeat by a name of its own): like a comment.
    bool silent = false;
    Choices choices;
    std::uint32_t content_bytes = 0;  // of the text in it, as it is written in JSON
    static constexpr std::uint32_t unnumbered = ~std::uint32_t{0};
    std::uint32_t number = unnumbered;  // its sequence_number (Responses)
};

// Whether the data is [DONE], the end of OpenAI's streams; there may be white space around it.
bool is_done_mark(std::string_view data);

// Reads one SSE event's data (or one line of NDJSON, or one native event). Merges usage into
// `usage`. `name` is the SSE event name, empty where there is none. One pass over the data, no
// allocation. Data that is not one whole JSON value means nothing but what its name says; but in an
// event that begins with its "choices" (an OpenAI chunk), only those are checked, and the frame
// around them is only searched for the few keys that matter.
EventFacts read_event(std::string_view name, std::string_view data, Usage& usage);

// Reads the last bytes of an answer that is too long to be read through: the reports that lie whole
// in them. Merges them into `usage`.
void read_tail(std::string_view tail, Usage& usage);

}  // namespace sluice::llm
