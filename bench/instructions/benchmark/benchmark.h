// Stands in for Google Benchmark where instructions are counted instead of time: what the programs
// under bench/micro use of it, with a fixed number of turns, so that two runs count the same.
//
// The first turns are not counted: they fill pools and caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace benchmark {

struct Counter {
    enum Flags : unsigned { kIsRate = 1, kInvert = 2 };
    Counter() = default;
    Counter(double /*value*/, unsigned /*flags*/) {}
};

class State {
public:
    static constexpr std::size_t turns_before = 20;
    static constexpr std::size_t turns_counted = 100;

    explicit State(std::int64_t argument) : argument_(argument) {}

    struct [[maybe_unused]] Turn {};
    struct End {};
    // Costs a turn no more than a decrement and a jump.
    class Iterator {
    public:
        explicit Iterator(State& state) : state_(state) {}
        bool operator!=(End /*end*/) {
            if (left_ == 0) left_ = state_.next_phase();
            return left_ != 0;
        }
        void operator++() { --left_; }
        Turn operator*() const { return {}; }

    private:
        State& state_;
        std::size_t left_ = turns_before;
    };
    Iterator begin() { return Iterator(*this); }
    End end() const { return {}; }

    std::int64_t range(std::size_t /*position*/) const { return argument_; }
    std::size_t iterations() const { return turns_counted; }
    void SetBytesProcessed(std::int64_t /*bytes*/) {}
    void SetItemsProcessed(std::int64_t /*items*/) {}
    std::map<std::string, Counter> counters;

private:
    // The turns that come next: the counted ones, then none.
    std::size_t next_phase();

    std::int64_t argument_;
    bool counting_ = false;
};

class Benchmark {
public:
    using Function = void (*)(State& state);

    Benchmark(std::string name, Function function) : name_(std::move(name)), function_(function) {}

    Benchmark* Arg(std::int64_t argument) {
        arguments_.push_back(argument);
        return this;
    }
    // "name", or "name/argument" for each.
    std::vector<std::string> names() const;
    // False: not one of its names.
    bool run(const std::string& name) const;

private:
    std::string name_;
    Function function_;
    std::vector<std::int64_t> arguments_;
};

Benchmark* add(std::string name, Benchmark::Function function);

// Without an argument prints the names; with a name runs that one and prints how many turns were
// counted; with --made-with prints the compiler and the C library.
int main(int argc, char** argv);

template <class T>
void DoNotOptimize(const T& value) {
    asm volatile("" : : "r,m"(value) : "memory");
}
template <class T>
void DoNotOptimize(T& value) {
    asm volatile("" : "+m"(value) : : "memory");
}
inline void ClobberMemory() {
    asm volatile("" : : : "memory");
}

}  // namespace benchmark

#define BENCHMARK(function)                                                      \
    [[maybe_unused]] static ::benchmark::Benchmark* const function##_benchmark = \
        ::benchmark::add(#function, function)

#define BENCHMARK_CAPTURE(function, name, ...)                                            \
    [[maybe_unused]] static ::benchmark::Benchmark* const function##_##name##_benchmark = \
        ::benchmark::add(#function "/" #name,                                             \
                         [](::benchmark::State& state) { function(state, __VA_ARGS__); })

#define BENCHMARK_MAIN()                      \
    int main(int argc, char** argv) {         \
        return ::benchmark::main(argc, argv); \
    }
