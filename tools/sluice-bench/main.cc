// sluice-bench: the load generator. Reads the flags, makes the requests, runs one load or a
// comparison, prints the table and writes the reports.
#include "comparison.h"
#include "options.h"
#include "report.h"
#include "sluice/config/settings.h"
#include "table.h"

#include <fmt/format.h>

#include <sys/resource.h>

#include <csignal>
#include <cstdio>

namespace {

using namespace sluice;
using namespace sluice::bench;

int fail(std::string_view message) {
    fmt::print(stderr, "sluice-bench: {}\n", message);
    return 1;
}

// A connection takes a descriptor; the soft limit is often 1024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string stalled_text(const Options& options, const std::vector<RequestKind>& kinds,
                         const Addressee& to) {
    const auto request = make_requests({stalled_kind(kinds, options.stalled_tokens)}, to).front();
    const std::string flood = fmt::format("{}: 1", Origin::flood_field);
    return request.text_with(options.origin.empty() ? "" : flood);
}

// The load for one target.
Result<Load> load_for(const Options& options, const TargetOption& target,
                      const std::vector<RequestKind>& kinds) {
    auto url = net::parse_url(target.url);
    if (!url) return Error::client(400, fmt::format("{}: {}", target.url, url.error().message));
    if (!url->address.is_loopback() && !options.allow_remote)
        return Error::client(400, fmt::format("{} is not on this machine: --allow-remote if you "
                                              "may load it",
                                              target.url));
    Addressee to{.host = url->host,
                 .path_prefix = url->path,
                 .fields = options.fields,
                 .keep_alive = options.load.keep_alive};
    if (!options.api_key.empty()) to.fields.push_back("Authorization: Bearer " + options.api_key);
    Load load = options.load;
    load.address = url->address;
    load.requests = make_requests(kinds, to);
    for (auto& request : load.requests)
        request.expectation.stamped = request.expectation.stream && !options.origin.empty();
    load.stalled.count = target.stalled.value_or(load.stalled.count);
    load.stalled.text = stalled_text(options, kinds, to);
    return load;
}

Result<std::vector<RequestKind>> kinds_of(const Options& options) {
    if (options.scenario_file.empty()) return std::vector<RequestKind>{options.kind};
    auto text = read_file(options.scenario_file);
    if (!text) return text.error();
    return parse_scenario(text.value());
}

void warn_of_missed_rate(const Tally& tally, std::string_view target) {
    if (const auto text = shown_missed_rate(tally); !text.empty())
        fmt::print(stderr, "sluice-bench: warning: {}{}\n", target, text);
}

int run_one(const Options& options, Worker& worker, const Load& load) {
    Window window = options.window;
    window.pid = options.targets.front().pid;
    ProgressLine progress("");
    const auto measured =
        run(worker, load, window, [&](const Sighting& sighting) { progress.show(sighting); });
    if (!measured) return fail(measured.error().message);
    const auto metrics = metrics_of(measured.value());
    fmt::print("{}", table_of(measured.value(), metrics));
    warn_of_missed_rate(measured.value().tally, "");
    if (auto written = write_reports(options, measured.value(), metrics); !written)
        return fail(written.error().message);
    const Tally& tally = measured.value().tally;
    const bool nothing = tally.requests == 0 && tally.events == 0;
    if (nothing) return fail("no answer in all that time");
    return tally.failed() == 0 ? 0 : 1;
}

int run_comparison(const Options& options, Worker& worker, const std::vector<Load>& loads) {
    std::vector<std::string> names;
    for (const auto& target : options.targets)
        names.push_back(target.name);
    Comparison comparison(names);
    for (std::uint32_t round = 0; round < options.rounds; ++round) {
        for (std::size_t i = 0; i < loads.size(); ++i) {
            const std::size_t at = round % 2 == 0 ? i : loads.size() - 1 - i;
            Window window = options.window;
            window.pid = options.targets[at].pid;
            ProgressLine progress(
                fmt::format("round {} of {}, {}: ", round + 1, options.rounds, names[at]));
            const auto measured = run(worker, loads[at], window,
                                      [&](const Sighting& sighting) { progress.show(sighting); });
            if (!measured) return fail(measured.error().message);
            comparison.add(at, measured.value());
        }
    }
    fmt::print("{}", table_of(comparison));
    for (const auto& target : comparison.targets())
        warn_of_missed_rate(target.tally, target.name + ": ");
    if (auto written = write_reports(options, comparison); !written)
        return fail(written.error().message);
    for (const auto& target : comparison.targets())
        if (target.tally.failed() > 0) return 1;
    return 0;
}

int go(const Options& options) {
    std::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    const auto kinds = kinds_of(options);
    if (!kinds) return fail(kinds.error().message);
    std::vector<Load> loads;
    for (const auto& target : options.targets) {
        auto load = load_for(options, target, kinds.value());
        if (!load) return fail(load.error().message);
        loads.push_back(std::move(load).value());
    }
    auto worker = Worker::create();
    if (!worker) return fail(worker.error().message);
    if (!options.origin.empty()) {
        const auto address = net::Address::parse(options.origin);
        if (!address) return fail(address.error().message);
        if (auto opened = (*worker)->open_origin(address.value(), options.origin_script); !opened)
            return fail(fmt::format("{}: {}", options.origin, opened.error().message));
    }
    return options.compare ? run_comparison(options, **worker, loads)
                           : run_one(options, **worker, loads.front());
}

}  // namespace

int main(int argc, char** argv) {
    const auto command = parse_command_line(argc, argv);
    return command.exit_code ? *command.exit_code : go(command.options);
}
