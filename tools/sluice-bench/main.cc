// sluice-bench: the load generator. Reads the flags, makes the requests, runs one load or a
// comparison, prints the table and writes the reports.
#include "comparison.h"
#include "interrupt.h"
#include "options.h"
#include "report.h"
#include "setup.h"
#include "table.h"

#include <fmt/format.h>

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <ctime>

namespace {

using namespace sluice;
using namespace sluice::bench;

constexpr int exit_failed = 1;

int fail(std::string_view message) {
    fmt::print(stderr, "sluice-bench: {}\n", message);
    return exit_failed;
}

// A connection takes a descriptor; the soft limit is often 1024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

void warn_of_missed_rate(const Tally& tally, std::string_view target) {
    if (const auto text = shown_missed_rate(tally); !text.empty())
        fmt::print(stderr, "sluice-bench: warning: {}{}\n", target, text);
}

Result<Measured> measure(Worker& worker, const Load& load, const Options& options, pid_t pid,
                         std::string label) {
    Window window = options.window;
    window.pid = pid;
    window.interrupted = &interrupt_flag();
    ProgressLine progress(std::move(label));  // gone when the table comes
    return run(worker, load, window, [&](const Sighting& sighting) { progress.show(sighting); });
}

int run_one(const Options& options, const Heading& heading, Worker& worker, const Load& load) {
    const auto measured = measure(worker, load, options, options.targets.front().pid, "");
    if (!measured) return fail(measured.error().message);
    const auto metrics = metrics_of(measured.value());
    fmt::print("{}", table_of(measured.value(), metrics));
    const Tally& tally = measured.value().tally;
    warn_of_missed_rate(tally, "");
    if (auto written = write_reports(options, heading, measured.value(), metrics); !written)
        return fail(written.error().message);
    if (measured.value().interrupted) return exit_interrupted;
    const bool nothing = tally.requests == 0 && tally.events == 0;
    if (nothing) return fail("no answer in all that time");
    return tally.failed() == 0 ? 0 : exit_failed;
}

// All targets once; what they measured in the targets' order, or less of it when interrupted.
Result<std::vector<Measured>> run_round(const Options& options, Worker& worker,
                                        const std::vector<Load>& loads, std::uint32_t round) {
    std::vector<Measured> all(loads.size());
    for (std::size_t i = 0; i < loads.size(); ++i) {
        const std::size_t at = round % 2 == 0 ? i : loads.size() - 1 - i;
        const TargetOption& target = options.targets[at];
        auto measured =
            measure(worker, loads[at], options, target.pid,
                    fmt::format("round {} of {}, {}: ", round + 1, options.rounds, target.name));
        if (!measured) return measured.error();
        all[at] = std::move(measured).value();
        if (all[at].interrupted) return std::vector<Measured>{};
    }
    return all;
}

int run_comparison(const Options& options, const Heading& heading, Worker& worker,
                   const std::vector<Load>& loads) {
    std::vector<std::string> names;
    for (const auto& target : options.targets)
        names.push_back(target.name);
    Comparison comparison(names);
    for (std::uint32_t round = 0; round < options.rounds && !comparison.interrupted(); ++round) {
        auto measured = run_round(options, worker, loads, round);
        if (!measured) return fail(measured.error().message);
        if (measured->empty()) comparison.interrupt();
        for (std::size_t i = 0; i < measured->size(); ++i)
            comparison.add(i, (*measured)[i]);
    }
    if (comparison.targets().front().rounds.empty()) {
        fail("interrupted before the end of the first round: there is nothing to report");
        return exit_interrupted;
    }
    fmt::print("{}", table_of(comparison));
    for (const auto& target : comparison.targets())
        warn_of_missed_rate(target.tally, target.name + ": ");
    if (auto written = write_reports(options, heading, comparison); !written)
        return fail(written.error().message);
    if (comparison.interrupted()) return exit_interrupted;
    for (const auto& target : comparison.targets())
        if (target.tally.failed() > 0) return exit_failed;
    return 0;
}

int go(const Options& options) {
    std::signal(SIGPIPE, SIG_IGN);
    watch_for_interrupts();
    raise_descriptor_limit();
    auto setup = set_up(options);
    if (!setup) {
        fail(setup.error().message);
        return exit_bad_flags;
    }
    auto worker = Worker::create();
    if (!worker) return fail(worker.error().message);
    if (!options.origin.empty()) {
        const auto address = net::Address::parse(options.origin);
        if (!address) {
            fail("--origin: " + address.error().message);
            return exit_bad_flags;
        }
        if (auto opened = (*worker)->open_origin(address.value(), options.origin_script); !opened)
            return fail(fmt::format("{}: {}", options.origin, opened.error().message));
    }
    const auto heading = heading_of(options, setup->kinds, std::time(nullptr));
    return options.compare ? run_comparison(options, heading, **worker, setup->loads)
                           : run_one(options, heading, **worker, setup->loads.front());
}

}  // namespace

int main(int argc, char** argv) {
    const auto command = parse_command_line(argc, argv);
    return command.exit_code ? *command.exit_code : go(command.options);
}
