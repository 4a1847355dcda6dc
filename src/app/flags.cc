#include "flags.h"

#include "discover.h"
#include "judge.h"
#include "sluice/config/home.h"
#include "sluice/config/load.h"
#include "sluice/config/mistakes.h"
#include "sluice/net/address.h"
#include "sluice/proxy/host_list.h"
#include "sluice/upstream/watch_plan.h"
#include "words.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::app {
namespace {

using config::Settings;

constexpr int exit_mistake = 2;

// A flag whose text one of the config parsers reads; its error becomes the flag's.
template <class T, class Parse>
void add_parsed(CLI::App& app, const std::string& flag, T& target, Parse parse,
                const std::string& type, const std::string& shown, const std::string& help) {
    app.add_option_function<std::string>(
           flag,
           [&target, parse, flag](const std::string& text) {
               auto value = parse(text);
               if (!value) throw CLI::ValidationError(flag, value.error().message);
               target = std::move(value).value();
           },
           help)
        ->type_name(type)
        ->default_str(shown);
}

template <class T, class Parse>
CLI::Option* add_list(CLI::App& app, const std::string& flag, std::vector<T>& target, Parse parse,
                      const std::string& type, const std::string& help) {
    return app
        .add_option_function<std::vector<std::string>>(
            flag,
            [&target, parse, flag](const std::vector<std::string>& texts) {
                target.clear();  // what the file says
                for (const auto& text : texts) {
                    auto value = parse(text);
                    if (!value) throw CLI::ValidationError(flag, value.error().message);
                    target.push_back(std::move(value).value());
                }
            },
            help)
        ->type_name(type)
        ->allow_extra_args(false);
}

void add_duration(CLI::App& app, const std::string& flag, Duration& target,
                  const std::string& shown, const std::string& help) {
    add_parsed(app, flag, target, config::parse_duration, "TIME", shown, help);
}

Result<config::ListenSetting> parse_listener(const std::string& said) {
    const std::string text = config::address_with_home(said);
    if (const auto address = net::Address::parse(text); !address) return address.error();
    return config::ListenSetting(text);
}

Result<std::string> parse_host(const std::string& text) {
    if (const auto checked = proxy::HostList::check(text); !checked) return checked.error();
    return text;
}

// As the file's, for a mistake in it to be told by the name of its flag.
Result<std::string> parse_backend(const std::string& said) {
    std::string text = config::address_with_home(said);
    if (const auto url = upstream::parse_server_url(text); !url) return url.error();
    return text;
}

// The same name twice makes a pool.
void pool_models(std::vector<config::ModelSetting>& models, const std::vector<std::string>& texts) {
    models.clear();
    for (const auto& text : texts) {
        auto model = config::parse_model(text);
        if (!model) throw CLI::ValidationError("--model", model.error().message);
        std::string& url = model->backends.front().url;
        auto judged = parse_backend(url);
        if (!judged) throw CLI::ValidationError("--model", judged.error().message);
        url = std::move(judged).value();
        const auto pool = std::ranges::find(models, model->name, &config::ModelSetting::name);
        if (pool == models.end())
            models.push_back(std::move(*model));
        else
            pool->backends.push_back(std::move(model->backends.front()));
    }
}

void add_models(CLI::App& app, Settings& settings) {
    const std::string group = "Models";
    app.add_option_function<std::vector<std::string>>(
           "--model",
           [&settings](const std::vector<std::string>& texts) {
               pool_models(settings.models, texts);
           },
           "Serve model NAME from the server at URL (http://host:port or unix:/path), which calls "
           "it UPSTREAM. Repeat it for more models; the same NAME twice makes a pool. Takes the "
           "place of the backends that the file has for NAME")
        ->type_name("NAME=URL[#UPSTREAM]")
        ->allow_extra_args(false);
    app.add_option("--default-model", settings.default_model,
                   "Serves requests that name no model, or none that there is")
        ->type_name("NAME");
    add_list(app, "--alias", settings.aliases, config::parse_alias, "ALIAS=NAME",
             "Another name for a model; repeatable");
    add_list(
        app, "--backend", settings.backends,
        [](const std::string& text) -> Result<config::BackendSetting> {
            auto url = parse_backend(text);
            if (!url) return url.error();
            config::BackendSetting backend;
            backend.url = std::move(url).value();
            return backend;
        },
        "URL",
        "Serve whatever models this server lists; with or without /v1 at the end; repeatable");
    add_parsed(app, "--fallback-backend", settings.fallback_backend, parse_backend, "URL", "",
               "Used when no model server is found on this machine");
    app.add_flag("!--no-discovery", settings.discover,
                 "Do not look for model servers on the well-known local ports (done when neither "
                 "--model nor --backend is given)");
    for (const char* name : {"--model", "--default-model", "--alias", "--backend",
                             "--fallback-backend", "--no-discovery"})
        app.get_option(name)->group(group);
}

void add_listening(CLI::App& app, Settings& settings) {
    const std::string group = "Listening";
    add_list(app, "--listen", settings.listen, parse_listener, "ADDR",
             "Where to listen: host:port or unix:/path; port 0 takes a free one; repeatable")
        ->default_str("127.0.0.1:8642");
    add_list(app, "--allow-origin", settings.allowed_origins, config::parse_origin, "ORIGIN",
             "Pages that may call the gateway, beside those of this machine, as the browser names "
             "them: https://app.example, app://obsidian.md, vscode-webview://*; repeatable");
    add_list(app, "--allow-host", settings.allowed_hosts, parse_host, "NAME",
             "A further name by which clients and their pages may call the gateway; "
             "repeatable. localhost and IP addresses always may");
    app.add_flag("--insecure-listen", settings.insecure_listen,
                 "Allow listening on addresses that other machines can reach, without keys");
    app.add_option("--shards", settings.shards, "Threads, each with its own ring")
        ->type_name("N")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    for (const char* name :
         {"--listen", "--allow-host", "--allow-origin", "--insecure-listen", "--shards"})
        app.get_option(name)->group(group);
}

void add_limits(CLI::App& app, Settings& settings) {
    const std::string group = "Limits";
    add_parsed(app, "--body-max", settings.body_bytes_max, config::parse_size, "SIZE", "64MiB",
               "Largest request body, decoded");
    add_parsed(app, "--buffers", settings.buffer_memory, config::parse_size, "SIZE", "256MiB",
               "Most memory for bytes on their way, a shard; taken only as needed");
    app.add_option("--connections-max", settings.connections_max,
                   "Most client connections, a shard")
        ->type_name("N")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app.add_option("--connections-per-client", settings.connections_per_client_max,
                   "Most connections from one address, a shard")
        ->type_name("N")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    const auto tolerate = [&settings](const std::string& mode) {
        settings.half_close_tolerated = mode == "tolerate";
    };
    app.add_option_function<std::string>(
           "--half-close", tolerate,
           "A client that ends its sending side has left (abort), or still waits (tolerate)")
        ->type_name("MODE")
        ->check(CLI::IsMember({"abort", "tolerate"}))
        ->default_str("abort");
    for (const char* name : {"--body-max", "--buffers", "--connections-max",
                             "--connections-per-client", "--half-close"})
        app.get_option(name)->group(group);
}

void add_relay(CLI::App& app, Settings& settings) {
    const auto choose = [&settings](const std::string& mode) {
        settings.relay = mode == "buffer"   ? config::RelayMode::buffer
                         : mode == "splice" ? config::RelayMode::splice
                                            : config::RelayMode::automatic;
    };
    app.add_option_function<std::string>(
           "--relay", choose,
           "How bodies pass: through buffers, spliced by the kernel wherever no byte has to be "
           "read, or as suits each (auto: spliced from 64 KiB on)")
        ->type_name("LANE")
        ->check(CLI::IsMember({"auto", "buffer", "splice"}))
        ->default_str("auto");
    app.get_option("--relay")->group("Relay");
}

void add_timeouts(CLI::App& app, Settings& settings) {
    config::Timeouts& times = settings.timeouts;
    config::ModelTimeouts& models = settings.model_timeouts;
    add_duration(app, "--timeout-head", times.head, "10s", "For a request's whole head");
    add_duration(app, "--timeout-body", times.body_gap, "30s",
                 "Between two reads of a request's body");
    add_duration(app, "--timeout-body-total", times.body_total, "5m", "For a request's whole body");
    add_duration(app, "--timeout-idle", times.idle, "75s",
                 "For a kept-alive connection without a request");
    add_duration(app, "--timeout-connect", models.connect, "1s", "To connect to a backend");
    add_duration(app, "--timeout-first-byte", models.first_byte, "15m",
                 "From the request to the first byte of the answer (prefill, load)");
    add_duration(app, "--timeout-gap", models.gap, "15m", "Between two reads of an answer");
    add_duration(app, "--timeout-silence", models.silence, "60s",
                 "Instead of these two while the backend shows no sign of life");
    add_duration(app, "--timeout-write", times.write_stall, "60s",
                 "For a client that takes nothing of its answer");
    add_duration(app, "--timeout-drain-read", times.linger, "5s",
                 "For the next 64 KiB of a body that is still sent behind its answer");
    add_duration(app, "--drain-timeout", times.drain, "30s",
                 "From SIGTERM until streams that still run are ended");
    add_duration(app, "--pool-idle", settings.pool_idle, "4s",
                 "Keep unused connections to a backend this long (llama-server closes after 5s)");
    for (const char* name :
         {"--timeout-head", "--timeout-body", "--timeout-body-total", "--timeout-idle",
          "--timeout-connect", "--timeout-first-byte", "--timeout-gap", "--timeout-silence",
          "--timeout-write", "--timeout-drain-read", "--drain-timeout", "--pool-idle"})
        app.get_option(name)->group("Timeouts (250ms, 10s, 5m; 0 switches one off)");
}

void add_settings(CLI::App& app, Settings& settings) {
    add_models(app, settings);
    add_listening(app, settings);
    add_limits(app, settings);
    add_relay(app, settings);
    add_timeouts(app, settings);
    app.add_option("--access-log", settings.access_log,
                   "Where a line for each request goes: stderr, off, or a file")
        ->type_name("WHERE")
        ->default_str("stderr");
    app.add_flag("--log-probes", settings.log_probes,
                 "Also one for each health check and scrape (/healthz, /readyz, /health, "
                 "/metrics)");
}

void print(const std::vector<config::Problem>& problems, const std::string& file) {
    for (const auto& problem : problems)
        fmt::print(stderr, "{}\n", problem.to_text(file));
}

// Runs `parse`; the exit status where there is nothing more to do.
template <class Parse>
std::optional<int> exit_of(CLI::App& app, const WordsOf& words, Parse parse) {
    try {
        parse();
        return std::nullopt;
    } catch (const CLI::ParseError& error) {
        // A word that nobody knows explains why another one is missing.
        if (error.get_exit_code() != 0 && !app.remaining().empty()) {
            fmt::print(stderr, "sluice: {}\n",
                       explain(app.remaining().front(), config::flags_of(app), words));
            return exit_mistake;
        }
        // Help and version are "errors" with code 0; a mistake is 2, as in other tools.
        return app.exit(error) == 0 ? 0 : exit_mistake;
    }
}

void tell_of_nothing(const config::LoadOutcome& outcome, const std::string& file) {
    if (outcome.ok() && outcome.says_nothing)
        fmt::print(stderr, "{}: warning: it is empty, and sets nothing\n", file);
}

int check(int argc, char** argv) {
    CLI::App app(
        "Tells what is wrong with a file of settings: everything at once, each mistake "
        "with its line and column. Serves nothing.",
        "sluice check");
    std::string file;
    app.add_option("FILE", file, "The file; docs/configuration.md lists what it may say")
        ->required();
    const auto parse = [&] { app.parse(argc, argv); };
    if (const auto status = exit_of(app, words_of_check, parse)) return *status;
    const auto outcome = config::load_file(file, checks());
    print(outcome.problems, file);
    if (!outcome.ok()) return exit_mistake;
    tell_of_nothing(outcome, file);
    const Settings& settings = outcome.settings;
    const Judgement judgement = judge(outcome, Names::looked_up);
    print(judgement.wrong, file);
    if (!judgement.wrong.empty()) return exit_mistake;
    print(judgement.doubtful, file + ": warning");
    fmt::print("{}: ok, {} models, {} rules, {} routes\n", file, settings.models.size(),
               settings.rules.size(), settings.routes.size());
    for (const auto& asked : asked_urls(settings))
        fmt::print("{}\n", asked);
    return 0;
}

int discover_servers(int argc, char** argv) {
    CLI::App app(
        "Shows the model servers that run on this machine: what a gateway without settings would "
        "serve. Ends with 1 where there is none.",
        "sluice discover");
    const auto parse = [&] { app.parse(argc, argv); };
    if (const auto status = exit_of(app, words_of_discover, parse)) return *status;
    return discover();
}

// Flags are read twice: to find mistakes and the file, and then over what the file says.
CommandLine serve(int argc, char** argv) {
    CommandLine result;
    const auto build = [](CLI::App& app, Settings& settings, std::string& file) {
        app.set_version_flag("--version", "sluice " SLUICE_VERSION);
        app.add_option(
               "--config", file,
               "A file of settings, over which flags win (not over a model's own timeouts); "
               "docs/configuration.md lists what it may say. None is read that is not named")
            ->type_name("FILE");
        add_settings(app, settings);
        app.footer(
            "Commands:\n"
            "  sluice [serve] [OPTIONS]    what is described here\n"
            "  sluice check FILE           tells what is wrong with a file of settings\n"
            "  sluice discover             shows the model servers that run on this machine");
    };
    CLI::App app(
        "Sluice: one OpenAI-compatible endpoint in front of the model servers of this machine.\n"
        "Without flags it finds them by itself. `sluice serve` is the same as `sluice`.",
        "sluice");
    Settings flags_only;
    std::string file;
    build(app, flags_only, file);
    const bool named = std::string_view(argv[0]) == words_of_serve.command;
    result.exit_code =
        exit_of(app, named ? words_of_serve : words_of_program, [&] { app.parse(argc, argv); });
    if (result.exit_code.has_value()) return result;

    const auto flags = [&](Settings& settings) {
        CLI::App again("", "sluice");
        std::string same;
        build(again, settings, same);
        again.parse(argc, argv);
        settings.access_log = config::with_home(settings.access_log);
    };
    auto outcome = app.count("--config") > 0 ? config::load_file(file, checks(), flags)
                                             : config::load_text("", checks(), flags);
    print(outcome.problems, file.empty() ? "sluice" : file);
    if (!outcome.ok()) result.exit_code = exit_mistake;
    if (!file.empty()) tell_of_nothing(outcome, file);
    // What `check` says no to does not start.
    if (outcome.ok() && !file.empty()) {
        const Judgement judgement = judge(outcome, Names::skipped);
        print(judgement.wrong, file);
        if (!judgement.wrong.empty()) result.exit_code = exit_mistake;
    }
    result.settings = std::move(outcome.settings);
    return result;
}

}  // namespace

CommandLine parse_command_line(int argc, char** argv) {
    const std::string_view command = argc > 1 ? argv[1] : "";
    if (command == "check") return {.settings = {}, .exit_code = check(argc - 1, argv + 1)};
    if (command == "discover")
        return {.settings = {}, .exit_code = discover_servers(argc - 1, argv + 1)};
    // `sluice serve FLAGS` and `sluice FLAGS` are the same.
    return command == "serve" ? serve(argc - 1, argv + 1) : serve(argc, argv);
}

}  // namespace sluice::app
