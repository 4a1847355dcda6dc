#include "faults.h"

#include "append.h"
#include "sluice/llm/errors.h"

#include <algorithm>

namespace sluice::model_sim {
namespace {

constexpr std::uint64_t context_size = 4096;

std::string_view vllm_type(int status) {
    switch (status) {
        case 400:
            return "BadRequestError";
        case 404:
            return "NotFoundError";
        case 429:
            return "RateLimitError";
        case 503:
            return "ServiceUnavailableError";
        default:
            return "InternalServerError";
    }
}

std::string_view ollama_type(int status) {
    switch (status) {
        case 400:
            return "invalid_request_error";
        case 404:
            return "not_found_error";
        default:
            return "api_error";
    }
}

std::string_view anthropic_type(int status) {
    switch (status) {
        case 400:
            return "invalid_request_error";
        case 404:
            return "not_found_error";
        case 401:
            return "authentication_error";
        case 429:
            return "rate_limit_error";
        case 503:
        case 529:
            return "overloaded_error";
        default:
            return "api_error";
    }
}

std::string llama_body(const Fault& fault, std::string_view message) {
    if (fault.by_http_layer)
        return joined(R"({"error":{"message":")", message, R"(","type":")", fault.llama_type,
                      R"(","code":)", fault.status, "}}");
    return joined(R"({"error":{"code":)", fault.status, R"(,"message":")", message, R"(","type":")",
                  fault.llama_type, '"', fault.llama_fields, "}}");
}

}  // namespace

Fault bad_request(std::string message) {
    return {.status = 400,
            .message = std::move(message),
            .llama_type = "invalid_request_error",
            .type = "invalid_request_error"};
}

Fault unknown_model(std::string_view model) {
    return {.status = 404,
            .message = joined("The model `", model, "` does not exist, try pulling it first"),
            .llama_type = "not_found_error",
            .type = "invalid_request_error",
            .code = "model_not_found"};
}

Fault unknown_path() {
    return {.status = 404,
            .message = "File Not Found",
            .llama_type = "not_found_error",
            .type = "invalid_request_error",
            .code = "unknown_url",
            .by_http_layer = true};
}

Fault loading() {
    return {.status = 503,
            .message = "Loading model",
            .llama_type = "unavailable_error",
            .type = "server_error",
            .by_http_layer = true};
}

Fault rate_limited() {
    return {.status = 429,
            .message = "Rate limit reached, please try again in 1s",
            .llama_type = "rate_limit_error",
            .type = "requests",
            .code = "rate_limit_exceeded",
            .fields = "Retry-After: 1\r\nretry-after-ms: 1000\r\n"};
}

Fault exceeds_context(std::uint64_t prompt_tokens) {
    const std::uint64_t tokens = std::max(prompt_tokens, context_size + 1);
    return {.status = 400,
            .message = joined("request (", tokens, " tokens) exceeds the available context size (",
                              context_size, " tokens), try increasing it"),
            .llama_type = "exceed_context_size_error",
            .type = "invalid_request_error",
            .code = "context_length_exceeded",
            .llama_fields = joined(R"(,"n_prompt_tokens":)", tokens, R"(,"n_ctx":)", context_size)};
}

Fault broken() {
    return {.status = 500, .message = "Context size has been exceeded."};
}

Fault overloaded() {
    return {.status = 529,
            .message = "Overloaded",
            .llama_type = "unavailable_error",
            .type = "overloaded_error"};
}

Fault unauthorized() {
    return {.status = 401,
            .message = "Invalid API Key",
            .llama_type = "authentication_error",
            .type = "invalid_request_error",
            .code = "invalid_api_key"};
}

// Azure's words; no local server has a content filter.
Fault blocked() {
    return {.status = 400,
            .message =
                "The response was filtered due to the prompt triggering the content "
                "management policy.",
            .llama_type = "content_filter",
            .type = "content_filter",
            .code = "content_filter"};
}

std::string fault_body(Api api, Kind kind, const Fault& fault) {
    std::string message;
    llm::append_json_escaped(message, fault.message);
    if (kind == Kind::ollama_chat || kind == Kind::ollama_generate)
        return joined(R"({"error":")", message, R"("})");
    if (api == Api::llama) return llama_body(fault, message);
    if (kind == Kind::messages)
        return joined(R"({"type":"error","error":{"type":")", anthropic_type(fault.status),
                      R"(","message":")", message, R"("}})");
    if (api == Api::vllm)
        return joined(R"({"error":{"message":")", message, R"(","type":")", vllm_type(fault.status),
                      R"(","param":null,"code":)", fault.status, "}}");
    const auto type = api == Api::ollama ? ollama_type(fault.status) : fault.type;
    const bool has_code = api == Api::openai && !fault.code.empty();
    const auto code = has_code ? joined('"', fault.code, '"') : std::string("null");
    return joined(R"({"error":{"message":")", message, R"(","type":")", type,
                  R"(","param":null,"code":)", code, "}}");
}

Document refusal(Api api, Kind kind, const Fault& fault) {
    return {.status = fault.status, .body = fault_body(api, kind, fault), .fields = fault.fields};
}

}  // namespace sluice::model_sim
