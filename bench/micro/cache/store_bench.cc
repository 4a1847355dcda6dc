// What the store costs a request: a hit, a miss, and an answer that comes in while others must go.
#include "sluice/cache/store.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::cache {

namespace {

constexpr std::uint64_t keys_count = 16 * 1024;
constexpr Duration hour = Duration::seconds(3600);

const std::vector<Key>& keys() {
    static const std::vector<Key> all = [] {
        std::vector<Key> made;
        for (std::uint64_t i = 0; i < 2 * keys_count; ++i)
            made.push_back({sha256({reinterpret_cast<const char*>(&i), sizeof i})});
        return made;
    }();
    return all;
}

std::shared_ptr<const Answer> answer() {
    static const auto made =
        Answer::make({.content_type = "application/json", .model = "m"}, std::string(600, 'x'));
    return made;
}

// Holds as many as the argument says.
void fill(Store& store, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        store.insert(keys()[i], answer(), {}, hour);
}

void store_hit(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    Store store({.bytes = 64 << 20}, 1);
    fill(store, count);
    std::size_t at = 0;
    for ([[maybe_unused]] auto _ : state) {
        const Found found = store.find(keys()[at], {});
        benchmark::DoNotOptimize(found.answer.get());
        at = (at + 7919) % count;
    }
}

void store_miss(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    Store store({.bytes = 64 << 20}, 1);
    fill(store, count);
    std::size_t at = 0;
    for ([[maybe_unused]] auto _ : state) {
        const Found found = store.find(keys()[keys_count + at], {});
        benchmark::DoNotOptimize(found.answer.get());
        at = (at + 7919) % count;
    }
}

// Room for half of the keys: each that comes in has another one go.
void store_insert_full(benchmark::State& state) {
    Store store({.bytes = 64 << 20, .entries = keys_count / 2}, 1);
    fill(store, keys_count);
    std::size_t at = 0;
    for ([[maybe_unused]] auto _ : state) {
        const Stored stored = store.insert(keys()[at], answer(), {}, hour);
        benchmark::DoNotOptimize(stored);
        at = (at + 1) % keys().size();
    }
}

// With the answer made: the copy of its bytes.
void store_insert_new(benchmark::State& state) {
    Store store({.bytes = 8 << 20}, 1);
    const std::string body(static_cast<std::size_t>(state.range(0)), 'x');
    std::size_t at = 0;
    for ([[maybe_unused]] auto _ : state) {
        const Stored stored = store.insert(
            keys()[at], Answer::make({.content_type = "application/json", .model = "m"}, body), {},
            hour);
        benchmark::DoNotOptimize(stored);
        at = (at + 1) % keys().size();
    }
}

BENCHMARK(store_hit)->Arg(100)->Arg(16 << 10);
BENCHMARK(store_miss)->Arg(100)->Arg(16 << 10);
BENCHMARK(store_insert_full);
BENCHMARK(store_insert_new)->Arg(600)->Arg(16 << 10);

}  // namespace

}  // namespace sluice::cache
