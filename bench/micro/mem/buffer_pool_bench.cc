// What a buffer costs on its way: lent, filled, sliced, given back; and small texts that share one.
#include "sluice/mem/buffer_pool.h"

#include "sluice/base/limits.h"

#include <benchmark/benchmark.h>

#include <deque>

namespace sluice::mem {

namespace {

void lend_fill_drop(benchmark::State& state) {
    BufferPool pool(limits::buffer_bytes, 1024);
    for ([[maybe_unused]] auto _ : state) {
        const auto lent = pool.lend();
        benchmark::DoNotOptimize(pool.filled(lent.id, 240));
    }
}
BENCHMARK(lend_fill_drop);

// As many buffers in flight as a busy shard has, oldest given back first: not always the warm one.
void lend_fill_drop_in_flight(benchmark::State& state) {
    BufferPool pool(limits::buffer_bytes, 4096);
    std::deque<Slice> in_flight;
    for (std::int64_t i = 0; i < state.range(0); ++i)
        in_flight.push_back(pool.filled(pool.lend().id, 240));
    for ([[maybe_unused]] auto _ : state) {
        in_flight.pop_front();
        in_flight.push_back(pool.filled(pool.lend().id, 240));
    }
    in_flight.clear();
}
BENCHMARK(lend_fill_drop_in_flight)->Arg(64)->Arg(1024);

void share(benchmark::State& state) {
    BufferPool pool(limits::buffer_bytes, 16);
    const Slice slice = pool.filled(pool.lend().id, 240);
    for ([[maybe_unused]] auto _ : state)
        benchmark::DoNotOptimize(slice.share(10, 200));
}
BENCHMARK(share);

// A chunk's size line.
void write_small(benchmark::State& state) {
    BufferPool pool(limits::buffer_bytes, 16);
    for ([[maybe_unused]] auto _ : state)
        benchmark::DoNotOptimize(pool.write("f3\r\n"));
}
BENCHMARK(write_small);

}  // namespace

}  // namespace sluice::mem

BENCHMARK_MAIN();
