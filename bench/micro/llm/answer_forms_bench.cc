// What it costs to answer in the other form than was recorded: an answer of 600 bytes of text.
#include "sluice/llm/answer_of_events.h"
#include "sluice/llm/events_of_answer.h"

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

namespace sluice::llm {

namespace {

constexpr std::size_t text_bytes = 600;
constexpr std::string_view word = " room\\n";

// As llama-server streams it: an event a token.
std::string recorded_stream() {
    const auto chunk = [](std::string_view choices, std::string_view more) {
        return "data: {\"choices\":[" + std::string(choices) +
               R"(],"created":1763000001,"id":"chatcmpl-AYJYrFSFrGMzfWPPE1iDvhbg6t2yMxFt",)"
               R"("model":"tiny-chat","system_fingerprint":"b1-test",)"
               R"("object":"chat.completion.chunk")" +
               std::string(more) + "}\n\n";
    };
    std::string out = chunk(
        R"({"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}})", "");
    for (std::size_t text = 0; text < text_bytes; text += word.size()) {
        out += chunk(
            R"({"finish_reason":null,"index":0,"delta":{"content":")" + std::string(word) + "\"}}",
            "");
    }
    out += chunk(R"({"finish_reason":"stop","index":0,"delta":{}})", "");
    out += chunk("", R"(,"usage":{"completion_tokens":86,"prompt_tokens":25,"total_tokens":111,)"
                     R"("prompt_tokens_details":{"cached_tokens":24}})");
    return out + "data: [DONE]\n\n";
}

void document_of_stream(benchmark::State& state) {
    const std::string stream = recorded_stream();
    for ([[maybe_unused]] auto _ : state) {
        const Result<std::string> document = answer_of_events(AnswerForm::chat, stream);
        benchmark::DoNotOptimize(document.ok());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stream.size()));
}

void stream_of_document(benchmark::State& state) {
    const std::string document = answer_of_events(AnswerForm::chat, recorded_stream()).value();
    for ([[maybe_unused]] auto _ : state) {
        const Result<std::string> stream = events_of_answer(AnswerForm::chat, document, true);
        benchmark::DoNotOptimize(stream.ok());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(document.size()));
}

void usage_left_out(benchmark::State& state) {
    const std::string recorded = recorded_stream();
    for ([[maybe_unused]] auto _ : state) {
        const Result<std::string> stream = chunks_with_usage(recorded, false);
        benchmark::DoNotOptimize(stream.ok());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(recorded.size()));
}

BENCHMARK(document_of_stream);
BENCHMARK(stream_of_document);
BENCHMARK(usage_left_out);

}  // namespace

}  // namespace sluice::llm
