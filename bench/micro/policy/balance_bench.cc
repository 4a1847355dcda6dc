// What a choice of backend costs, of each kind and for pools of two and of sixteen, and what the
// index of prefixes costs by the length of the prompt.
#include "sluice/policy/balance.h"

#include "sluice/policy/hash.h"
#include "sluice/policy/prefix_index.h"

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace sluice::policy {

namespace {

struct Pool {
    explicit Pool(std::size_t size) : states(size), candidates(size) {
        for (std::size_t i = 0; i < size; ++i) {
            states[i].latency.observe(Duration::millis(static_cast<std::int64_t>(100 + i)), {});
            candidates[i] = {.backend = static_cast<std::uint32_t>(i),
                             .identity = mix(i + 1),
                             .slots = 8,
                             .in_flight = static_cast<std::uint32_t>(i % 3),
                             .state = &states[i]};
        }
    }
    std::vector<BalanceState> states;
    std::vector<Candidate> candidates;
    Prng prng{1};
};

void choose_kind(benchmark::State& state, BalanceKind kind) {
    Pool pool(static_cast<std::size_t>(state.range(0)));
    PrefixMatch match;
    match.prompt_bytes = 10'000;
    match.matched[1] = 30;
    match.homes = 2;
    std::uint64_t key = 0;
    for ([[maybe_unused]] auto _ : state) {
        const Choice choice = choose({.kind = kind, .key = ++key, .match = &match, .now = {}},
                                     pool.candidates, pool.prng);
        benchmark::DoNotOptimize(choice.index);
    }
}

void choose_round_robin(benchmark::State& state) {
    choose_kind(state, BalanceKind::round_robin);
}
void choose_least_busy(benchmark::State& state) {
    choose_kind(state, BalanceKind::least_busy);
}
void choose_least_latency(benchmark::State& state) {
    choose_kind(state, BalanceKind::least_latency);
}
void choose_hash(benchmark::State& state) {
    choose_kind(state, BalanceKind::hash);
}
void choose_prefix(benchmark::State& state) {
    choose_kind(state, BalanceKind::prefix);
}

std::string prompt_of(std::size_t bytes) {
    std::string prompt(bytes, ' ');
    Prng prng(bytes);
    for (char& c : prompt)
        c = static_cast<char>('a' + prng.below(26));
    return prompt;
}

void hash_prompt(benchmark::State& state) {
    const std::string prompt = prompt_of(static_cast<std::size_t>(state.range(0)));
    PrefixHashes hashes;
    for ([[maybe_unused]] auto _ : state) {
        PrefixHasher hasher(hashes, 1, 600);
        hasher.feed(prompt);
        hasher.finish();
        benchmark::DoNotOptimize(hashes.count);
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}

// A turn of a conversation that was recorded before.
void look_up_and_record(benchmark::State& state) {
    const std::string prompt = prompt_of(static_cast<std::size_t>(state.range(0)));
    PrefixHashes hashes;
    PrefixHasher hasher(hashes, 1, 600);
    hasher.feed(prompt);
    hasher.finish();
    PrefixIndex index(64 * 1024);
    Pool pool(2);
    index.record(hashes, 0);
    for ([[maybe_unused]] auto _ : state) {
        const PrefixMatch match = index.lookup(hashes, pool.candidates);
        benchmark::DoNotOptimize(match.homes);
        index.record(hashes, 0);
    }
}

BENCHMARK(choose_round_robin)->Arg(2)->Arg(16);
BENCHMARK(choose_least_busy)->Arg(2)->Arg(16);
BENCHMARK(choose_least_latency)->Arg(2)->Arg(16);
BENCHMARK(choose_hash)->Arg(2)->Arg(16);
BENCHMARK(choose_prefix)->Arg(2)->Arg(16);
BENCHMARK(hash_prompt)->Arg(1 << 10)->Arg(16 << 10)->Arg(256 << 10);
BENCHMARK(look_up_and_record)->Arg(1 << 10)->Arg(16 << 10)->Arg(256 << 10);

}  // namespace

}  // namespace sluice::policy

BENCHMARK_MAIN();
