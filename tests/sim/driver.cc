#include "driver.h"

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>

namespace sluice::sim {
namespace {

struct Options {
    std::uint64_t seed = 1;
    std::uint64_t count = 100;
    std::string faults = "light";
    std::string regressions;
};

// What is running, for whoever reports a failure: also a signal handler.
struct Running {
    const char* program = "";
    char faults[16] = {};
    std::uint64_t seed = 0;
};
Running running;

void say_how_to_replay() {
    std::fprintf(stderr, "FAILED with seed %llu; replay: %s --faults %s --seed %llu --count 1\n",
                 static_cast<unsigned long long>(running.seed), running.program, running.faults,
                 static_cast<unsigned long long>(running.seed));
}

void on_abort(int) {
    say_how_to_replay();
}

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view flag = argv[i];
        const std::string_view value = argv[i + 1];
        if (flag == "--faults") {
            options.faults = value;
        } else if (flag == "--regressions") {
            options.regressions = value;
        } else {
            const auto read = number(value);
            if (!read) return false;
            if (flag == "--seed")
                options.seed = *read;
            else if (flag == "--count")
                options.count = *read;
            else
                return false;
        }
    }
    return argc % 2 == 1 && Faults::by_name(options.faults).has_value();
}

std::uint64_t run_one(const std::string& faults, std::uint64_t seed,
                      std::uint64_t (*scenario)(const Run&)) {
    std::snprintf(running.faults, sizeof(running.faults), "%s", faults.c_str());
    running.seed = seed;
    const auto known = Faults::by_name(faults);
    if (!known) fail("no faults of the name " + faults);
    return scenario({seed, *known, faults != "none"});
}

std::uint64_t run_file(const std::string& path, std::uint64_t (*scenario)(const Run&)) {
    std::ifstream file(path);
    if (!file) fail("cannot read " + path);
    std::uint64_t done = 0;
    for (std::string line; std::getline(file, line);) {
        line = line.substr(0, line.find('#'));
        const auto space = line.find(' ');
        if (space == std::string::npos) continue;
        const auto last = line.find_last_not_of(' ');
        const auto seed = number(std::string_view(line).substr(space + 1, last - space));
        if (!seed) fail("no seed in this line of " + path + ": " + line);
        done += run_one(line.substr(0, space), *seed, scenario);
    }
    return done;
}

}  // namespace

void fail(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::abort();
}

int drive(int argc, char** argv, const char* unit, std::uint64_t (*scenario)(const Run& run)) {
    Options options;
    if (!parse(argc, argv, options)) {
        std::fprintf(stderr,
                     "usage: %s [--seed N] [--count M] [--faults none|light|heavy] "
                     "[--regressions FILE]\n",
                     argv[0]);
        return 2;
    }
    running.program = argv[0];
    std::signal(SIGABRT, on_abort);
    std::uint64_t done = 0;
    if (!options.regressions.empty()) done += run_file(options.regressions, scenario);
    for (std::uint64_t i = 0; i < options.count; ++i)
        done += run_one(options.faults, options.seed + i, scenario);
    const auto wide = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    if (options.count == 0)
        std::printf("%llu %s that once failed: all invariants held\n", wide(done), unit);
    else
        std::printf("%llu %s, seeds %llu to %llu, faults %s: all invariants held\n", wide(done),
                    unit, wide(options.seed), wide(options.seed + options.count - 1),
                    options.faults.c_str());
    return 0;
}

}  // namespace sluice::sim

// Called by the address sanitizer before it ends the program.
extern "C" void __asan_on_error();
extern "C" void __asan_on_error() {
    sluice::sim::say_how_to_replay();
}
