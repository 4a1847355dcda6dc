#include "sluice/llm/endpoints.h"

#include "json_text.h"
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <optional>

namespace sluice::llm {

namespace {

using enum EndpointKind;
using http::Method;

constexpr Endpoint json(std::string_view path, Dialect dialect, Streaming streaming) {
    Endpoint endpoint{
        .path = path, .dialect = dialect, .kind = model_in_json, .streaming = streaming};
    endpoint.any_type = dialect == Dialect::ollama || dialect == Dialect::llama_native;
    return endpoint;
}

constexpr Endpoint any_type(Endpoint endpoint) {
    endpoint.any_type = true;
    return endpoint;
}

constexpr Endpoint bare(Endpoint endpoint) {
    endpoint.has_version_elsewhere = true;
    return endpoint;
}

constexpr Endpoint reads(Endpoint endpoint) {
    endpoint.tokens = Tokens::read;
    return endpoint;
}

constexpr Endpoint writes(Endpoint endpoint) {
    endpoint.tokens = Tokens::written;
    return endpoint;
}

constexpr Endpoint with_usage(Endpoint endpoint) {
    endpoint.usage_injectable = true;
    return writes(endpoint);
}

constexpr Endpoint streams_unasked(std::string_view path) {
    Endpoint endpoint = json(path, Dialect::ollama, Streaming::ndjson);
    endpoint.streams_by_default = true;
    return writes(endpoint);
}

constexpr Endpoint upload(std::string_view path, EndpointKind kind, Streaming streaming) {
    return {.path = path, .kind = kind, .streaming = streaming};
}

constexpr Endpoint models(std::string_view path, EndpointKind kind) {
    return {.path = path, .method = Method::get, .kind = kind};
}

constexpr Endpoint ollamas(std::string_view path, EndpointKind kind) {
    return {.path = path, .method = Method::get, .dialect = Dialect::ollama, .kind = kind};
}

constexpr auto of_openai = Dialect::openai;
constexpr auto native = Dialect::llama_native;
constexpr auto unstreamed = Streaming::none;
constexpr auto sse = Streaming::sse;

constexpr std::array table{
    // --- OpenAI ---
    with_usage(json("/v1/chat/completions", of_openai, sse)),
    with_usage(json("/v1/completions", of_openai, sse)),
    reads(json("/v1/embeddings", of_openai, unstreamed)),
    json("/v1/moderations", of_openai, unstreamed),
    writes(json("/v1/responses", Dialect::responses, sse)),
    json("/v1/responses/input_tokens", Dialect::responses, unstreamed),
    json("/v1/audio/speech", of_openai, sse),
    upload("/v1/audio/transcriptions", model_in_multipart, sse),
    upload("/v1/audio/translations", model_in_multipart, unstreamed),
    json("/v1/images/generations", of_openai, sse),
    upload("/v1/images/edits", json_or_multipart, sse),
    upload("/v1/images/variations", model_in_multipart, unstreamed),
    // For base URLs without /v1.
    bare(writes(json("/responses", Dialect::responses, sse))),
    bare(json("/audio/speech", of_openai, sse)),
    bare(upload("/audio/transcriptions", model_in_multipart, sse)),
    bare(upload("/audio/translations", model_in_multipart, unstreamed)),
    models("/v1/models", models_list),
    models("/models", models_list),
    // --- Anthropic ---
    writes(json("/v1/messages", Dialect::anthropic, sse)),
    json("/v1/messages/count_tokens", Dialect::anthropic, unstreamed),
    // --- reranking, by the names that Jina, vLLM and llama-server use ---
    reads(json("/v1/rerank", of_openai, unstreamed)),
    reads(json("/v1/reranking", of_openai, unstreamed)),
    any_type(reads(json("/rerank", of_openai, unstreamed))),
    any_type(reads(json("/reranking", of_openai, unstreamed))),
    // --- vLLM ---
    reads(json("/score", of_openai, unstreamed)),
    reads(json("/v1/score", of_openai, unstreamed)),
    reads(json("/classify", of_openai, unstreamed)),
    reads(json("/pooling", of_openai, unstreamed)),
    reads(json("/v2/rerank", of_openai, unstreamed)),
    json("/v1/tokenize", of_openai, unstreamed),
    json("/v1/detokenize", of_openai, unstreamed),
    // --- llama-server ---
    bare(any_type(with_usage(json("/chat/completions", of_openai, sse)))),
    json("/v1/chat/completions/input_tokens", of_openai, unstreamed),
    bare(any_type(json("/chat/completions/input_tokens", of_openai, unstreamed))),
    writes(json("/completion", native, sse)),
    bare(writes(json("/completions", native, sse))),
    writes(json("/infill", native, sse)),
    reads(json("/embedding", native, unstreamed)),
    bare(reads(json("/embeddings", native, unstreamed))),
    json("/tokenize", native, unstreamed),
    json("/detokenize", native, unstreamed),
    json("/apply-template", native, unstreamed),
    // --- Ollama ---
    streams_unasked("/api/chat"),
    streams_unasked("/api/generate"),
    reads(json("/api/embed", Dialect::ollama, unstreamed)),
    reads(json("/api/embeddings", Dialect::ollama, unstreamed)),
    json("/api/show", Dialect::ollama, unstreamed),
    ollamas("/api/tags", ollama_tags),
    ollamas("/api/ps", ollama_running),
    ollamas("/api/version", ollama_version),
};

constexpr Endpoint by_id = models("/v1/models/", model_by_id);

// A table of slots by a hash of the path, filled by the compiler. With a third of the slots in use
// most paths are found, or found missing, at the first look.
constexpr std::size_t slot_count = 256;
static_assert(table.size() * 3 < slot_count);

constexpr std::size_t slot_of(std::string_view path) {
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (const char c : path)
        hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
    return (hash ^ hash >> 16) % slot_count;
}

constexpr std::array<std::uint8_t, slot_count> fill_slots() {
    std::array<std::uint8_t, slot_count> slots{};  // index + 1; 0 where free
    for (std::size_t i = 0; i < table.size(); ++i) {
        std::size_t slot = slot_of(table[i].path);
        while (slots[slot] != 0)
            slot = (slot + 1) % slot_count;
        slots[slot] = static_cast<std::uint8_t>(i + 1);
    }
    return slots;
}
constexpr auto slots = fill_slots();

constexpr std::size_t path_bytes_max =
    std::max_element(table.begin(), table.end(), [](const Endpoint& a, const Endpoint& b) {
        return a.path.size() < b.path.size();
    })->path.size();

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// With its percent-escapes decoded once; unstreamed where one is not well formed.
std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        char c = text.front();
        text.remove_prefix(1);
        if (c == '%') {
            const int high = text.empty() ? -1 : hex_value(text[0]);
            const int low = text.size() < 2 ? -1 : hex_value(text[1]);
            if (high < 0 || low < 0) return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            text.remove_prefix(2);
        }
        out += c;
    }
    return out;
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > limits::model_name_bytes_max) return false;
    const char* const end = text.data() + text.size();
    for (const char* p = text.data(); p != end;) {
        const int length = utf8_sequence_length(p, end);
        if (length == 0) return false;
        if (length == 1 && (static_cast<unsigned char>(*p) < 0x20 || *p == 0x7F)) return false;
        p += length;
    }
    return true;
}

}  // namespace

bool Endpoint::allows(http::Method asked) const {
    return asked == method || (asked == Method::head && method == Method::get);
}

std::string_view Endpoint::allow() const {
    return method == Method::get ? "GET, HEAD" : "POST";
}

const Endpoint* find_endpoint(std::string_view path) {
    if (path.size() <= path_bytes_max) {
        for (std::size_t slot = slot_of(path); slots[slot] != 0; slot = (slot + 1) % slot_count) {
            const Endpoint& endpoint = table[slots[slot] - 1u];
            if (endpoint.path == path) return &endpoint;
        }
    }
    return path.starts_with(by_id.path) && path.size() > by_id.path.size() ? &by_id : nullptr;
}

std::span<const Endpoint> endpoints() {
    return table;
}

Dialect dialect_of(std::string_view path) {
    struct Area {
        std::string_view prefix;
        Dialect dialect;
    };
    static constexpr Area areas[] = {{"/api/", Dialect::ollama},
                                     {"/v1/messages/", Dialect::anthropic},
                                     {"/v1/responses/", Dialect::responses}};
    if (const Endpoint* endpoint = find_endpoint(path)) return endpoint->dialect;
    const auto* const area = std::ranges::find_if(
        areas, [path](const Area& each) { return path.starts_with(each.prefix); });
    return area != std::end(areas) ? area->dialect : Dialect::openai;
}

Result<std::string> model_id_of(const Endpoint& endpoint, std::string_view path) {
    SLUICE_ASSERT(endpoint.kind == model_by_id && path.starts_with(endpoint.path));
    path.remove_prefix(endpoint.path.size());
    const auto id = decoded(path);
    if (!id) return Error::client(400, "The path holds a '%' that is not an escape.");
    if (!is_name(*id)) return Error::client(400, "The path does not hold a valid model name.");
    return *id;
}

}  // namespace sluice::llm
