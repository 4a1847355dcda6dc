// What it costs to see what one event of a stream means, to count a whole answer, and to find the
// endpoint of a path.
#include "sluice/llm/usage.h"

#include "sluice/llm/endpoints.h"
#include "sluice/llm/response_reader.h"

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

namespace sluice::llm {

namespace {

constexpr std::string_view token =
    R"({"choices":[{"finish_reason":null,"index":0,"delta":{"content":" room"}}],)"
    R"("created":1763000001,"id":"chatcmpl-AYJYrFSFrGMzfWPPE1iDvhbg6t2yMxFt","model":"tiny-chat",)"
    R"("system_fingerprint":"b1-test","object":"chat.completion.chunk"})";

constexpr std::string_view usage_event =
    R"({"choices":[],"created":1763000001,"id":"chatcmpl-AYJYrFSFrGMzfWPPE1iDvhbg6t2yMxFt",)"
    R"("model":"tiny-chat","object":"chat.completion.chunk","usage":{"completion_tokens":5,)"
    R"("prompt_tokens":25,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":24}},)"
    R"("timings":{"cache_n":24,"prompt_n":1,"prompt_ms":0.211,"prompt_per_token_ms":0.211,)"
    R"("prompt_per_second":4739.336492890995,"predicted_n":5,"predicted_ms":0.727}})";

constexpr std::string_view anthropic_token =
    R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" have"}})";

void read(benchmark::State& state, std::string_view name, std::string_view data) {
    Usage usage;
    for ([[maybe_unused]] auto _ : state) {
        const EventFacts facts = read_event(name, data, usage);
        benchmark::DoNotOptimize(facts.content);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(data.size()));
}

void event_of_a_token(benchmark::State& state) {
    read(state, {}, token);
}
void event_of_usage(benchmark::State& state) {
    read(state, {}, usage_event);
}
void event_of_done(benchmark::State& state) {
    read(state, {}, "[DONE]");
}
void event_of_anthropic(benchmark::State& state) {
    read(state, "content_block_delta", anthropic_token);
}

std::string answer_of(std::size_t bytes) {
    std::string answer = R"({"choices":[{"index":0,"message":{"role":"assistant","content":")";
    while (answer.size() < bytes)
        answer += "The quick brown fox jumps over the lazy dog.\\n";
    answer += R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":9}})";
    return answer;
}

// An answer of 8 KiB of text, in buffers.
void whole_answer(benchmark::State& state) {
    const std::string answer = answer_of(8192);
    for ([[maybe_unused]] auto _ : state) {
        ResponseReader reader;
        for (std::size_t at = 0; at < answer.size(); at += limits::buffer_bytes) {
            reader.feed(std::string_view(answer).substr(at, limits::buffer_bytes));
        }
        benchmark::DoNotOptimize(reader.usage().known);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(answer.size()));
}

// The end of one whose rest nobody reads.
void end_of_an_answer(benchmark::State& state) {
    const std::string answer = answer_of(2 * limits::read_tail_bytes);
    const std::string_view tail =
        std::string_view(answer).substr(answer.size() - limits::read_tail_bytes);
    for ([[maybe_unused]] auto _ : state) {
        Usage usage;
        read_tail(tail, usage);
        benchmark::DoNotOptimize(usage.known);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(tail.size()));
}

void find_a_path(benchmark::State& state) {
    std::string_view path = "/v1/chat/completions";
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(path);
        benchmark::DoNotOptimize(find_endpoint(path));
    }
}

BENCHMARK(event_of_a_token);
BENCHMARK(event_of_usage);
BENCHMARK(event_of_done);
BENCHMARK(event_of_anthropic);
BENCHMARK(whole_answer);
BENCHMARK(end_of_an_answer);
BENCHMARK(find_a_path);

}  // namespace

}  // namespace sluice::llm
