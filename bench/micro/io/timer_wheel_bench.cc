// What deadlines cost: armed, moved away again and again, fired, and a tick with nothing due,
// beside as many timers as a busy shard has connections.
#include "sluice/io/timer_wheel.h"

#include "sluice/base/prng.h"

#include <benchmark/benchmark.h>

#include <deque>

namespace sluice::io {

namespace {

constexpr Instant start{1'000'000'000'000};

struct Rig {
    explicit Rig(std::int64_t count) : wheel(start) {
        for (std::int64_t i = 0; i < count; ++i) {
            timers.emplace_back(nullptr, [](void*) {});
            wheel.arm(timers.back(), start + far());
        }
    }
    ~Rig() {
        for (Timer& timer : timers)
            wheel.disarm(timer);
    }
    Duration far() {
        return Duration::millis(static_cast<std::int64_t>(prng.between(1000, 60'000)));
    }

    Prng prng{1};
    TimerWheel wheel;
    std::deque<Timer> timers;
};

void arm_disarm(benchmark::State& state) {
    Rig rig(state.range(0));
    Timer timer(nullptr, [](void*) {});
    std::int64_t ms = 0;
    for ([[maybe_unused]] auto _ : state) {
        rig.wheel.arm(timer, start + Duration::millis(1 + ms++ % 100'000));
        rig.wheel.disarm(timer);
    }
}
BENCHMARK(arm_disarm)->Arg(10)->Arg(10'000);

// The gap deadline of a stream: put off with every token.
void put_off(benchmark::State& state) {
    Rig rig(state.range(0));
    Timer timer(nullptr, [](void*) {});
    Instant now = start;
    for ([[maybe_unused]] auto _ : state) {
        now = now + Duration::micros(100);
        rig.wheel.arm(timer, now + Duration::seconds(60));
    }
    rig.wheel.disarm(timer);
}
BENCHMARK(put_off)->Arg(10'000);

// A turn of the loop: when to wake, and nothing is due.
void next_and_advance(benchmark::State& state) {
    Rig rig(state.range(0));
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(rig.wheel.next());
        rig.wheel.advance(start);
    }
}
BENCHMARK(next_and_advance)->Arg(10)->Arg(10'000);

// Timers fire and arm themselves anew, cascades included; a turn is a tenth of a second.
struct Again {
    Rig& rig;
    Instant& now;
    std::int64_t& fired;
    Timer timer{this, [](void* self) {
                    auto& again = *static_cast<Again*>(self);
                    again.rig.wheel.arm(again.timer, again.now + again.rig.far());
                    ++again.fired;
                }};
};

void fire(benchmark::State& state) {
    Rig rig(0);
    Instant now = start;
    std::int64_t fired = 0;
    std::deque<Again> timers;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        Again& again = timers.emplace_back(rig, now, fired);
        rig.wheel.arm(again.timer, now + rig.far());
    }
    for ([[maybe_unused]] auto _ : state) {
        now = now + Duration::millis(100);
        rig.wheel.advance(now);
    }
    for (Again& again : timers)
        rig.wheel.disarm(again.timer);
    state.SetItemsProcessed(fired);
}
BENCHMARK(fire)->Arg(10'000);

}  // namespace

}  // namespace sluice::io

BENCHMARK_MAIN();
