// What it costs to check a request body and to find its model: by size, and by what the text is
// made of (plain ASCII, code with its escapes, Japanese).
#include "sluice/llm/body_reader.h"

#include "sluice/llm/edits.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::llm {

namespace {

constexpr std::string_view plain =
    "The quick brown fox jumps over the lazy dog, and so on it goes. ";
constexpr std::string_view code =
    "if (x == \\\"y\\\") {\\n    return;\\n}\\n// a line of comment\\n";
constexpr std::string_view japanese = "東京は日本の首都です。";

std::string body_of(std::string_view text, std::size_t bytes) {
    std::string body =
        "{\"model\":\"qwen2.5-coder\",\"stream\":true,\"temperature\":0.7,\"max_tokens\":256,"
        "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"
        "{\"role\":\"user\",\"content\":\"";
    while (body.size() + text.size() + 4 < bytes)
        body += text;
    body.append("\"}]}");
    return body;
}

void read(benchmark::State& state, std::string_view text) {
    const std::string body = body_of(text, static_cast<std::size_t>(state.range(0)));
    for ([[maybe_unused]] auto _ : state) {
        BodyReader reader;
        reader.feed(body);
        const Result<RequestFacts> facts = reader.finish();
        benchmark::DoNotOptimize(facts.ok());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}

void read_plain(benchmark::State& state) {
    read(state, plain);
}
void read_code(benchmark::State& state) {
    read(state, code);
}
void read_japanese(benchmark::State& state) {
    read(state, japanese);
}

// As it comes from the socket.
void read_in_buffers(benchmark::State& state) {
    const std::string body = body_of(plain, static_cast<std::size_t>(state.range(0)));
    for ([[maybe_unused]] auto _ : state) {
        BodyReader reader;
        for (std::size_t at = 0; at < body.size(); at += limits::buffer_bytes) {
            reader.feed(std::string_view(body).substr(at, limits::buffer_bytes));
        }
        const Result<RequestFacts> facts = reader.finish();
        benchmark::DoNotOptimize(facts.ok());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}

void plan_both_edits(benchmark::State& state) {
    BodyReader reader;
    reader.feed(body_of(plain, 1024));
    const RequestFacts facts = reader.finish().value();
    for ([[maybe_unused]] auto _ : state) {
        const EditList edits =
            plan_edits(BodyKind::json, facts, {.model = "other", .include_usage = true});
        benchmark::DoNotOptimize(edits.edits().size());
    }
}

BENCHMARK(read_plain)->Arg(1 << 10)->Arg(16 << 10)->Arg(256 << 10)->Arg(1 << 20);
BENCHMARK(read_code)->Arg(1 << 10)->Arg(16 << 10)->Arg(256 << 10)->Arg(1 << 20);
BENCHMARK(read_japanese)->Arg(1 << 10)->Arg(16 << 10)->Arg(256 << 10)->Arg(1 << 20);
BENCHMARK(read_in_buffers)->Arg(16 << 10)->Arg(256 << 10)->Arg(1 << 20);
BENCHMARK(plan_both_edits);

}  // namespace

}  // namespace sluice::llm

BENCHMARK_MAIN();
