// OpenAI's chat and text completions, as llama-server, OpenAI, Ollama and vLLM write them.
#include "append.h"
#include "faults.h"
#include "shapes.h"

namespace sluice::model_sim {
namespace {

constexpr std::string_view null = "null";

std::string finish_reason(const Job& job) {
    return job.cut ? R"("length")" : R"("stop")";
}

std::string fingerprint(Api api) {
    switch (api) {
        case Api::llama:
            return R"("system_fingerprint":"b0-sim",)";
        case Api::openai:
            return R"("system_fingerprint":"fp_sim",)";
        case Api::ollama:
            return R"("system_fingerprint":"fp_ollama",)";
        case Api::vllm:
            break;
    }
    return {};
}

std::string usage(const Job& job, const Totals& totals) {
    // llama-server counts one choice only.
    const std::uint64_t counted = job.api == Api::llama ? 1 : job.choices;
    const std::uint64_t completion = totals.tokens * counted;
    const std::uint64_t total = job.prompt_tokens + completion;
    const auto details =
        job.api == Api::ollama
            ? std::string()
            : joined(R"(,"prompt_tokens_details":{"cached_tokens":)", job.cached_tokens, '}');
    if (job.api == Api::llama)
        return joined(R"("usage":{"completion_tokens":)", completion, R"(,"prompt_tokens":)",
                      job.prompt_tokens, R"(,"total_tokens":)", total, details, '}');
    return joined(R"("usage":{"prompt_tokens":)", job.prompt_tokens, R"(,"completion_tokens":)",
                  completion, R"(,"total_tokens":)", total, details, '}');
}

std::string object_of(const Job& job, bool whole) {
    if (job.kind == Kind::completions) return "text_completion";
    return whole ? "chat.completion" : "chat.completion.chunk";
}

// The object around some choices; `usage` and `time` are members, or empty.
std::string envelope(const Job& job, std::string_view choices, bool whole, std::string_view usage,
                     std::string_view time) {
    const auto object = joined(R"("object":")", object_of(job, whole), '"');
    const bool text = job.kind == Kind::completions;
    const auto prefix = text && job.api != Api::llama ? "cmpl-" : "chatcmpl-";
    const auto id = joined(R"("id":")", prefix, job.id, '"');
    const auto created = joined(R"("created":)", job.created());
    const auto model = joined(R"("model":")", job.model, R"(",)", fingerprint(job.api));
    const auto counted = usage.empty() ? std::string() : joined(',', usage);
    const auto timed = time.empty() ? std::string() : joined(',', time);
    if (job.api != Api::llama)
        return joined('{', id, ',', object, ',', created, ',', model, R"("choices":[)", choices,
                      ']', counted, '}');
    // llama-server writes the id of a chat's events early, and else late.
    if (whole || text)
        return joined(R"({"choices":[)", choices, "],", created, ',', model, object, counted, ',',
                      id, timed, '}');
    return joined(R"({"choices":[)", choices, "],", created, ',', id, ',', model, object, counted,
                  timed, '}');
}

// OpenAI tells in every event that usage will come.
std::string usage_to_come(const Job& job) {
    return job.api == Api::openai && job.include_usage ? R"("usage":null)" : "";
}

std::string event(const Job& job, std::string_view choices, std::string_view usage,
                  std::string_view time = {}) {
    return joined("data: ", envelope(job, choices, false, usage, time), "\n\n");
}

// One choice of chat: `part` is `"delta":{...}` or `"message":{...}`.
std::string chat_choice(const Job& job, std::uint32_t choice, std::string_view part,
                        std::string_view finish) {
    if (job.api == Api::llama)
        return joined(R"({"finish_reason":)", finish, R"(,"index":)", choice, ',', part, '}');
    const auto logprobs = job.api == Api::ollama ? "" : R"("logprobs":null,)";
    const auto stop = job.api == Api::vllm && finish != null ? R"(,"stop_reason":null)" : "";
    return joined(R"({"index":)", choice, ',', part, ',', logprobs, R"("finish_reason":)", finish,
                  stop, '}');
}

std::string text_choice(const Job& job, std::uint32_t choice, std::string_view text,
                        std::string_view finish) {
    if (job.api == Api::llama)
        return joined(R"({"text":")", text, R"(","index":)", choice,
                      R"(,"logprobs":null,"finish_reason":)", finish, '}');
    return joined(R"({"index":)", choice, R"(,"text":")", text,
                  R"(","logprobs":null,"finish_reason":)", finish, '}');
}

constexpr std::string_view marked_text = "\x01";

Frame chat_frame(const Job& job, std::uint32_t choice) {
    Frame frame;
    const auto more = usage_to_come(job);
    if (job.api == Api::ollama) {  // the role is in every delta
        const auto delta = R"("delta":{"role":"assistant","content":")";
        split_at_mark(
            frame,
            event(job, chat_choice(job, choice, joined(delta, text_mark, "\"}"), null), more));
        return frame;
    }
    const auto opening = job.api == Api::llama ? R"("delta":{"role":"assistant","content":null})"
                                               : R"("delta":{"role":"assistant","content":""})";
    frame.opening = event(job, chat_choice(job, choice, opening, null), more);
    split_at_mark(
        frame,
        event(job,
              chat_choice(job, choice, joined(R"("delta":{"content":")", text_mark, R"("})"), null),
              more));
    return frame;
}

Frame text_frame(const Job& job, std::uint32_t choice) {
    Frame frame;
    split_at_mark(frame,
                  event(job, text_choice(job, choice, marked_text, null), usage_to_come(job)));
    return frame;
}

std::string last_choice(const Job& job, std::uint32_t choice) {
    if (job.kind == Kind::completions) return text_choice(job, choice, "", finish_reason(job));
    const auto delta =
        job.api == Api::ollama ? R"("delta":{"role":"assistant","content":""})" : R"("delta":{})";
    return chat_choice(job, choice, delta, finish_reason(job));
}

// Every choice ends with its own finish, usage and timings, in one chunk.
std::string llama_end(const Job& job, const Totals& totals, std::uint32_t choice) {
    const auto time = timings(job, totals);
    const auto count = usage(job, totals);
    const auto last = last_choice(job, choice);
    if (job.kind == Kind::completions) return event(job, last, count, time);
    if (!job.include_usage) return event(job, last, {}, time);
    return joined(event(job, last, {}), event(job, {}, count, time));
}

Closing closing(const Job& job, const Totals& totals) {
    Closing closing;
    for (std::uint32_t choice = 0; choice < job.choices; ++choice) {
        closing.chunks.push_back(job.api == Api::llama
                                     ? llama_end(job, totals, choice)
                                     : event(job, last_choice(job, choice), usage_to_come(job)));
    }
    if (job.api != Api::llama && job.include_usage)
        closing.chunks.push_back(event(job, {}, usage(job, totals)));
    closing.last = "data: [DONE]\n\n";
    return closing;
}

std::string body(const Job& job, const Totals& totals) {
    std::string choices;
    for (std::uint32_t choice = 0; choice < job.choices; ++choice) {
        const auto text = whole_text(job, choice);
        if (choice > 0) choices += ',';
        if (job.kind == Kind::completions) {
            choices += text_choice(job, choice, text, finish_reason(job));
        } else {
            const auto message =
                joined(R"("message":{"role":"assistant","content":")", text, R"("})");
            choices += chat_choice(job, choice, message, finish_reason(job));
        }
    }
    const auto time = job.api == Api::llama ? timings(job, totals) : std::string();
    return envelope(job, choices, true, usage(job, totals), time);
}

// Ollama's writer knows no error in a stream and makes an empty delta of it.
std::string error_event(const Job& job) {
    if (job.api == Api::ollama) {
        const auto delta = R"("delta":{"role":"assistant","content":""})";
        return event(job, chat_choice(job, 0, delta, null), {});
    }
    return joined("data: ", fault_body(job.api, job.kind, broken()), "\n\n");
}

}  // namespace

Shape chat_shape(Api api) {
    return {.stream_type = "text/event-stream",
            .opening_apart = api != Api::llama,
            .frame = chat_frame,
            .closing = closing,
            .body = body,
            .error_event = error_event};
}

Shape completions_shape() {
    return {.stream_type = "text/event-stream",
            .opening_apart = false,
            .frame = text_frame,
            .closing = closing,
            .body = body,
            .error_event = error_event};
}

}  // namespace sluice::model_sim
