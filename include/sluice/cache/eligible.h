// eligible(): may a request join an equal one that runs, and may its answer come from the cache?
//
// Pure. In two steps, so that a body is read only where that can lead to something: by the
// settings of the model, the endpoint and the head; then by the body, as KeyMaker has read it.
//
// A model shares the answers of deterministic requests (`auto`), of all (`always`), or of none
// (`never`), and says so for joining and for the cache each. `always` stands for nothing but the
// determinism; whatever else bypasses does so with it, too:
//
//   request                                          joins    cache
//   temperature 0, or a seed                         auto     auto
//   embeddings, rerank, score, classify, pooling,
//     tokenize, detokenize, counting tokens          auto     auto
//   any other chat, completion, message, response    always   always
//   streamed, or not                                 yes      yes: one answers the other
//   tools of the client, tool calls and results      yes      yes: the ids of calls are repeated
//   images, recordings, documents in the body        yes      yes: an address is no more than
//   itself logprobs                                         yes      yes: a key of its own n,
//   best_of, n_cmpl above 1                       bypass   bypass (several_choices) store: true,
//   background, previous_response_id,
//     conversation, prompt by its id, container,
//     kv_transfer_params, Ollama's load and unload   bypass   bypass (stateful)
//   web search and other tools of the server, MCP    bypass   bypass (server_tools)
//   speech, images, uploads, moderations, /api/show  bypass   bypass (endpoint)
//   body that parsers may read differently, that is
//     too large or no JSON                           bypass   bypass (its own causes)
//   Cache-Control: no-store                          bypass   bypass (no_store)
//   Cache-Control: no-cache                          bypass   kept, not read (no_cache)
#pragma once

#include "sluice/cache/bypass.h"
#include "sluice/cache/directives.h"
#include "sluice/http/head.h"
#include "sluice/llm/endpoints.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::cache {

enum class Sharing : std::uint8_t { automatic, always, never };

struct SharingSettings {
    Sharing join = Sharing::never;
    Sharing cache = Sharing::never;
};

// `none` where it may, else why not.
struct Eligible {
    Bypass join = Bypass::off;
    Bypass cache = Bypass::off;

    // Neither: then the body need not be read.
    bool is_over() const { return join != Bypass::none && cache != Bypass::none; }
    // Of one that bypasses both, for the log: the cache's cause, unless it is off and the other
    // not.
    Bypass cause() const { return cache != Bypass::off ? cache : join; }
    bool operator==(const Eligible&) const = default;
};

Eligible eligible(SharingSettings settings, const llm::Endpoint& endpoint,
                  const Directives& directives);

// `body`, `deterministic`: what KeyMaker says of it.
Eligible eligible(Eligible so_far, SharingSettings settings, Bypass body, bool deterministic);

// What of the lines that go to the backend, each with its CRLF, changes its answer, for
// KeyParts::fields: each such field
// as its name in small letters, ':', its value and a line's end, in the order of the head. Empty
// (and nothing is allocated) where there is none. They are
//   anthropic-*   the version, betas; but not anthropic-dangerous-direct-browser-access, which is
//                 about where the client runs;
//   openai-*      betas, organisation, project: another account has other models and rights;
//   x-portkey-*, helicone-*, x-litellm-*    how another gateway behind this one routes and shapes.
// The client's credentials, where they go on to the backend, are KeyParts::credentials.
std::string fields_of_key(std::string_view lines);

}  // namespace sluice::cache
