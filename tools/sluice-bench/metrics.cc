#include "metrics.h"

#include <fmt/format.h>

namespace sluice::bench {
namespace {

using Better = Metric::Better;

constexpr double KiB = 1024;
constexpr double MiB = 1024 * KiB;
constexpr double GiB = 1024 * MiB;

class Collector {
public:
    void add(std::string key, std::string label, std::string unit, double value, Better better) {
        metrics.push_back({std::move(key), std::move(label), std::move(unit), value, better});
    }

    void add_times(const std::string& key, const std::string& label, const Histogram& times) {
        if (times.count() == 0) return;
        constexpr std::pair<const char*, double> percentiles[] = {
            {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};
        for (const auto& [name, percent] : percentiles)
            add(fmt::format("{}_{}_us", key, name), fmt::format("{} {}", label, name), "us",
                static_cast<double>(times.percentile(percent)) * 1e-3, Better::less);
        add(key + "_max_us", label + " max", "us", static_cast<double>(times.max()) * 1e-3,
            Better::less);
        add(key + "_mean_us", label + " mean", "us", times.mean() * 1e-3, Better::less);
    }

    std::vector<Metric> metrics;
};

void add_usage(Collector& out, const Measured& measured) {
    const Tally& tally = measured.tally;
    const ProcessUsage& used = *measured.used;
    const auto cpu_us = static_cast<double>(used.cpu_ns) * 1e-3;
    const auto requests = static_cast<double>(tally.requests);
    if (tally.requests > 0) {
        out.add("cpu_us_per_request", "CPU / request", "us", cpu_us / requests, Better::less);
        if (used.switches)
            out.add("switches_per_request", "switches / request", "",
                    static_cast<double>(*used.switches) / requests, Better::less);
    }
    if (tally.events > 0)
        out.add("cpu_us_per_event", "CPU / event", "us", cpu_us / static_cast<double>(tally.events),
                Better::less);
    if (static_cast<double>(tally.bytes_in) > MiB)
        out.add("cpu_ms_per_gib", "CPU / GiB received", "ms",
                cpu_us * 1e-3 / (static_cast<double>(tally.bytes_in) / GiB), Better::less);
    out.add("cpu_percent", "CPU of one core", "%", cpu_us * 1e-4 / measured.seconds,
            Better::neither);
    out.add("rss_mib", "RSS", "MiB", static_cast<double>(used.rss_bytes) / MiB, Better::less);
}

void add_stalled(Collector& out, const StalledCount& stalled) {
    out.add("stalled_at_begin", "stalled, at begin", "", stalled.at_begin, Better::neither);
    out.add("stalled_at_end", "stalled, at end", "", stalled.at_end, Better::neither);
    out.add("stalled_answered", "stalled, answered", "", stalled.answered, Better::neither);
}

}  // namespace

std::vector<Metric> metrics_of(const Measured& measured) {
    const Tally& tally = measured.tally;
    Collector out;
    const auto add_rate = [&](const char* key, const char* label, const char* unit, double sum,
                              Better better = Better::more) {
        out.add(key, label, unit, sum / measured.seconds, better);
    };
    add_rate("requests_per_s", "requests", "1/s", static_cast<double>(tally.requests));
    if (tally.events > 0)
        add_rate("events_per_s", "events", "1/s", static_cast<double>(tally.events));
    if (tally.tokens > 0)
        add_rate("tokens_per_s", "tokens", "1/s", static_cast<double>(tally.tokens));
    add_rate("mib_in_per_s", "received", "MiB/s", static_cast<double>(tally.bytes_in) / MiB);
    out.add_times("latency", "latency", tally.latency);
    out.add_times("first_token", "first token", tally.first_token);
    out.add_times("gap", "between tokens", tally.gap);
    out.add_times("delay", "event delay", tally.delay);
    if (tally.due > 0) {
        add_rate("due_per_s", "due", "1/s", static_cast<double>(tally.due), Better::neither);
        out.add("due_unanswered", "due, not answered", "",
                static_cast<double>(tally.due_unanswered), Better::less);
    }
    if (measured.used) add_usage(out, measured);
    out.add("failed", "failed", "", static_cast<double>(tally.failed()), Better::less);
    out.add("stalls", "stalls", "", static_cast<double>(tally.stalls), Better::less);
    if (measured.stalled) add_stalled(out, *measured.stalled);
    return out.metrics;
}

const Metric* find(const std::vector<Metric>& metrics, std::string_view key) {
    for (const auto& metric : metrics)
        if (metric.key == key) return &metric;
    return nullptr;
}

}  // namespace sluice::bench
