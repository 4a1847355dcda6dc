// What a request pays to the breaker: to be admitted, to begin, and to be recorded.
#include "sluice/policy/breaker.h"

#include <benchmark/benchmark.h>

namespace sluice::policy {

namespace {

struct Rig {
    BreakerLimits limits;
    Prng prng{1};
    Breaker breaker;
    Instant now{1};

    BreakerChange run(Breaker::Outcome outcome) {
        const Breaker::Begun begun = breaker.begin(now);
        return breaker.record(begun.attempt, outcome, now, limits, prng);
    }
};

void admit(benchmark::State& state) {
    Rig rig;
    for ([[maybe_unused]] auto _ : state) {
        rig.now = rig.now + Duration::micros(10);
        benchmark::DoNotOptimize(rig.breaker.admit(rig.now));
    }
}

void begin_and_succeed(benchmark::State& state) {
    Rig rig;
    for ([[maybe_unused]] auto _ : state) {
        rig.now = rig.now + Duration::micros(10);
        benchmark::DoNotOptimize(rig.run(Breaker::Outcome::success).cause);
    }
}

// Every third fails: the window is summed each time.
void begin_and_fail(benchmark::State& state) {
    Rig rig;
    int count = 0;
    for ([[maybe_unused]] auto _ : state) {
        rig.now = rig.now + Duration::micros(10);
        const bool failed = ++count % 3 == 0;
        benchmark::DoNotOptimize(
            rig.run(failed ? Breaker::Outcome::failure : Breaker::Outcome::success).cause);
    }
}

BENCHMARK(admit);
BENCHMARK(begin_and_succeed);
BENCHMARK(begin_and_fail);

}  // namespace

}  // namespace sluice::policy
