// What a chunk costs in a queue: appended, taken from the front, cut, shared, packed.
#include "sluice/mem/chain.h"

#include "sluice/base/limits.h"

#include <benchmark/benchmark.h>

#include <utility>

namespace sluice::mem {

namespace {

struct Rig {
    Slice received(std::size_t bytes = 240) { return pool.filled(pool.lend().id, bytes); }

    BufferPool pool{limits::buffer_bytes, 4096};
    NodePool nodes;
};

// The relay's way: received, queued, sent, consumed.
void append_consume(benchmark::State& state) {
    Rig rig;
    Chain chain(rig.nodes);
    for ([[maybe_unused]] auto _ : state) {
        chain.append(rig.received());
        chain.consume(240);
    }
}
BENCHMARK(append_consume);

void append_chain(benchmark::State& state) {
    Rig rig;
    Chain queue(rig.nodes);
    for ([[maybe_unused]] auto _ : state) {
        Chain out(rig.nodes);
        out.append(Slice::of_static("f0\r\n"));
        out.append(rig.received());
        out.append(Slice::of_static("\r\n"));
        queue.append(std::move(out));
        queue.consume(queue.size());
    }
}
BENCHMARK(append_chain);

// A body of so many slices, shared for a try and cut where an edit goes.
void share_and_split(benchmark::State& state) {
    Rig rig;
    Chain body(rig.nodes);
    for (std::int64_t i = 0; i < state.range(0); ++i)
        body.append(rig.received(4096));
    for ([[maybe_unused]] auto _ : state) {
        Chain rest = body.share();
        benchmark::DoNotOptimize(rest.split_front(100));
    }
}
BENCHMARK(share_and_split)->Arg(1)->Arg(16)->Arg(256);

// A stream whose client is behind.
void append_compact(benchmark::State& state) {
    Rig rig;
    Chain waiting(rig.nodes);
    for ([[maybe_unused]] auto _ : state) {
        Chain received(rig.nodes);
        received.append(rig.received());
        waiting.append_compact(rig.pool, std::move(received));
        if (waiting.size() > 64 * limits::KiB) waiting.clear();
    }
    state.SetBytesProcessed(state.iterations() * 240);
}
BENCHMARK(append_compact);

}  // namespace

}  // namespace sluice::mem
