// llama-server's /completion and /infill, and Ollama's /api/chat and /api/generate.
#include "append.h"
#include "faults.h"
#include "shapes.h"

#include <ctime>

namespace sluice::model_sim {
namespace {

std::string stop_type(const Job& job) {
    return job.cut ? "limit" : "eos";
}

std::string native_event(std::string_view json) {
    return joined("data: ", json, "\n\n");
}

Frame native_frame(const Job& job, std::uint32_t) {
    Frame frame;
    frame.prefix = R"(data: {"index":0,"content":")";
    frame.suffix = R"(","tokens":[],"stop":false,"id_slot":-1,"tokens_predicted":)";
    frame.counted_tail = joined(R"(,"tokens_evaluated":)", job.prompt_tokens, "}\n\n");
    frame.count_from = 1;
    return frame;
}

std::string native_end(const Job& job, const Totals& totals, std::string_view text) {
    const std::uint64_t context = job.prompt_tokens + totals.tokens;
    return joined(
        R"({"index":0,"content":")", text, R"(","tokens":[],"id_slot":0,"stop":true,"model":")",
        job.model, R"(","tokens_predicted":)", totals.tokens, R"(,"tokens_evaluated":)",
        job.prompt_tokens, R"(,"generation_settings":{"temperature":0.8,"stream":)",
        job.stream ? "true" : "false",
        R"(},"prompt":"","has_new_line":false,"truncated":false,"stop_type":")", stop_type(job),
        R"(","stopping_word":"","tokens_cached":)", context, ',', timings(job, totals), '}');
}

Closing native_closing(const Job& job, const Totals& totals) {
    return {.chunks = {}, .last = native_event(native_end(job, totals, {})), .last_apart = true};
}

std::string native_body(const Job& job, const Totals& totals) {
    return native_end(job, totals, whole_text(job, 0));
}

std::string native_error(const Job& job) {
    return native_event(fault_body(job.api, job.kind, broken()));
}

// --- Ollama ---------------------------------------------------------------------------------

std::string rfc3339(std::int64_t us) {
    const auto seconds = static_cast<std::time_t>(us / 1'000'000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                       us % 1'000'000);
}

// One object; `text` is its content and `more` further members, each with a comma before it.
std::string ollama_object(const Job& job, std::string_view text, bool done, std::string_view more) {
    const auto content = job.kind == Kind::ollama_chat
                             ? joined(R"("message":{"role":"assistant","content":")", text, R"("})")
                             : joined(R"("response":")", text, '"');
    return joined(R"({"model":")", job.model, R"(","created_at":")", rfc3339(job.created_us),
                  R"(",)", content, R"(,"done":)", done ? "true" : "false", more, '}');
}

Frame ollama_frame(const Job& job, std::uint32_t) {
    Frame frame;
    split_at_mark(frame, ollama_object(job, std::string(1, text_mark), false, {}) + '\n');
    return frame;
}

// Counters of zero are left out.
std::string counter(std::string_view name, std::uint64_t value) {
    return value == 0 ? std::string() : joined(R"(,")", name, R"(":)", value);
}

std::string ollama_end(const Job& job, const Totals& totals, std::string_view text) {
    const auto total = static_cast<std::uint64_t>((totals.prompt + totals.predicted).ns);
    const auto more = joined(
        R"(,"done_reason":")", job.cut ? "length" : "stop", '"', counter("total_duration", total),
        R"(,"load_duration":1000)", counter("prompt_eval_count", job.prompt_tokens),
        counter("prompt_eval_duration", static_cast<std::uint64_t>(totals.prompt.ns)),
        counter("eval_count", totals.tokens),
        counter("eval_duration", static_cast<std::uint64_t>(totals.predicted.ns)));
    return ollama_object(job, text, true, more);
}

Closing ollama_closing(const Job& job, const Totals& totals) {
    return {.chunks = {}, .last = ollama_end(job, totals, {}) + '\n', .last_apart = true};
}

std::string ollama_body(const Job& job, const Totals& totals) {
    return ollama_end(job, totals, whole_text(job, 0));
}

std::string ollama_error(const Job& job) {
    return fault_body(job.api, job.kind, broken()) + '\n';
}

}  // namespace

Shape native_shape() {
    return {.stream_type = "text/event-stream",
            .opening_apart = false,
            .frame = native_frame,
            .closing = native_closing,
            .body = native_body,
            .error_event = native_error};
}

Shape ollama_shape() {
    return {.stream_type = "application/x-ndjson",
            .opening_apart = false,
            .frame = ollama_frame,
            .closing = ollama_closing,
            .body = ollama_body,
            .error_event = ollama_error};
}

}  // namespace sluice::model_sim
