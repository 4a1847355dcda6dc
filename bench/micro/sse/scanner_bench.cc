// What it costs to find the events of a stream: 16 events of a token, some 250 bytes each, in one
// run, in a run each, in runs that cut events in two, and in one with CRLF.
#include "sluice/sse/scanner.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

namespace sluice::sse {

namespace {

constexpr int events_per_stream = 16;

std::string stream_of(std::string_view line_end) {
    std::string stream;
    for (int i = 0; i < events_per_stream; ++i) {
        stream +=
            "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\" "
            "room\"}}],\"created\":1763000001,\"id\":\"chatcmpl-AYJYrFSFrGMzfWPPE1iDvhbg6t2yMxFt\","
            "\"model\":\"tiny-chat\",\"system_fingerprint\":\"b1-test\","
            "\"object\":\"chat.completion.chunk\"}";
        stream.append(line_end).append(line_end);
    }
    return stream;
}

// Time is per event.
void scan(benchmark::State& state, const std::string& stream, std::size_t run_bytes) {
    Scanner scanner;
    std::size_t data_bytes = 0;
    for ([[maybe_unused]] auto _ : state) {
        for (std::size_t begin = 0; begin < stream.size(); begin += run_bytes) {
            const std::string_view run = std::string_view(stream).substr(begin, run_bytes);
            Event event;
            for (std::size_t at = 0; scanner.next(run, at, event); at = event.end) {
                data_bytes += event.data.size();
            }
        }
    }
    benchmark::DoNotOptimize(data_bytes);
    const auto streams = static_cast<double>(state.iterations());
    state.counters["per_event"] = benchmark::Counter(
        streams * events_per_stream, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stream.size()));
}

void scan_whole(benchmark::State& state) {
    scan(state, stream_of("\n"), 1 << 20);
}
void scan_crlf(benchmark::State& state) {
    scan(state, stream_of("\r\n"), 1 << 20);
}
// A chunk an event, as model servers send them.
void scan_run_an_event(benchmark::State& state) {
    const std::string stream = stream_of("\n");
    scan(state, stream, stream.size() / events_per_stream);
}
void scan_runs_of_1000_bytes(benchmark::State& state) {
    scan(state, stream_of("\n"), 1000);
}
void scan_runs_of_100_bytes(benchmark::State& state) {
    scan(state, stream_of("\n"), 100);
}

BENCHMARK(scan_whole);
BENCHMARK(scan_crlf);
BENCHMARK(scan_run_an_event);
BENCHMARK(scan_runs_of_1000_bytes);
BENCHMARK(scan_runs_of_100_bytes);

}  // namespace

}  // namespace sluice::sse

BENCHMARK_MAIN();
