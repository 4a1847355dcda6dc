#include "sluice/llm/endpoints.h"

#include "sluice/base/limits.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;
using http::Method;

TEST_CASE("the JSON endpoints are served by POST only") {
    for (const std::string path : {
             "/v1/chat/completions",
             "/v1/completions",
             "/v1/embeddings",
             "/v1/rerank",
             "/v1/reranking",
             "/rerank",
             "/reranking",
             "/v1/responses",
             "/v1/messages",
             "/v1/messages/count_tokens",
             "/v1/audio/speech",
             "/v1/images/generations",
             "/v1/moderations",
             "/completion",
             "/completions",
             "/chat/completions",
             "/embedding",
             "/embeddings",
             "/infill",
             "/tokenize",
             "/detokenize",
             "/apply-template",
             "/v1/chat/completions/input_tokens",
             "/api/chat",
             "/api/generate",
             "/api/embed",
             "/api/embeddings",
             "/api/show",
         }) {
        CAPTURE(path);
        const Endpoint* endpoint = find_endpoint(path);
        REQUIRE(endpoint != nullptr);
        CHECK(endpoint->path == path);
        CHECK(endpoint->kind == EndpointKind::model_in_json);
        CHECK(endpoint->allows(Method::post));
        CHECK_FALSE(endpoint->allows(Method::get));
        CHECK_FALSE(endpoint->allows(Method::put));
        CHECK(endpoint->allow() == "POST");
    }
}

TEST_CASE("uploads name their model in a part") {
    for (const std::string path :
         {"/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/variations"}) {
        CAPTURE(path);
        REQUIRE(find_endpoint(path) != nullptr);
        CHECK(find_endpoint(path)->kind == EndpointKind::model_in_multipart);
    }
    CHECK(find_endpoint("/v1/images/edits")->kind == EndpointKind::json_or_multipart);
}

TEST_CASE("C7: endpoints of vLLM, and those of base URLs without /v1") {
    for (const std::string path :
         {"/responses", "/audio/speech", "/score", "/v1/score", "/classify", "/pooling",
          "/v1/tokenize", "/v1/detokenize", "/v2/rerank"}) {
        CAPTURE(path);
        const Endpoint* endpoint = find_endpoint(path);
        REQUIRE(endpoint != nullptr);
        CHECK(endpoint->kind == EndpointKind::model_in_json);
        CHECK(endpoint->allow() == "POST");
    }
    for (const std::string path :
         {"/responses", "/audio/speech", "/audio/transcriptions", "/audio/translations"}) {
        CAPTURE(path);
        const Endpoint* bare = find_endpoint(path);
        const Endpoint* versioned = find_endpoint("/v1" + path);
        REQUIRE(bare != nullptr);
        CHECK(bare->dialect == versioned->dialect);
        CHECK(bare->kind == versioned->kind);
        CHECK(bare->streaming == versioned->streaming);
    }
}

TEST_CASE("the lists of models are read by GET and HEAD") {
    for (const std::string path : {"/v1/models", "/models"}) {
        const Endpoint* endpoint = find_endpoint(path);
        REQUIRE(endpoint != nullptr);
        CHECK(endpoint->kind == EndpointKind::models_list);
        CHECK(endpoint->allows(Method::get));
        CHECK(endpoint->allows(Method::head));
        CHECK_FALSE(endpoint->allows(Method::post));
        CHECK(endpoint->allow() == "GET, HEAD");
    }
}

TEST_CASE("one model is found by its id, whatever that holds") {
    const auto id = [](const std::string& path) {
        const Endpoint* endpoint = find_endpoint(path);
        REQUIRE(endpoint != nullptr);
        REQUIRE(endpoint->kind == EndpointKind::model_by_id);
        Result<std::string> name = model_id_of(*endpoint, path);
        return name.ok() ? name.value() : "error " + std::to_string(name.error().status);
    };
    CHECK(id("/v1/models/qwen") == "qwen");
    CHECK(id("/v1/models/org/name:7b-q4") == "org/name:7b-q4");
    CHECK(id("/v1/models/org%2Fname%3a7b%20x") == "org/name:7b x");
    CHECK(id("/v1/models/a%252Fb") == "a%2Fb");
    CHECK(id("/v1/models/%E6%9D%B1") == "\xE6\x9D\xB1");
    for (const std::string bad : {"%", "%4", "%4g", "a%", "%00", "%0a", "%7f", "%ff", "%c3"}) {
        CAPTURE(bad);
        CHECK(id("/v1/models/" + bad) == "error 400");
    }
    CHECK(id("/v1/models/" + std::string(limits::model_name_bytes_max, 'x')).size() ==
          limits::model_name_bytes_max);
    CHECK(id("/v1/models/" + std::string(limits::model_name_bytes_max + 1, 'x')) == "error 400");
}

TEST_CASE("fault 163: what steers a backend is not served") {
    for (const std::string path : {
             "/slots",
             "/slots/0",
             "/props",
             "/metrics",
             "/models/load",
             "/models/unload",
             "/models/sse",
             "/lora-adapters",
             "/v1/stream",
             "/health",
             "/api/pull",
             "/api/delete",
             "/api/create",
             "/api/copy",
             "/api/push",
             "/api/tags/x",
             "/api/blobs/x",
             "/v1/chat/completions/control",
             "/sleep",
             "/wake_up",
             "/cors-proxy",
             "/tools",
             "/v1/load_lora_adapter",
             "/admin",
             "/v1/files",
             "/v1/fine_tuning/jobs",
         }) {
        CAPTURE(path);
        CHECK(find_endpoint(path) == nullptr);
    }
}

TEST_CASE("fault 162: only the exact path is served") {
    for (const std::string path : {
             "",
             "/",
             "/v1",
             "/v1/",
             "v1/models",
             "/v1/models/",
             "//v1/models",
             "/v1//models",
             "/V1/models",
             "/v1/Models",
             "/v1/models%2f",
             "/v1/chat/completions/",
             "/v1/chat/completion",
             "/v1/chat/completionss",
             "/v1/chat/completions?x",
             "/v1/chat/completions;x",
             "/v1/../v1/chat/completions",
             "/v1/chat/completions%00",
         }) {
        CAPTURE(path);
        CHECK(find_endpoint(path) == nullptr);
    }
    CHECK(find_endpoint(std::string(100'000, '/')) == nullptr);
}

TEST_CASE("dialects, streams and usage by endpoint") {
    const auto at = [](const char* path) { return *find_endpoint(path); };
    CHECK(at("/v1/chat/completions").dialect == Dialect::openai);
    CHECK(at("/v1/responses").dialect == Dialect::responses);
    CHECK(at("/v1/messages").dialect == Dialect::anthropic);
    CHECK(at("/v1/messages/count_tokens").dialect == Dialect::anthropic);
    CHECK(at("/completion").dialect == Dialect::llama_native);
    CHECK(at("/api/chat").dialect == Dialect::ollama);

    CHECK(at("/v1/chat/completions").usage_injectable);
    CHECK(at("/v1/completions").usage_injectable);
    CHECK(at("/chat/completions").usage_injectable);
    for (const char* path : {"/v1/responses", "/v1/messages", "/completion", "/completions",
                             "/infill", "/api/chat", "/v1/embeddings"}) {
        CHECK_FALSE(at(path).usage_injectable);
    }

    CHECK(at("/v1/chat/completions").streaming == Streaming::sse);
    CHECK(at("/v1/embeddings").streaming == Streaming::none);
    CHECK(at("/api/generate").streaming == Streaming::ndjson);
    CHECK(at("/api/chat").streams_by_default);
    CHECK(at("/api/generate").streams_by_default);
    CHECK_FALSE(at("/api/embed").streams_by_default);
    CHECK_FALSE(at("/v1/chat/completions").streams_by_default);
}

TEST_CASE("R7e: whose dialect a refusal speaks follows from the path alone") {
    CHECK(dialect_of("/api/chat") == Dialect::ollama);
    for (const std::string_view path : {"/api/", "/api/nothing", "/api/chat/x", "/api/v1/messages"})
        CHECK(dialect_of(path) == Dialect::ollama);
    CHECK(dialect_of("/v1/messages") == Dialect::anthropic);
    CHECK(dialect_of("/v1/messages/batches") == Dialect::anthropic);
    CHECK(dialect_of("/v1/responses/x") == Dialect::responses);
    CHECK(dialect_of("/completion") == Dialect::llama_native);
    for (const std::string_view path : {"", "/", "/api", "/apis/x", "/v1/messagesx", "/V1/api/"})
        CHECK(dialect_of(path) == Dialect::openai);
}
