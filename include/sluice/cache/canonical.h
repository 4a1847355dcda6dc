// CanonicalRequest: a request body as the cache sees it, and whether its answer may be shared.
//
// Pure. On top of llm::CanonicalJson (which says when two JSON texts are the same), it knows what
// the members of a request mean:
//
// Left out, because they change how the answer is framed and not what it is: "stream" (true, false
// or null) where the endpoint streams, "stream_options" (an object or null) of chat completions,
// completions and responses. A stream can answer a request for a document and the other way round;
// whoever gives the answer looks at the body again for whether its usage is to be shown.
//
// Left out, because they say the default: the table in canonical.cc, with its sources. It is small
// on purpose. That a member may be null does not make null its default: vLLM takes "max_tokens":
// null of /v1/completions for no bound where an absent one is 16, "parallel_tool_calls": null for
// false where an absent one is true, "tool_choice": null for none. And a default that a server is
// started with (temperature, top_p, penalties: llama-server, vLLM's generation config, Ollama's
// Modelfile) is nobody's to know. When it is not certain the requests are different.
//
// What bypasses, besides a body that has no canonical form:
// - endpoints whose answer is not a function of the body (/api/show) or no text (speech, images,
//   uploads), and moderations, which are nobody's to keep;
// - several choices: "n", "best_of" or "n_cmpl" that is anything but 1 or null. Who asks for many
//   wants them to differ;
// - what depends on, or changes, what the server keeps: "previous_response_id", "conversation",
//   "prompt" and "background": true of responses, "store": true of responses and chat completions
//   (one more that is kept is what was asked for; where it is not said the server keeps what it
//   likes, and the id of an answer from the cache names what was kept then), "container" of
//   messages, vLLM's "kv_transfer_params"; Ollama's requests that load or unload (no prompt,
//   "keep_alive": 0);
// - tools that the server runs itself: a web search finds something else tomorrow, and a call of
//   another service may do something. They are all types of tools but those that clients run, and
//   "web_search_options", "plugins", "mcp_servers".
// Tools that the client runs, tool calls and their results, images, recordings and "logprobs" in
// the body bypass nothing: they are bytes of the key; an image by its address is the address.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/cache/bypass.h"
#include "sluice/llm/canonical_json.h"
#include "sluice/llm/endpoints.h"

#include <cstddef>
#include <string_view>

namespace sluice::cache {

// Whether the answers of an endpoint may be shared at all; else each of its requests bypasses.
bool is_shareable(const llm::Endpoint& endpoint);

class CanonicalRequest {
public:
    explicit CanonicalRequest(llm::JsonBounds bounds = {}) : json_(bounds) {}

    std::size_t bytes_max() const { return json_.bounds().bytes_max; }
    std::size_t scratch_bytes() const { return json_.scratch_bytes(); }
    // Forgets the body, too.
    void release() {
        json_.release();
        endpoint_ = nullptr;
    }

    // `body` must stay until write() is done. Where this is not `none` nothing else may be called.
    Bypass read(const llm::Endpoint& endpoint, std::string_view body);

    // Whether the same request gets the same answer, as far as it says so itself ("auto"): its
    // temperature is exactly 0, or a seed is given, or the endpoint only reads (embeddings, rerank,
    // score, classify, pooling, tokenize, detokenize, apply-template, counting tokens). Of Ollama's
    // API the temperature and the seed are those in "options". A negative seed asks for a random
    // one (vLLM, Ollama), and so does 4294967295 (llama-server's LLAMA_DEFAULT_SEED); larger ones
    // may, where only their low 32 bits are taken.
    bool deterministic() const { return deterministic_; }

    // The canonical form without what is left out, and without the member `without`.
    void write(llm::RunWriter& out, std::string_view without = {}) const;

    const llm::Endpoint& endpoint() const {
        SLUICE_ASSERT(endpoint_ != nullptr);
        return *endpoint_;
    }
    const llm::CanonicalJson& json() const { return json_; }

private:
    llm::CanonicalJson json_;
    const llm::Endpoint* endpoint_ = nullptr;
    bool deterministic_ = false;
};

}  // namespace sluice::cache
