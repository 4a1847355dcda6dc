// The table of served paths: which method, dialect and body each one takes, and how it may stream.
//
// Pure and constant; find_endpoint() allocates nothing and costs one hash of the path. A path that
// is not here is not served: what steers a backend itself (/slots, /props, /models/load, LoRA) is
// left out on purpose.
#pragma once

#include "sluice/base/result.h"
#include "sluice/http/head.h"
#include "sluice/llm/errors.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::llm {

// Where the gateway finds the model's name, or what it answers by itself.
enum class EndpointKind : std::uint8_t {
    model_in_json,       // the body is a JSON object with a "model"
    model_in_multipart,  // the body is multipart/form-data with a part named "model"
    json_or_multipart,   // either; the Content-Type tells
    models_list,         // the gateway's own answer: the merged list
    model_by_id,         // the gateway's own answer: one entry; see model_id_of()
    ollama_tags,         // the gateway's own answers: what there is,
    ollama_running,      // what is loaded,
    ollama_version,      // and which API is spoken
    opaque,              // no endpoint of an API: nothing of the body is read
};

// How an answer is streamed when the request asks for it.
enum class Streaming : std::uint8_t { none, sse, ndjson };

// What an endpoint's answers cost: nothing that is counted, tokens read, or written as well.
enum class Tokens : std::uint8_t { none, read, written };

struct Endpoint {
    std::string_view path;  // exact, except for model_by_id, where it is the prefix
    http::Method method = http::Method::post;
    Dialect dialect = Dialect::openai;
    EndpointKind kind = EndpointKind::model_in_json;
    Streaming streaming = Streaming::none;
    // A request that does not say "stream" gets a stream (Ollama's own API).
    bool streams_by_default = false;
    // "stream_options": {"include_usage": true} is known here and may be put in.
    bool usage_injectable = false;
    Tokens tokens = Tokens::none;
    // Its own servers read JSON whatever the Content-Type says, and their users send none.
    bool any_type = false;
    // A path without /v1 that llama-server has so; servers of other kinds have it under /v1 only.
    bool has_version_elsewhere = false;

    // Nothing of it goes to a backend.
    bool is_own_answer() const {
        return kind == EndpointKind::models_list || kind == EndpointKind::model_by_id ||
               kind == EndpointKind::ollama_tags || kind == EndpointKind::ollama_running ||
               kind == EndpointKind::ollama_version;
    }
    // Its streams say how the generation ended; one that does not was cut.
    bool says_finish() const { return usage_injectable || dialect != Dialect::openai; }
    // HEAD goes wherever GET goes (RFC 9110 section 9.3.2).
    bool allows(http::Method asked) const;
    // The value of Allow in a 405 answer.
    std::string_view allow() const;
};

// Stands for the paths of generic routes, of which nothing is known.
inline constexpr Endpoint opaque_endpoint{.kind = EndpointKind::opaque};

// GET /v1/models and GET /v1/models/{id} as Anthropic's clients ask for them.
inline constexpr Endpoint anthropic_models{.path = "/v1/models",
                                           .method = http::Method::get,
                                           .dialect = Dialect::anthropic,
                                           .kind = EndpointKind::models_list};
inline constexpr Endpoint anthropic_model{.path = "/v1/models/",
                                          .method = http::Method::get,
                                          .dialect = Dialect::anthropic,
                                          .kind = EndpointKind::model_by_id};

// The endpoint of a path (without the query, as it was sent); null when it is not served.
const Endpoint* find_endpoint(std::string_view path);

// All that have a path of their own: all but model_by_id.
std::span<const Endpoint> endpoints();

// In whose dialect a refusal of a path is understood, also of one that is not served: everything
// under /api/ is Ollama's.
Dialect dialect_of(std::string_view path);

// The model's name in a path of a model_by_id endpoint: what stands behind the prefix, with its
// percent-escapes decoded once. It may hold '/' and ':'. An error (400) when an escape is not well
// formed, or when the name is too long or holds a control character.
Result<std::string> model_id_of(const Endpoint& endpoint, std::string_view path);

}  // namespace sluice::llm
