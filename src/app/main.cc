// sluice: the composition root. Reads the flags, binds, starts the shards, says what is served,
// waits for a signal, drains.
#include "flags.h"
#include "sluice/admin/metrics.h"
#include "sluice/io/ring.h"
#include "sluice/policy/route.h"
#include "sluice/policy/route_table.h"
#include "sluice/shard/shards.h"

#include <fmt/format.h>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace sluice;

constexpr int exit_failure = 1;
constexpr int exit_bad_flag = 2;

int fail(const std::string& message, int code = exit_failure) {
    fmt::print(stderr, "sluice: {}\n", message);
    return code;
}

// Whether the addresses and URLs in the flags can be read at all.
Status check_flags(const config::Settings& settings) {
    for (const auto& listener : settings.listen)
        if (const auto address = net::Address::parse(listener.address); !address)
            return Error::gateway("--listen: " + address.error().message);
    if (const auto plan = upstream::WatchPlan::create(settings, {}); !plan) return plan.error();
    if (const auto rules = policy::RuleTable::compile(settings.rules); !rules) return rules.error();
    if (const auto routes = policy::RouteTable::compile(settings.routes); !routes)
        return routes.error();
    return Done{};
}

// Each stream takes two descriptors; the soft limit is often 1024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

sigset_t set_of(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals)
        sigaddset(&set, signal);
    return set;
}

// Signals are waited for, not handled: every thread is born with them blocked.
void block_signals() {
    const sigset_t awaited = set_of({SIGINT, SIGTERM, SIGHUP, SIGUSR1});
    pthread_sigmask(SIG_BLOCK, &awaited, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error where it is written
}

// Returns when the gateway shall end. Whoever rotates logs says SIGHUP or SIGUSR1: nothing ends.
void await_stop(shard::LogWriter& log) {
    const sigset_t awaited = set_of({SIGINT, SIGTERM, SIGHUP, SIGUSR1});
    for (;;) {
        int signal = 0;
        sigwait(&awaited, &signal);
        if (signal == SIGINT || signal == SIGTERM) return;
        log.reopen();
    }
}

void announce(const shard::Shards& shards, const shard::Findings& findings,
              const config::Settings& settings) {
    const net::Address& first = shards.addresses().front();
    for (const auto& address : shards.addresses())
        fmt::print("sluice " SLUICE_VERSION " listening on {}{}\n",
                   address.is_unix() ? "" : "http://", address.to_string());
    if (!findings.asked.empty()) fmt::print("asks: {}\n", fmt::join(findings.asked, ", "));
    for (const auto& complaint : findings.complaints)
        fmt::print("not answering: {}\n", complaint);
    for (const auto& hint : findings.hints)
        fmt::print("no model known: {}\n", hint);
    for (const auto& refusal : findings.refusals)
        fmt::print("refused: {}\n", refusal);
    for (const auto& name : findings.idle_names)
        fmt::print("leads to nothing: {}\n", name);
    if (!findings.awaited.empty()) fmt::print("no answer yet: {}\n", findings.awaited);
    for (const auto& route : settings.routes) {
        std::vector<std::string> urls;
        for (const auto& backend : route.backends)
            urls.push_back(backend.url);
        fmt::print("route: {} ({})\n", route.path, fmt::join(urls, ", "));
    }
    if (findings.models.empty() && !findings.awaited.empty()) {
        fmt::print("models: none known yet\n");
    } else if (findings.models.empty() && !settings.routes.empty()) {
        fmt::print("models: none found\n");
    } else if (findings.models.empty() && findings.asked.empty() && !settings.discover) {
        fmt::print(
            "models: none, for discovery is off and no server is named. Name one with --backend "
            "http://host:port or in the settings; `sluice discover` shows what is there\n");
    } else if (findings.models.empty()) {
        const std::string looked =
            findings.asked.empty()
                ? " on 127.0.0.1, ports " + upstream::ports_text(upstream::well_known_ports())
                : "";
        fmt::print(
            "models: none found{}. Start a model server (for example llama-server on port "
            "8080), or name one with --backend http://host:port; `sluice discover` shows what is "
            "there\n",
            looked);
    } else {
        std::string list;
        for (const auto& model : findings.models)
            list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", model.name,
                                fmt::join(model.urls, ", "));
        fmt::print("models: {}\n", list);
        const std::string where =
            first.is_unix() ? fmt::format("--unix-socket {} http://localhost", first.path())
                            : "http://" + first.to_string();
        fmt::print(
            "try: curl -N {}/v1/chat/completions -H 'Content-Type: application/json' -d "
            "'{{\"model\":\"{}\",\"stream\":true,\"messages\":[{{\"role\":\"user\","
            "\"content\":\"hello\"}}]}}'\n",
            where, findings.models.front().name);
    }
    std::fflush(stdout);
}

int serve(const config::Settings& settings) {
    block_signals();
    raise_descriptor_limit();
    if (const auto read = check_flags(settings); !read)
        return fail(read.error().message, exit_bad_flag);
    if (const auto usable = io::Ring::probe(); !usable) return fail(usable.error().message);
    auto log = shard::LogWriter::open(settings.access_log, shard::Shards::log_channels(settings));
    if (!log) return fail(log.error().message);

    shard::Shards shards(settings, **log, admin::write_metrics);
    if (const auto prepared = shards.prepare(); !prepared) return fail(prepared.error().message);
    std::vector<std::uint16_t> own_ports;
    for (const auto& address : shards.addresses())
        own_ports.push_back(address.port());
    auto plan = upstream::WatchPlan::create(settings, own_ports);
    if (!plan) return fail(plan.error().message);
    announce(shards, shards.start(std::move(*plan)), settings);

    await_stop(**log);
    shards.drain();
    // Whoever asks twice means now.
    std::thread([stops = set_of({SIGINT, SIGTERM})] {
        int again = 0;
        sigwait(&stops, &again);
        ::_exit(1);
    }).detach();
    shards.join();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    auto command = sluice::app::parse_command_line(argc, argv);
    if (command.exit_code.has_value()) return *command.exit_code;
    return serve(command.settings);
}
