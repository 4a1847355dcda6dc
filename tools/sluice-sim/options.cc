#include "options.h"

#include "sluice/config/mistakes.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <map>

namespace sluice::model_sim {
namespace {

constexpr int exit_bad_flags = 2;

constexpr const char* examples = R"(
A request may change its own script: curl -H 'x-sim: ttft=5ms,tokens=100,fail=reset' ...
GET /sim/stats counts what happened; GET /sim/last-request returns the bytes of the last request.

Examples:
  sluice-sim --listen 127.0.0.1:8081 --model tiny --ttft 100ms --itl 25ms --slots 4
  sluice-sim --api openai --ttft 0 --itl 0 --keep-alive-max 0      (a target for load)
  sluice-sim --fail reset --fail-after 5 --fail-every 10           (one stream in ten breaks))";

constexpr std::string_view listen = "write --listen 127.0.0.1:PORT";
constexpr config::OtherWord others[] = {{"-p", listen},           {"--port", listen},
                                        {"--host", listen},       {"-m", "write --model NAME"},
                                        {"help", "write --help"}, {"version", "write --version"}};

// The text of a refusal goes to the flag library as it wants it: an exception inside it, and an
// empty string for "fine".
void accept_or_throw(const std::string& flag, const Status& status) {
    if (!status.ok()) throw CLI::ValidationError(flag, status.error().message);
}

void add_duration(CLI::App& app, const std::string& flag, Duration& target, const char* help) {
    app.add_option_function<std::string>(
           flag,
           [flag, &target](const std::string& value) {
               const auto duration = parse_duration(value);
               if (!duration.ok()) throw CLI::ValidationError(flag, duration.error().message);
               target = duration.value();
           },
           help)
        ->type_name("D");
}

void add_settings(CLI::App& app, Script& script) {
    for (const auto& setting : settings()) {
        const std::string flag = "--" + std::string(setting.name);
        app.add_option_function<std::string>(
               flag,
               [flag, &setting, &script](const std::string& value) {
                   accept_or_throw(flag, setting.set(script, value));
               },
               std::string(setting.help))
            ->type_name(std::string(setting.value))
            ->group("The script, also of one request by x-sim");
    }
}

void add_api(CLI::App& app, Api& api) {
    static const std::map<std::string, Api> names = {{"llama", Api::llama},
                                                     {"openai", Api::openai},
                                                     {"ollama", Api::ollama},
                                                     {"vllm", Api::vllm}};
    app.add_option_function<std::string>(
           "--api",
           [&api](const std::string& value) {
               const auto found = names.find(value);
               if (found == names.end())
                   throw CLI::ValidationError(
                       "--api", "\"" + value + "\" is no API; there are: llama openai ollama vllm");
               api = found->second;
           },
           "whose answers to give: llama openai ollama vllm (llama)")
        ->type_name("NAME");
}

void add_flags(CLI::App& app, Options& options) {
    app.add_option("--listen", options.listen,
                   "where to listen, host:port or unix:/path; repeatable; port 0: any "
                   "(127.0.0.1:0)")
        ->type_name("ADDR")
        ->take_all();
    app.add_option("--model", options.models, "a model's name; repeatable (sim)")
        ->type_name("NAME")
        ->take_all();
    add_api(app, options.api);
    app.add_option("--slots", options.slots,
                   "requests worked on at a time, others wait; 0: no bound (0)")
        ->type_name("N");
    add_duration(app, "--load-time", options.load_time,
                 "answers 503 \"Loading model\" for so long after the start (0)");
    app.add_option("--embedding-size", options.embedding_size, "numbers of an embedding (64)")
        ->type_name("N")
        ->check(CLI::Range(1, 65536).description(""));
    app.add_option("--fail-every", options.fail_every,
                   "--fail strikes every Nth request; 1: each (1)")
        ->type_name("N")
        ->check(CLI::PositiveNumber.description(""));
    add_duration(app, "--keep-alive-idle", options.keep_alive_idle,
                 "an idle connection is closed after it (5s)");
    app.add_option("--keep-alive-max", options.keep_alive_max,
                   "requests a connection may carry; 0: no bound (100)")
        ->type_name("N");
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
    Options options;
    CLI::App app("sluice-sim: a scripted model server that needs no model.");
    app.set_version_flag("--version", "sluice-sim " SLUICE_VERSION);
    app.footer(examples);
    add_flags(app, options);
    add_settings(app, options.script);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() != 0 && !app.remaining().empty()) {
            fmt::print(
                stderr, "sluice-sim: {}\n",
                config::explain_unknown(
                    app.remaining().front(),
                    {.flags = config::flags_of(app), .others = others, .command = "sluice-sim"}));
            return exit_bad_flags;
        }
        return app.exit(error) == 0 ? 0 : exit_bad_flags;
    }
    return options;
}

}  // namespace sluice::model_sim
