// What a look for a near question costs: with a full index of one context, by dimensions; where
// others' contexts are passed over; and the guards of two questions.
#include "sluice/cache/semantic/guards.h"
#include "sluice/cache/semantic/index.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice::cache::semantic {

namespace {

constexpr std::size_t all = ~std::size_t{0};

std::vector<float> vector_of(std::uint64_t seed, std::size_t dimensions) {
    std::vector<float> out(dimensions);
    for (float& number : out) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        number = static_cast<float>(static_cast<std::int32_t>(seed >> 32));
    }
    return out;
}

Key key_of(std::uint64_t number) {
    return {sha256({reinterpret_cast<const char*>(&number), sizeof number})};
}

// `contexts`: as many share the index.
void search(benchmark::State& state, std::uint64_t contexts) {
    const auto dimensions = static_cast<std::size_t>(state.range(0));
    const auto entries = static_cast<std::size_t>(state.range(1));
    Index index(dimensions, {.entries = entries});
    for (std::uint64_t i = 0; i < entries; ++i)
        index.add(vector_of(i, dimensions), key_of(i % contexts), key_of(i), {});
    const std::vector<float> question = vector_of(entries, dimensions);
    const Key context = key_of(0);
    for ([[maybe_unused]] auto _ : state) {
        Search look(index, context, 0.97f, Duration::seconds(3600));
        look.set_question(question);
        const bool more = look.step(all, all, {});
        benchmark::DoNotOptimize(more);
    }
    state.SetItemsProcessed(state.iterations() * state.range(1));
}

void search_one_context(benchmark::State& state) {
    search(state, 1);
}
void search_hundred_contexts(benchmark::State& state) {
    search(state, 100);
}
void guard_two_questions(benchmark::State& state) {
    constexpr std::string_view a =
        "Could you explain to me how the tide works in the Bay of Fundy?";
    constexpr std::string_view b = "Please explain how tides work in the Bay of Fundy";
    for ([[maybe_unused]] auto _ : state) {
        const Guard fired = guard(a, b);
        benchmark::DoNotOptimize(fired);
    }
}

BENCHMARK(search_one_context)->Args({384, 1000})->Args({384, 50'000})->Args({1024, 50'000});
BENCHMARK(search_hundred_contexts)->Args({384, 50'000});
BENCHMARK(guard_two_questions);

}  // namespace

}  // namespace sluice::cache::semantic
