#include "job_reader.h"

#include "append.h"
#include "json.h"
#include "sluice/llm/errors.h"

#include <algorithm>
#include <array>
#include <optional>

namespace sluice::model_sim {
namespace {

constexpr std::uint64_t choices_most = 16;

// What a prompt is made of, in whatever endpoint.
constexpr std::array<std::string_view, 8> prompt_members = {
    "messages",     "system",       "prompt",       "input",
    "instructions", "input_prefix", "input_suffix", "tools"};

std::uint64_t prompt_tokens(std::string_view body) {
    std::size_t bytes = 0;
    for (const auto name : prompt_members)
        bytes += json::member(body, name).size();
    return tokens_in_bytes(bytes);
}

std::string_view conversation_of(Kind kind, std::string_view body) {
    switch (kind) {
        case Kind::chat:
        case Kind::messages:
        case Kind::ollama_chat:
            return json::member(body, "messages");
        case Kind::responses:
            return json::member(body, "input");
        default:
            return {};
    }
}

// The text of a message's content: a string, or its parts that are text.
std::string text_of(std::string_view content) {
    if (json::is_string(content)) return json::decoded(content);
    std::string text;
    for (const auto part : json::elements(content))
        text += json::decoded(json::member(part, "text"));
    return text;
}

// What the assistant has said already when the last message is its own.
std::string begun_text(std::string_view conversation) {
    const auto messages = json::elements(conversation);
    if (messages.empty() || json::decoded(json::member(messages.back(), "role")) != "assistant")
        return {};
    return text_of(json::member(messages.back(), "content"));
}

std::optional<std::uint64_t> choices_of(Kind kind, std::string_view body) {
    if (kind != Kind::chat && kind != Kind::completions) return 1;
    const auto asked = json::member(body, "n");
    const auto n = asked.empty() || asked == "null" ? 1 : json::whole_number(asked);
    if (!n) return std::nullopt;
    std::uint64_t prompts = 1;
    if (kind == Kind::completions) {
        const auto list = json::elements(json::member(body, "prompt"));
        if (!list.empty() && !json::whole_number(list.front())) prompts = list.size();
    }
    // Compared one by one: the product might not fit.
    if (*n == 0 || *n > choices_most || prompts > choices_most || *n * prompts > choices_most)
        return std::nullopt;
    return *n * prompts;
}

std::optional<std::uint64_t> bound_of(Kind kind, const JsonBody& body) {
    if (kind == Kind::ollama_chat || kind == Kind::ollama_generate)
        return json::whole_number(json::member(json::member(body.text, "options"), "num_predict"));
    return body.facts.max_tokens;
}

std::optional<Fault> missing_prompt(Kind kind, std::string_view body) {
    switch (kind) {
        case Kind::chat:
        case Kind::messages:
        case Kind::ollama_chat: {
            const auto messages = json::member(body, "messages");
            if (messages.empty()) return bad_request("'messages' is required");
            if (!json::is_array(messages)) return bad_request("Expected 'messages' to be an array");
            return std::nullopt;
        }
        case Kind::responses:
            if (json::member(body, "input").empty()) return bad_request("'input' is required");
            return std::nullopt;
        case Kind::completions:
            if (json::member(body, "prompt").empty())
                return bad_request("\"prompt\" must be provided");
            return std::nullopt;
        default:
            return std::nullopt;
    }
}

// Where the text goes on, and how far.
std::optional<Fault> place_text(Job& job, const std::string& begun,
                                std::optional<std::uint64_t> bound) {
    job.text = Text(job.script.seed, job.script.token_bytes);
    const auto first = job.text.tokens_in(begun);
    if (!first)
        return bad_request(
            "the assistant's message is not the begin of this server's text: it must be what was "
            "generated with the same seed and token size, up to the end of a token");
    job.first = *first;
    const std::uint64_t left =
        job.script.tokens - std::min<std::uint64_t>(*first, job.script.tokens);
    job.tokens = std::min(left, bound.value_or(left));
    job.cut = job.tokens < left;
    return std::nullopt;
}

}  // namespace

std::uint64_t tokens_in_bytes(std::size_t bytes) {
    return std::max<std::uint64_t>(1, (bytes + 3) / 4);
}

std::variant<JsonBody, Fault> read_json(std::string_view body) {
    llm::BodyReader reader;
    reader.feed(body);
    auto facts = reader.finish();
    if (!facts.ok()) return bad_request(facts.error().message);
    // The walk over the text begins at the brace, not at the white space before it.
    return JsonBody{body.substr(facts->object_open.begin), std::move(facts.value())};
}

std::variant<std::string, Fault> served_model(const Options& options, const std::string& asked) {
    const auto& models = options.models;
    if (asked.empty() || std::find(models.begin(), models.end(), asked) != models.end())
        return asked.empty() ? models.front() : asked;
    if (options.api == Api::llama) return models.front();
    return unknown_model(asked);
}

std::variant<Job, Fault> read_job(const Options& options, Kind kind, const Script& script,
                                  std::string_view body) {
    auto read = read_json(body);
    if (auto* fault = std::get_if<Fault>(&read)) return std::move(*fault);
    const auto& json_body = std::get<JsonBody>(read);
    auto model = served_model(options, json_body.facts.model);
    if (auto* fault = std::get_if<Fault>(&model)) return std::move(*fault);
    if (auto fault = missing_prompt(kind, json_body.text)) return std::move(*fault);
    const auto choices = choices_of(kind, json_body.text);
    if (!choices) return bad_request(joined("at most ", choices_most, " choices and at least one"));

    Job job;
    job.kind = kind;
    job.api = options.api;
    llm::append_json_escaped(job.model, std::get<std::string>(model));
    const bool streams_unless_told = kind == Kind::ollama_chat || kind == Kind::ollama_generate;
    job.stream = json_body.facts.stream_given ? json_body.facts.stream : streams_unless_told;
    job.include_usage = json_body.facts.include_usage.value_or(false);
    job.choices = static_cast<std::uint32_t>(*choices);
    job.prompt_tokens = prompt_tokens(json_body.text);
    job.cached_tokens = std::min<std::uint64_t>(script.cached_tokens, job.prompt_tokens - 1);
    job.script = script;
    const auto begun = begun_text(conversation_of(kind, json_body.text));
    if (auto fault = place_text(job, begun, bound_of(kind, json_body))) return std::move(*fault);
    return job;
}

}  // namespace sluice::model_sim
