// What it costs to let a request wait for a slot, to tell its place, and to let it go.
#include "sluice/policy/wait_queue.h"

#include <benchmark/benchmark.h>

#include <array>

namespace sluice::policy {

namespace {

struct Request final : Waiter {};

constexpr std::size_t requests_max = 1000;

// A queue in which `requests` of `consumers` wait, and one more that the benchmark moves.
class Filled {
public:
    Filled(std::size_t requests, std::size_t consumers)
        : queue(requests_max + 1, Duration::seconds(2)) {
        for (std::size_t i = 0; i < requests; ++i)
            benchmark::DoNotOptimize(queue.try_push(waiting_[i], 0, i % consumers, {}));
    }
    ~Filled() {
        while (!queue.empty())
            queue.pop_next();
    }

    WaitQueue queue;
    Request one;

private:
    std::array<Request, requests_max> waiting_;
};

void queue_push_and_pop(benchmark::State& state) {
    Filled filled(100, 10);
    Waiter* next = &filled.one;
    std::uint64_t consumer = 0;
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(filled.queue.try_push(*next, 0, consumer++ % 10, {}));
        next = &filled.queue.pop_next();
    }
}

void queue_push_and_remove_of_a_new_consumer(benchmark::State& state) {
    Filled filled(100, 10);
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(filled.queue.try_push(filled.one, 0, 77, {}));
        filled.queue.remove(filled.one);
    }
}

void queue_position_of_the_last_of_a_thousand(benchmark::State& state) {
    Filled filled(requests_max, 10);
    benchmark::DoNotOptimize(filled.queue.try_push(filled.one, 0, 9, {}));
    for ([[maybe_unused]] auto _ : state)
        benchmark::DoNotOptimize(filled.queue.position(filled.one));
}

BENCHMARK(queue_push_and_pop);
BENCHMARK(queue_push_and_remove_of_a_new_consumer);
BENCHMARK(queue_position_of_the_last_of_a_thousand);

}  // namespace

}  // namespace sluice::policy
