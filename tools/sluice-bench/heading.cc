#include "heading.h"

#include "json_text.h"

#include <fmt/format.h>

#include <time.h>

namespace sluice::bench {
namespace {

constexpr const char* program = "sluice-bench " SLUICE_VERSION;

std::string yes_no(bool value) {
    return value ? "true" : "false";
}

std::string utc(std::int64_t seconds) {
    const time_t time = seconds;
    tm parts{};
    char text[32];
    const bool known = ::gmtime_r(&time, &parts) != nullptr;
    SLUICE_ASSERT(known);
    return {text, ::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

double seconds_of(Duration duration) {
    return static_cast<double>(duration.ns) * 1e-9;
}

std::string targets_json(const Options& options) {
    std::string out;
    for (const auto& target : options.targets)
        out +=
            fmt::format(R"({}{{"name":{},"url":{},"pid":{},"stalled":{}}})", out.empty() ? "" : ",",
                        json_quoted(target.name), json_quoted(target.url),
                        target.pid == 0 ? "null" : std::to_string(target.pid),
                        target.stalled.value_or(options.load.stalled.count));
    return "[" + out + "]";
}

std::string targets_text(const Options& options) {
    std::string out;
    for (const auto& target : options.targets)
        out += fmt::format("{}{}{}{}", out.empty() ? "" : ", ", target.name,
                           target.name.empty() ? "" : "=", target.url);
    return out;
}

std::string kinds_json(const std::vector<RequestKind>& kinds) {
    std::string out;
    for (const auto& kind : kinds)
        out += fmt::format(
            R"({}{{"kind":"{}","path":{},"model":{},"stream":{},"usage":{},)"
            R"("prompt_bytes":{},"max_tokens":{},"weight":{}}})",
            out.empty() ? "" : ",", to_text(kind.shape), json_quoted(path_of(kind)),
            json_quoted(kind.model), kind.stream, kind.stream && kind.usage, kind.prompt_bytes,
            kind.max_tokens == 0 ? "null" : std::to_string(kind.max_tokens), kind.weight);
    return "[" + out + "]";
}

std::string kinds_text(const std::vector<RequestKind>& kinds) {
    std::string out;
    for (const auto& kind : kinds) {
        out += fmt::format("{}{}{}{}", out.empty() ? "" : ", ",
                           kinds.size() > 1 ? fmt::format("{} of ", kind.weight) : "",
                           to_text(kind.shape), kind.stream ? " stream" : "");
        if (kind.stream && !kind.usage) out += " without usage";
        if (kind.shape != RequestKind::Shape::get)
            out += fmt::format(" of {} with a prompt of {} bytes", kind.model, kind.prompt_bytes);
    }
    return out;
}

std::string headers_json(const Options& options) {
    std::string out;
    for (const auto& field : options.fields)
        out += (out.empty() ? "" : ",") + json_quoted(field.substr(0, field.find(':')));
    return "[" + out + "]";
}

std::string origin_json(const Options& options) {
    const OriginScript& script = options.origin_script;
    if (options.origin.empty()) return "null";
    return fmt::format(R"({{"address":{},"answer_bytes":{},"event_bytes":{},"events":{},)"
                       R"("period_s":{},"lock_step":{}}})",
                       json_quoted(options.origin), script.answer_bytes, script.event_bytes,
                       script.events == 0 ? "null" : std::to_string(script.events),
                       json_number(seconds_of(script.period)), script.lock_step);
}

std::string loop_text(const Load& load) {
    if (load.rate == 0) return fmt::format("closed, {} connections", load.connections);
    return fmt::format("open, {:g} requests/s{}, at most {} connections", load.rate,
                       load.poisson ? " at random distances" : "", load.connections);
}

}  // namespace

Heading heading_of(const Options& options, const std::vector<RequestKind>& kinds,
                   std::int64_t seconds_since_1970) {
    const Load& load = options.load;
    const Window& window = options.window;
    const bool counted = load.requests_max != UINT64_MAX;
    const double warmup = counted ? 0 : seconds_of(window.warmup);
    Heading heading{.title = options.title, .facts = {}};
    const auto add = [&](std::string key, std::string json, std::string text = {}) {
        heading.facts.push_back({std::move(key), std::move(json), std::move(text)});
    };
    const auto add_time = [&](std::string key, Duration time) {
        add(std::move(key), json_number(seconds_of(time)));
    };
    const std::string date = utc(seconds_since_1970);
    add("program", json_quoted(program), program);
    add("date", json_quoted(date), date);
    add("targets", targets_json(options), targets_text(options));
    add("mix", kinds_json(kinds), kinds_text(kinds));
    add("loop", load.rate > 0 ? "\"open\"" : "\"closed\"", loop_text(load));
    add("connections", std::to_string(load.connections));
    add("rate_per_s", load.rate > 0 ? json_number(load.rate) : "null");
    add("poisson", yes_no(load.poisson));
    add("keep_alive", yes_no(load.keep_alive), load.keep_alive ? "yes" : "no");
    add("duration_s", json_number(seconds_of(window.length)),
        fmt::format("{:g} s", seconds_of(window.length)));
    add("requests_max", counted ? std::to_string(load.requests_max) : "null",
        counted ? std::to_string(load.requests_max) : "");
    add("warmup_s", json_number(warmup), fmt::format("{:g} s", warmup));
    add("rounds", options.compare ? std::to_string(options.rounds) : "null",
        options.compare ? std::to_string(options.rounds) : "");
    add_time("think_s", load.think);
    add_time("ramp_s", load.ramp);
    add_time("timeout_s", load.timeout);
    add_time("stall_s", load.stall);
    add("threads", std::to_string(window.threads), std::to_string(window.threads));
    add("spin", yes_no(window.spin));
    add("seed", std::to_string(load.seed), std::to_string(load.seed));
    add("headers", headers_json(options));
    add("origin", origin_json(options), options.origin);
    return heading;
}

}  // namespace sluice::bench
