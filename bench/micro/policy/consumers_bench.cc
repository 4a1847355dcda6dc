// What it costs to find out who asks: the digest of the key, and the one of many consumers that has
// it.
#include "sluice/policy/consumers.h"

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace sluice::policy {

namespace {

void find_a_consumer(benchmark::State& state) {
    std::vector<config::ConsumerSetting> settings(100);
    const auto key_of = [](std::size_t i) {
        return "sk-0123456789abcdef0123456789abcdef-" + std::to_string(i);
    };
    for (std::size_t i = 0; i < settings.size(); ++i) {
        settings[i].name = std::to_string(i);
        settings[i].keys.push_back({settings[i].name, sha256(key_of(i))});
    }
    const Consumers consumers(settings);
    const std::string key = key_of(70);
    for ([[maybe_unused]] auto _ : state) {
        const auto found = consumers.find(sha256(key));
        benchmark::DoNotOptimize(found->consumer);
    }
}

BENCHMARK(find_a_consumer);

}  // namespace

}  // namespace sluice::policy
