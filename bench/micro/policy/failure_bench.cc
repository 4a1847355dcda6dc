// What a failure costs to be read and classed: an error body, and a status alone.
#include "sluice/policy/failure.h"

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

namespace sluice::policy {

namespace {

constexpr std::string_view llama_context =
    R"({"error":{"code":400,"message":"request (1523 tokens) exceeds the available context size )"
    R"((512 tokens), try increasing it","type":"exceed_context_size_error",)"
    R"("n_prompt_tokens":1523,"n_ctx":512}})";

void classify_status(benchmark::State& state) {
    FailureFacts facts{AttemptEnd::answered, 503};
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(facts);
        benchmark::DoNotOptimize(classify(facts));
    }
}

void read_and_classify(benchmark::State& state, std::string_view body, int status) {
    for ([[maybe_unused]] auto _ : state) {
        const llm::ErrorFacts error = llm::read_failure_body(body);
        const FailureFacts facts{AttemptEnd::answered, status, &error};
        benchmark::DoNotOptimize(classify(facts));
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}

void read_a_context_error(benchmark::State& state) {
    read_and_classify(state, llama_context, 400);
}

// A body that repeats a long input.
void read_a_long_error(benchmark::State& state) {
    const std::string body = R"({"error":{"message":"Invalid input: )" +
                             std::string(llm::failure_body_bytes_max, 'x') +
                             R"(","type":"BadRequestError","code":400}})";
    read_and_classify(state, body, 400);
}

BENCHMARK(classify_status);
BENCHMARK(read_a_context_error);
BENCHMARK(read_a_long_error);

}  // namespace

}  // namespace sluice::policy
