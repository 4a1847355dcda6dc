#include "sluice/cache/canonical.h"

#include "effects.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>

namespace sluice::cache {

namespace {

using llm::CanonicalJson;
using llm::Dialect;
using llm::Endpoint;
using Kind = CanonicalJson::Kind;

// --- what an endpoint is ---

enum class Work : std::uint8_t { generates, reads, other };

// What only reads and is not counted in tokens.
constexpr std::array counting_paths{
    std::string_view("/v1/tokenize"),
    std::string_view("/v1/detokenize"),
    std::string_view("/tokenize"),
    std::string_view("/detokenize"),
    std::string_view("/apply-template"),
    std::string_view("/v1/messages/count_tokens"),
    std::string_view("/v1/responses/input_tokens"),
    std::string_view("/v1/chat/completions/input_tokens"),
    std::string_view("/chat/completions/input_tokens"),
};

Work work_of(const Endpoint& endpoint) {
    if (endpoint.kind != llm::EndpointKind::model_in_json) return Work::other;
    if (endpoint.tokens == llm::Tokens::written) return Work::generates;
    if (endpoint.tokens == llm::Tokens::read) return Work::reads;
    const bool counts = std::ranges::find(counting_paths, endpoint.path) != counting_paths.end();
    return counts ? Work::reads : Work::other;
}

// The APIs whose members we know, as bits.
constexpr unsigned chat = 1;
constexpr unsigned completions = 2;
constexpr unsigned embeddings = 4;
constexpr unsigned responses = 8;

unsigned api_of(const Endpoint& endpoint) {
    if (endpoint.path == "/v1/chat/completions" || endpoint.path == "/chat/completions")
        return chat;
    if (endpoint.path == "/v1/completions") return completions;
    if (endpoint.path == "/v1/embeddings") return embeddings;
    if (endpoint.dialect == Dialect::responses) return responses;
    return 0;
}

// --- members that change nothing ---

// What stands for the member not being there.
enum class Absent : std::uint8_t { null, one, false_, word_float };

struct Default {
    std::string_view key;
    unsigned apis;
    Absent value;
};

// In OpenAI's API reference (platform.openai.com/docs/api-reference: chat/create, completions/
// create, embeddings/create, responses/create) each of these is optional and either nullable or has
// this default; and the local servers agree: llama-server reads members through json_value(), which
// takes null for absent (tools/server/server-common.h); vLLM's models have None, or a default that
// None is turned into, as the default (vllm/entrypoints/openai/*/protocol.py); Ollama's
// have pointers (openai/openai.go). Anthropic's reference declares no member of messages nullable,
// so there are none of it.
constexpr unsigned generation = chat | completions;
constexpr Default defaults[] = {
    {"background", responses, Absent::false_},
    {"background", responses, Absent::null},
    {"best_of", completions, Absent::null},
    {"best_of", completions, Absent::one},
    {"conversation", responses, Absent::null},
    {"dimensions", embeddings, Absent::null},
    {"echo", completions, Absent::false_},
    {"encoding_format", embeddings, Absent::word_float},
    {"frequency_penalty", generation, Absent::null},
    {"instructions", responses, Absent::null},
    {"logit_bias", generation, Absent::null},
    {"logprobs", chat, Absent::false_},
    {"logprobs", generation, Absent::null},
    {"max_completion_tokens", chat, Absent::null},
    {"max_output_tokens", responses, Absent::null},
    {"max_tokens", chat, Absent::null},
    {"metadata", chat | responses, Absent::null},
    {"n", generation, Absent::null},
    {"n", generation, Absent::one},
    {"presence_penalty", generation, Absent::null},
    {"previous_response_id", responses, Absent::null},
    {"response_format", chat, Absent::null},
    {"seed", generation, Absent::null},
    {"stop", generation, Absent::null},
    {"suffix", completions, Absent::null},
    {"temperature", generation | responses, Absent::null},
    {"tools", chat, Absent::null},
    {"top_p", generation | responses, Absent::null},
    {"user", generation | embeddings | responses, Absent::null},
};

bool is_absent(const CanonicalJson& json, CanonicalJson::Id value, Absent as) {
    switch (as) {
        case Absent::null:
            return json.kind(value) == Kind::null;
        case Absent::one:
            return is_one(json, value);
        case Absent::false_:
            return json.kind(value) == Kind::false_;
        case Absent::word_float:
            return json.kind(value) == Kind::string && json.spelling(value) == "float";
    }
    return false;
}

bool is_framing(const CanonicalJson& json, const Endpoint& endpoint, unsigned api,
                std::string_view key, CanonicalJson::Id value) {
    const Kind kind = json.kind(value);
    if (key == "stream") {
        const bool given = kind == Kind::true_ || kind == Kind::false_ || kind == Kind::null;
        return given && endpoint.streaming != llm::Streaming::none;
    }
    return key == "stream_options" && (kind == Kind::object || kind == Kind::null) &&
           endpoint.streaming != llm::Streaming::none && api != 0;
}

bool is_left_out(const CanonicalJson& json, const Endpoint& endpoint, unsigned api,
                 std::string_view key, CanonicalJson::Id value) {
    if (is_framing(json, endpoint, api, key, value)) return true;
    return std::ranges::any_of(defaults, [&](const Default& each) {
        return (each.apis & api) != 0 && each.key == key && is_absent(json, value, each.value);
    });
}

// --- what bypasses ---

Bypass bypass_of(llm::JsonFault fault) {
    switch (fault) {
        case llm::JsonFault::none:
            return Bypass::none;
        case llm::JsonFault::too_large:
            return Bypass::too_large;
        case llm::JsonFault::too_deep:
            return Bypass::too_deep;
        case llm::JsonFault::too_many_values:
            return Bypass::too_many_values;
        case llm::JsonFault::malformed:
            return Bypass::malformed;
        case llm::JsonFault::trailing_bytes:
            return Bypass::trailing_bytes;
        case llm::JsonFault::duplicate_key:
            return Bypass::duplicate_key;
        case llm::JsonFault::ambiguous_key:
            return Bypass::ambiguous_key;
        case llm::JsonFault::exponent_too_long:
            return Bypass::exponent_too_long;
    }
    return Bypass::malformed;
}

// --- determinism ---

constexpr std::uint64_t random_seed = 0xFFFFFFFF;

// A whole number below 2^32 - 1: that itself asks llama-server for a random seed, and so may what
// is larger, of which it takes the low 32 bits.
bool is_seed(std::string_view number) {
    if (number.starts_with('-')) return false;
    const std::size_t digits = std::min(number.find('e'), number.size());
    std::uint64_t value = 0;
    std::uint64_t zeros = 0;
    const char* const end = number.data() + number.size();
    const auto [behind, error] = std::from_chars(number.data(), end, value);
    if (error != std::errc{} || behind != number.data() + digits) return false;
    if (behind != end) {
        const auto [last, wrong] = std::from_chars(behind + 1, end, zeros);
        if (wrong != std::errc{} || last != end || zeros > 9) return false;
    }
    for (; zeros > 0 && value < random_seed; --zeros)
        value *= 10;
    return value < random_seed;
}

bool says_it_is_deterministic(const CanonicalJson& json, const Endpoint& endpoint) {
    CanonicalJson::Id object = CanonicalJson::root;
    if (endpoint.dialect == Dialect::ollama) {
        const auto options = json.find(object, "options");
        if (!options || json.kind(*options) != Kind::object) return false;
        object = *options;
    }
    const auto number = [&](std::string_view key) -> std::optional<std::string_view> {
        const auto value = json.find(object, key);
        if (!value || json.kind(*value) != Kind::number) return std::nullopt;
        return json.spelling(*value);
    };
    const auto temperature = number("temperature");
    const auto seed = number("seed");
    return (temperature && *temperature == "0") || (seed && is_seed(*seed));
}

}  // namespace

bool is_shareable(const Endpoint& endpoint) {
    return work_of(endpoint) != Work::other;
}

Bypass CanonicalRequest::read(const Endpoint& endpoint, std::string_view body) {
    endpoint_ = &endpoint;
    deterministic_ = false;
    const Work work = work_of(endpoint);
    if (work == Work::other) return Bypass::endpoint;
    const llm::JsonFault fault = json_.read(body);
    if (fault != llm::JsonFault::none) return bypass_of(fault);
    if (json_.kind(CanonicalJson::root) != Kind::object) return Bypass::not_an_object;
    const Bypass effect = effect_of(json_, endpoint);
    if (effect != Bypass::none) return effect;
    deterministic_ = work == Work::reads || says_it_is_deterministic(json_, endpoint);
    return Bypass::none;
}

void CanonicalRequest::write(llm::RunWriter& out, std::string_view without) const {
    constexpr auto root = CanonicalJson::root;
    const unsigned api = api_of(endpoint());
    out.put('{');
    bool first = true;
    for (std::size_t i = 0; i < json_.member_count(root); ++i) {
        const std::string_view key = json_.key(root, i);
        if (!without.empty() && key == without) continue;
        if (is_left_out(json_, *endpoint_, api, key, json_.member(root, i))) continue;
        if (!first) out.put(',');
        first = false;
        json_.write_member(root, i, out);
    }
    out.put('}');
}

}  // namespace sluice::cache
