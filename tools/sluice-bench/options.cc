#include "options.h"

#include "sluice/config/mistakes.h"
#include "sluice/config/settings.h"

#include <CLI/CLI.hpp>
#include <climits>
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <utility>

namespace sluice::bench {
namespace {

constexpr std::uint32_t connections_most = 20'000;
constexpr std::uint32_t stalled_most = 10'000;

constexpr const char* examples = R"(
Examples:
  sluice-bench http://127.0.0.1:8642 --stream -c 64 -d 10s
  sluice-bench http://127.0.0.1:8642 --rate 200 --poisson -c 500 --html report.html
  sluice-bench http://127.0.0.1:8642 --scenario mix.txt --pid $(pidof sluice)
  sluice-bench http://127.0.0.1:8642 -c 16 --stalled 100
  sluice-bench compare --target direct=http://127.0.0.1:8081 \
      --target gateway=http://127.0.0.1:8642,pid=4711 --stream -c 64 --rounds 10
Exit: 0 all answers were right, 1 some were not or nothing could be measured, 2 bad flags,
130 interrupted, with a report of the time until then.)";

// A flag whose text a parser of ours reads; its error becomes the flag's.
template <class T, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& flag, T& target, Parse parse,
                        const char* type, const std::string& shown, const char* help) {
    return app
        .add_option_function<std::string>(
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

template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& flag, Number& target, Number low,
                        Number high, const char* help) {
    return app.add_option(flag, target, help)
        ->type_name("N")
        ->check(CLI::Range(low, high).description(""))
        ->capture_default_str();
}

Result<Duration> parse_bounded(const std::string& text) {
    auto duration = config::parse_duration(text);
    if (duration && duration.value() > Duration::seconds(3600))
        return Error::client(400, "at most one hour");
    return duration;
}

Result<Duration> parse_positive(const std::string& text) {
    auto duration = parse_bounded(text);
    if (duration && duration.value().ns == 0) return Error::client(400, "more than 0");
    return duration;
}

// A value that is sent as it is must not end its line, nor hold what no field may (RFC 9110 5.5).
std::string wrong_in_value(const std::string& value) {
    return value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos
               ? std::string()
               : "a line end or a NUL in it";
}

std::string wrong_in_field(const std::string& field) {
    const auto colon = field.find(':');
    if (colon == 0 || colon == std::string::npos) return "'" + field + "' is not 'Name: value'";
    if (field.find_first_of(" \t") < colon) return "'" + field + "': a field's name has no spaces";
    return wrong_in_value(field);
}

void add_request_flags(CLI::App& app, Options& options) {
    const auto group = "Requests";
    RequestKind& kind = options.kind;
    // A scenario says these itself.
    const std::vector<CLI::Option*> of_one_kind = {
        add_parsed(app, "--kind", kind.shape, parse_shape, "KIND", "chat",
                   "chat, completion, embeddings or get (GET --path)"),
        app.add_flag("--stream", kind.stream, "Ask for a stream of events"),
        app.add_option("--model", kind.model, "Model to ask")->capture_default_str(),
        add_parsed(app, "--prompt", kind.prompt_bytes, config::parse_size, "SIZE", "1KiB",
                   "Size of the prompt"),
        add_number(app, "--max-tokens", kind.max_tokens, 0U, 1'000'000U, "0: not said"),
        app.add_option("--path", kind.path, "Another path than the kind's own"),
    };
    CLI::Option* scenario =
        app.add_option("--scenario", options.scenario_file,
                       "A mix, instead of the flags above: a file with a kind of request a line, "
                       "as weight=3 kind=chat stream=yes prompt=4KiB max-tokens=64 model=NAME "
                       "path=/PATH")
            ->check(CLI::ExistingFile.description("FILE"))
            ->type_name("")
            ->group(group);
    for (CLI::Option* option : of_one_kind) {
        option->group(group);
        scenario->excludes(option);
    }
    app.add_flag("!--no-usage", options.usage,
                 "Streams are not asked for stream_options.include_usage, as most clients do not: "
                 "a gateway that adds it is measured doing so")
        ->group(group);
    app.add_option("--api-key", options.api_key, "Sent as Authorization: Bearer")
        ->envname("SLUICE_BENCH_API_KEY")
        ->check(CLI::Validator(wrong_in_value, ""))
        ->group(group);
    app.add_option("--header", options.fields, "A further field, 'Name: value'; repeatable")
        ->check(CLI::Validator(wrong_in_field, ""))
        ->allow_extra_args(false)
        ->group(group);
}

void add_load_flags(CLI::App& app, Options& options) {
    const auto group = "Load";
    Load& load = options.load;
    add_number(app, "-c,--connections", load.connections, 1U, connections_most,
               "Closed loop: so many clients. Open loop: at most so many connections")
        ->group(group);
    app.add_option("--rate", load.rate,
                   "Open loop: requests a second, however slow the answers; latency counts from "
                   "when a request was due")
        ->type_name("R")
        ->check(CLI::Range(0.001, 1e7).description(""))
        ->group(group);
    app.add_flag("--poisson", load.poisson, "Open loop: random distances between requests")
        ->group(group);
    app.add_flag("!--no-keep-alive", load.keep_alive, "A new connection for each request")
        ->group(group);
    add_parsed(app, "-d,--duration", options.window.length, parse_positive, "TIME", "10s",
               "How long to measure; with -n at most")
        ->group(group);
    add_number(app, "-n,--requests", load.requests_max, std::uint64_t{1},
               std::uint64_t{1'000'000'000}, "So many requests instead of a time")
        ->default_str("")
        ->group(group);
    add_parsed(app, "--warmup", options.window.warmup, parse_bounded, "TIME", "500ms",
               "Before it is measured")
        ->group(group);
    add_parsed(app, "--think", load.think, parse_bounded, "TIME", "0",
               "Closed loop: pause of a client after an answer")
        ->group(group);
    add_parsed(app, "--ramp", load.ramp, parse_bounded, "TIME", "0",
               "Closed loop: clients start evenly over it")
        ->group(group);
    add_parsed(app, "--timeout", load.timeout, parse_positive, "TIME", "60s", "Of a request")
        ->group(group);
    add_parsed(app, "--stall", load.stall, parse_bounded, "TIME", "1s",
               "A longer gap between two events is counted as a stall")
        ->group(group);
    add_number(app, "--threads", options.window.threads, 1U, 64U,
               "Threads of the bench, a ring each")
        ->group(group);
    app.add_flag("--spin", options.window.spin,
                 "Never sleep: the bench's own wake-ups are not in what it measures, at the price "
                 "of a core a thread")
        ->group(group);
    add_number(app, "--seed", load.seed, std::uint64_t{0}, UINT64_MAX, "Of what is random")
        ->group(group);
    app.add_flag("--allow-remote", options.allow_remote,
                 "Load a server that is not on this machine: yours, or one whose owner agreed")
        ->group(group);
}

void add_stalled_flags(CLI::App& app, Options& options) {
    const auto group = "Stalled clients, beside the load and not in its figures";
    StalledLoad& stalled = options.load.stalled;
    add_number(app, "--stalled", stalled.count, 0U, stalled_most,
               "So many connections that each ask for a stream and never read it")
        ->group(group);
    add_parsed(app, "--stalled-fill", stalled.fill, parse_bounded, "TIME", "1s",
               "How long before the load they begin")
        ->group(group);
    add_number(app, "--stalled-tokens", options.stalled_tokens, 0U, 1'000'000U,
               "Of the stream; 0: not said. The bench's own backend sends without end")
        ->group(group);
}

void add_origin_flags(CLI::App& app, Options& options) {
    const auto group = "The bench's own backend (for gateways that forward to it)";
    OriginScript& script = options.origin_script;
    CLI::Option* origin =
        app.add_option("--origin", options.origin, "Answer at this address, host:port")
            ->type_name("ADDR")
            ->group(group);
    add_parsed(app, "--origin-answer", script.answer_bytes, config::parse_size, "SIZE", "600",
               "Size of a document")
        ->group(group);
    add_number(app, "--origin-event", script.event_bytes, std::size_t{170}, std::size_t{255},
               "Bytes of an event with its chunk framing")
        ->group(group);
    add_number(app, "--origin-events", script.events, 0U, 999'999U, "Of a stream; 0: without end")
        ->group(group);
    add_parsed(app, "--origin-period", script.period, parse_bounded, "TIME", "10ms",
               "Between two events of a stream")
        ->group(group);
    app.add_flag("--lock-step", script.lock_step,
                 "The next event leaves when the client has the last one")
        ->needs(origin)
        ->group(group);
}

void add_report_flags(CLI::App& app, Options& options) {
    const auto group = "Report";
    app.add_option("--json", options.json_file, "Write all figures to a file")
        ->type_name("FILE")
        ->group(group);
    app.add_option("--html", options.html_file, "Write a page with curves and a chart")
        ->type_name("FILE")
        ->group(group);
    app.add_option("--title", options.title, "What the reports are headed with")->group(group);
}

void add_flags(CLI::App& app, Options& options) {
    add_request_flags(app, options);
    add_load_flags(app, options);
    add_stalled_flags(app, options);
    add_origin_flags(app, options);
    add_report_flags(app, options);
}

void add_compare(CLI::App& app, Options& options) {
    CLI::App* compare = app.add_subcommand(
        "compare", "The same load on several targets in interleaved rounds, against the first");
    compare
        ->add_option_function<std::vector<std::string>>(
            "--target",
            [&options](const std::vector<std::string>& texts) {
                for (const auto& text : texts) {
                    auto target = parse_target(text);
                    if (!target) throw CLI::ValidationError("--target", target.error().message);
                    for (const auto& other : options.targets)
                        if (other.name == target->name)
                            throw CLI::ValidationError(
                                "--target", "'" + other.name + "' is the name of two targets");
                    options.targets.push_back(std::move(target).value());
                }
            },
            "NAME=URL[,pid=N][,stalled=N]; the first one is what the others are measured against")
        ->type_name("TARGET")
        ->allow_extra_args(false)
        ->required();
    add_number(*compare, "--rounds", options.rounds, 1U, 1000U,
               "Each target once a round; every other round in reverse order");
    add_flags(*compare, options);
    compare->callback([&options] { options.compare = true; });
}

template <class Number>
bool parse_whole(const std::string& text, Number& number) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end;
}

// Takes the last ",pid=VALUE" or ",stalled=VALUE" off a URL, which may have commas of its own.
std::optional<std::pair<std::string, std::string>> take_last_member(std::string& url) {
    const auto comma = url.rfind(',');
    if (comma == std::string::npos) return std::nullopt;
    const auto equals = url.find('=', comma);
    if (equals == std::string::npos) return std::nullopt;
    const std::string key = url.substr(comma + 1, equals - comma - 1);
    if (key != "pid" && key != "stalled") return std::nullopt;
    const std::string value = url.substr(equals + 1);
    url.resize(comma);
    return std::pair(key, value);
}

// A word that neither the program nor the command that was given knows.
std::string explain(const CLI::App& app, const std::string& word) {
    constexpr std::string_view commands[] = {"compare"};
    constexpr config::OtherWord others[] = {{"-t", "write --threads N"},
                                            {"--url", "write the URL alone"},
                                            {"-H", "write --header 'Name: value'"},
                                            {"help", "write --help"},
                                            {"version", "write --version"}};
    const auto given = app.get_subcommands();
    const CLI::App& named = given.empty() ? app : *given.front();
    return config::explain_unknown(
        word, {.flags = config::flags_of(named),
               .commands = given.empty() ? commands : std::span<const std::string_view>(),
               .others = others,
               .command = given.empty() ? "sluice-bench" : "compare"});
}

}  // namespace

Result<TargetOption> parse_target(const std::string& text) {
    TargetOption target;
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
        return Error::client(400, "'" + text + "' is not NAME=URL[,pid=N][,stalled=N]");
    target.name = text.substr(0, equals);
    target.url = text.substr(equals + 1);
    while (const auto member = take_last_member(target.url)) {
        if (member->first == "pid" ? target.pid != 0 : target.stalled.has_value())
            return Error::client(400, "'" + text + "' says " + member->first + " twice");
        if (member->first == "pid") {
            if (!parse_whole(member->second, target.pid) || target.pid <= 0)
                return Error::client(400, "'" + member->second + "' is no process id");
        } else if (!parse_whole(member->second, target.stalled.emplace()) ||
                   *target.stalled > stalled_most) {
            return Error::client(400, fmt::format("stalled={} is not a number of clients, 0 to {}",
                                                  member->second, stalled_most));
        }
    }
    return target;
}

CommandLine parse_command_line(int argc, char** argv) {
    CommandLine result;
    Options& options = result.options;
    CLI::App app("sluice-bench: load for OpenAI-compatible servers and gateways.", "sluice-bench");
    app.set_version_flag("--version", "sluice-bench " SLUICE_VERSION);
    app.footer(examples);
    TargetOption single;
    app.add_option("URL", single.url, "http://host:port[/prefix] or unix:/path");
    app.add_option("--pid", single.pid, "The gateway's process: its CPU, memory, switches")
        ->check(CLI::Range(1, INT_MAX).description(""))
        ->type_name("PID");
    add_flags(app, options);
    add_compare(app, options);
    try {
        app.parse(argc, argv);
        if (!options.compare && single.url.empty())
            throw CLI::RequiredError("a URL, or the command compare,");
        const bool shared_origin = !options.origin.empty() && options.window.threads > 1;
        if (shared_origin) throw CLI::ValidationError("--origin", "works with one thread");
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() != 0 && !app.remaining(true).empty()) {
            fmt::print(stderr, "sluice-bench: {}\n", explain(app, app.remaining(true).front()));
            result.exit_code = exit_bad_flags;
            return result;
        }
        result.exit_code = app.exit(error) == 0 ? 0 : exit_bad_flags;
        return result;
    }
    if (!options.compare) options.targets.push_back(single);
    return result;
}

}  // namespace sluice::bench
