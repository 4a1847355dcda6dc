#include <benchmark/benchmark.h>

#include <gnu/libc-version.h>
#include <valgrind/callgrind.h>

#include <cstdio>
#include <deque>
#include <string_view>

namespace benchmark {

namespace {

std::deque<Benchmark>& all() {
    static std::deque<Benchmark> benchmarks;
    return benchmarks;
}

// What changes counts though the code is the same.
void print_made_with() {
#ifdef __clang__
    constexpr const char* compiler = "clang " __VERSION__;
#else
    constexpr const char* compiler = "g++ " __VERSION__;
#endif
    std::printf("%s, glibc %s\n", compiler, gnu_get_libc_version());
}

}  // namespace

// Kept out of the loops, so that they are compiled as they are without it.
[[gnu::noinline]] std::size_t State::next_phase() {
    if (counting_) {
        CALLGRIND_STOP_INSTRUMENTATION;
        return 0;
    }
    counting_ = true;
    CALLGRIND_START_INSTRUMENTATION;
    return turns_counted;
}

std::vector<std::string> Benchmark::names() const {
    if (arguments_.empty()) return {name_};
    std::vector<std::string> names;
    for (const std::int64_t argument : arguments_)
        names.push_back(name_ + "/" + std::to_string(argument));
    return names;
}

bool Benchmark::run(const std::string& name) const {
    const auto known = names();
    for (std::size_t i = 0; i < known.size(); ++i) {
        if (known[i] != name) continue;
        State state(arguments_.empty() ? 0 : arguments_[i]);
        function_(state);
        return true;
    }
    return false;
}

Benchmark* add(std::string name, Benchmark::Function function) {
    return &all().emplace_back(std::move(name), function);
}

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--made-with") {
        print_made_with();
        return 0;
    }
    for (const Benchmark& benchmark : all()) {
        if (argc == 2 && benchmark.run(argv[1])) {
            std::printf("%zu\n", State::turns_counted);
            return 0;
        }
        if (argc == 1)
            for (const auto& name : benchmark.names())
                std::printf("%s\n", name.c_str());
    }
    return argc == 1 ? 0 : 2;
}

}  // namespace benchmark
