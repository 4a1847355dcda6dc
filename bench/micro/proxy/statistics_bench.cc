// What counting costs: a read of a stream, a settled request among as many rows as a full catalog
// has, and the sum over shards that a scrape of the metrics makes.
#include "sluice/proxy/statistics.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::proxy {

namespace {

std::string model_of(std::int64_t i) {
    return "model-" + std::to_string(i);
}
constexpr const char* backend = "http://127.0.0.1:8081";

Statistics with_rows(std::int64_t count) {
    Statistics statistics;
    for (std::int64_t i = 0; i < count; ++i)
        statistics.row("team-a", model_of(i), backend);
    return statistics;
}

// 20 ms between two tokens, as a small model on a good card has it.
void count_a_read(benchmark::State& state) {
    Statistics statistics;
    Duration gap = Duration::millis(20);
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(gap);
        statistics.between_tokens.observe(gap);
    }
    benchmark::DoNotOptimize(statistics.between_tokens);
}
BENCHMARK(count_a_read);

void count_a_request(benchmark::State& state) {
    Statistics statistics = with_rows(state.range(0));
    const std::string model = model_of(state.range(0) / 2);
    for ([[maybe_unused]] auto _ : state) {
        ++statistics.exchanges_ended[static_cast<std::size_t>(End::ok)];
        Served& row = statistics.row("team-a", model, backend);
        ++row.requests[2][static_cast<std::size_t>(End::ok)];
        row.prompt_tokens += 24;
        row.completion_tokens += 5;
        statistics.duration.observe(Duration::millis(800));
        statistics.overhead.observe(Duration::micros(8));
        statistics.first_token.observe(Duration::millis(40));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(count_a_request)->Arg(1)->Arg(64);

void sum_shards(benchmark::State& state) {
    const Statistics shard = with_rows(state.range(0));
    Statistics sum = with_rows(state.range(0));
    for ([[maybe_unused]] auto _ : state) {
        sum.add(shard);
        benchmark::ClobberMemory();
    }
}
BENCHMARK(sum_shards)->Arg(1)->Arg(64);

}  // namespace

}  // namespace sluice::proxy
