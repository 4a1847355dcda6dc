#include "shapes.h"

#include "append.h"
#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::model_sim {
namespace {

double milliseconds(Duration d) {
    return static_cast<double>(d.ns) / 1e6;
}

double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

std::string document_body(const Job& job, const Totals&) {
    return job.document.body;
}

}  // namespace

Shape shape_of(const Job& job) {
    switch (job.kind) {
        case Kind::chat:
            return chat_shape(job.api);
        case Kind::completions:
            return completions_shape();
        case Kind::responses:
            return responses_shape();
        case Kind::messages:
            return messages_shape();
        case Kind::native:
            return native_shape();
        case Kind::ollama_chat:
        case Kind::ollama_generate:
            return ollama_shape();
        case Kind::document:
            break;
    }
    return document_shape();
}

Shape document_shape() {
    return {.stream_type = {},
            .opening_apart = false,
            .frame = nullptr,
            .closing = nullptr,
            .body = document_body,
            .error_event = nullptr};
}

void split_at_mark(Frame& frame, std::string_view event) {
    const auto at = event.find(text_mark);
    SLUICE_ASSERT(at != std::string_view::npos);
    frame.prefix = event.substr(0, at);
    frame.suffix = event.substr(at + 1);
}

std::string whole_text(const Job& job, std::uint32_t choice) {
    std::string text;
    const Text source = job.text.of_choice(choice);
    for (std::uint64_t i = 0; i < job.tokens; ++i)
        source.append_escaped(text, job.first + i);
    return text;
}

std::string timings(const Job& job, const Totals& totals) {
    const std::uint64_t read = job.prompt_tokens - job.cached_tokens;
    const double prompt_ms = milliseconds(totals.prompt);
    const double predicted_ms = milliseconds(totals.predicted);
    const auto read_count = static_cast<double>(read);
    const auto predicted_count = static_cast<double>(totals.tokens);
    return joined(R"("timings":{"cache_n":)", job.cached_tokens, R"(,"prompt_n":)", read,
                  R"(,"prompt_ms":)", prompt_ms, R"(,"prompt_per_token_ms":)",
                  ratio(prompt_ms, read_count), R"(,"prompt_per_second":)",
                  ratio(1e3 * read_count, prompt_ms), R"(,"predicted_n":)", totals.tokens,
                  R"(,"predicted_ms":)", predicted_ms, R"(,"predicted_per_token_ms":)",
                  ratio(predicted_ms, predicted_count), R"(,"predicted_per_second":)",
                  ratio(1e3 * predicted_count, predicted_ms), '}');
}

}  // namespace sluice::model_sim
