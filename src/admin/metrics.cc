#include "sluice/admin/metrics.h"

#include "sluice/config/labels.h"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <string_view>
#include <utility>

namespace sluice::admin {
namespace {

using proxy::End;
using proxy::Statistics;

constexpr double ns_a_second = 1e9;
constexpr double us_a_second = 1e6;

// Label values: backslash, quote and line feed are escaped (exposition format, "Text format
// details").
std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n')
            out += "\\n";
        else
            out += c;
    }
    return out;
}

class Text {
public:
    explicit Text(std::string& out) : out_(out) {}

    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        fmt::format_to(std::back_inserter(out_), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help,
                       type);
    }
    // One sample of the family at hand; `labels` is what stands between the braces.
    template <class Number>
    void sample(const std::string& labels, Number value) {
        if (labels.empty())
            fmt::format_to(std::back_inserter(out_), "{} {}\n", name_, value);
        else
            fmt::format_to(std::back_inserter(out_), "{}{{{}}} {}\n", name_, labels, value);
    }

    template <class Bounds>
    void histogram(std::string_view name, std::string_view help,
                   const proxy::Histogram<Bounds>& values) {
        family(name, "histogram", help);
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < Bounds::upper.size(); ++i) {
            below += values.in_bucket(i);
            fmt::format_to(std::back_inserter(out_), "{}_bucket{{le=\"{:g}\"}} {}\n", name,
                           static_cast<double>(Bounds::upper[i].ns) / ns_a_second, below);
        }
        below += values.in_bucket(Bounds::upper.size());
        fmt::format_to(std::back_inserter(out_),
                       "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name, below,
                       static_cast<double>(values.sum_ns()) / ns_a_second);
    }

private:
    std::string& out_;
    std::string_view name_;
};

std::string served_labels(const Statistics::Key& key) {
    const std::string labels =
        fmt::format("model=\"{}\",backend=\"{}\"", escaped(key.model), escaped(key.backend));
    // To Prometheus an empty label is none.
    return key.consumer.empty() ? labels
                                : fmt::format("consumer=\"{}\",", escaped(key.consumer)) + labels;
}

constexpr const char* status_names[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
static_assert(std::size(status_names) == proxy::status_classes);

// What each consumer has asked for, which is its own to see.
void write_served(Text& text, const Statistics& sum) {
    text.family(
        "sluice_requests_total", "counter",
        "Requests by consumer, model, backend, how they ended and the class of the status.");
    for (const auto& [key, row] : sum.served)
        for (std::size_t end = 0; end < proxy::ends; ++end)
            for (std::size_t status = 0; status < proxy::status_classes; ++status)
                if (const auto count = row.requests[status][end]; count > 0)
                    text.sample(
                        fmt::format("{},end=\"{}\",status=\"{}\"", served_labels(key),
                                    proxy::end_name(static_cast<End>(end)), status_names[status]),
                        count);
    text.family("sluice_tokens_total", "counter",
                "Tokens as the backends reported them; cached ones are part of the input.");
    for (const auto& [key, row] : sum.served) {
        if (key.model.empty()) continue;
        const std::string labels = served_labels(key);
        text.sample(labels + ",type=\"input\"", row.prompt_tokens);
        text.sample(labels + ",type=\"output\"", row.completion_tokens);
        text.sample(labels + ",type=\"cached\"", row.cached_tokens);
    }
}

// What consumers got that was generated for somebody else, or before. Where nothing is shared there
// are no such families.
void write_cache(Text& text, const Statistics& sum) {
    const auto each = [&](const char* name, const char* help, auto&& values_of) {
        bool begun = false;
        for (const auto& [key, row] : sum.served) {
            if (key.model.empty()) continue;
            const std::string labels = served_labels(key);
            values_of(row, [&](const std::string& more, auto value) {
                if (!std::exchange(begun, true)) text.family(name, "counter", help);
                text.sample(labels + more, value);
            });
        }
    };
    using proxy::Served;
    each("sluice_cache_requests_total",
         "Requests whose answer may be shared, by how they were served.",
         [](const Served& row, auto&& sample) {
             for (std::size_t i = 0; i < row.cache.size(); ++i)
                 if (row.cache[i] > 0)
                     sample(fmt::format(",result=\"{}\"",
                                        cache::name_of(static_cast<cache::Outcome>(i))),
                            row.cache[i]);
         });
    each("sluice_cache_bypasses_total", "Those of them that were passed by, by reason.",
         [](const Served& row, auto&& sample) {
             for (std::size_t i = 0; i < row.bypasses.size(); ++i)
                 if (row.bypasses[i] > 0)
                     sample(fmt::format(",reason=\"{}\"",
                                        cache::name_of(static_cast<cache::Bypass>(i))),
                            row.bypasses[i]);
         });
    each("sluice_cache_saved_tokens_total",
         "Tokens that were given again; of a partial answer those of the items that were kept.",
         [](const Served& row, auto&& sample) {
             // Of batches of which a part was kept, only the tokens are counted.
             if (row.saved_bytes == 0 && row.saved_prompt_tokens == 0) return;
             sample(",type=\"input\"", row.saved_prompt_tokens);
             sample(",type=\"output\"", row.saved_completion_tokens);
         });
    each("sluice_cache_saved_bytes_total",
         "Bytes of answers that were given again; none of partial ones.",
         [](const Served& row, auto&& sample) {
             if (row.saved_bytes > 0) sample("", row.saved_bytes);
         });
    each("sluice_cache_saved_seconds_total",
         "What kept answers took to come, the first time, from their first byte on.",
         [](const Served& row, auto&& sample) {
             if (row.saved_bytes > 0) sample("", static_cast<double>(row.saved_us) / us_a_second);
         });
}

void write_counts(Text& text, const Statistics& sum) {
    text.family("sluice_answers_without_usage_total", "counter",
                "Answers of a model whose backend reported no tokens.");
    text.sample("", sum.uncounted);
    text.family("sluice_retries_total", "counter", "Requests that went out again.");
    text.sample("", sum.retries);
    text.family("sluice_retries_refused_total", "counter",
                "Requests that did not go out again because the retry budget was used up.");
    text.sample("", sum.retries_refused);
    text.family("sluice_breaker_openings_total", "counter",
                "Times that a backend was left alone for a model because of its failures.");
    text.sample("", sum.breaker_openings);
    text.family("sluice_answers_broken_total", "counter",
                "Answers that a backend broke behind their head, by cause.");
    for (std::size_t i = 0; i < answer::breaks; ++i)
        text.sample(fmt::format("cause=\"{}\"", answer::break_name(static_cast<answer::Break>(i))),
                    sum.answers_broken[i]);
    text.family("sluice_streams_resumed_total", "counter",
                "Times that another backend went on with a stream whose backend had died.");
    text.sample("", sum.resumed);
    text.family("sluice_connections_total", "counter", "Client connections.");
    text.sample("", sum.connections);
    text.family("sluice_connections_refused_total", "counter",
                "Client connections turned away at a cap.");
    text.sample("", sum.refused_clients);
}

void write_durations(Text& text, const Statistics& sum) {
    text.histogram("gen_ai_server_request_duration_seconds",
                   "From a request's head to the last byte of its answer.", sum.duration);
    text.histogram("gen_ai_server_time_to_first_token_seconds",
                   "From a request's head to the first bytes of its stream.", sum.first_token);
    text.histogram("gen_ai_server_time_per_output_token_seconds", "Between two reads of a stream.",
                   sum.between_tokens);
    text.histogram("sluice_overhead_seconds",
                   "The gateway's own work on a request and the begin of its answer.",
                   sum.overhead);
}

struct Gauge {
    const char* name;
    const char* type;
    const char* help;
    std::uint64_t (*of)(const shard::Snapshot&);
};

constexpr Gauge gauges[] = {
    {"sluice_connections_open", "gauge", "Client connections that are open.",
     [](const shard::Snapshot& s) { return s.connections_open; }},
    {"sluice_requests_in_flight", "gauge", "Requests that are not settled.",
     [](const shard::Snapshot& s) { return s.exchanges_in_flight; }},
    {"sluice_requests_waiting", "gauge", "Requests in line for a slot, or for a model that loads.",
     [](const shard::Snapshot& s) { return s.requests_waiting; }},
    {"sluice_prefix_prompt_bytes_total", "counter",
     "Bytes of prompts for which the replica with the longest cached prefix was looked for.",
     [](const shard::Snapshot& s) { return s.prefixes.prompt_bytes; }},
    {"sluice_prefix_predicted_bytes_total", "counter",
     "Of these, what the chosen replica was expected to have in its cache.",
     [](const shard::Snapshot& s) { return s.prefixes.predicted_bytes; }},
    {"sluice_cache_bytes", "gauge", "Memory that kept answers take, their tables included.",
     [](const shard::Snapshot& s) { return s.cache_bytes; }},
    {"sluice_cache_entries", "gauge", "Answers that are kept.",
     [](const shard::Snapshot& s) { return s.cache_entries; }},
    {"sluice_cache_evictions_total", "counter", "Answers that made room for others.",
     [](const shard::Snapshot& s) { return s.cache_evictions; }},
    {"sluice_flights", "gauge", "Generations under way whose answer may be shared.",
     [](const shard::Snapshot& s) { return s.flights; }},
    {"sluice_buffers_in_use", "gauge", "Receive buffers that are lent or hold bytes.",
     [](const shard::Snapshot& s) { return s.buffers_in_use; }},
    {"sluice_buffers", "gauge", "Receive buffers there may be.",
     [](const shard::Snapshot& s) { return s.buffers_total; }},
    {"sluice_ring_turns_total", "counter", "Turns of the loop, one system call each.",
     [](const shard::Snapshot& s) { return s.ring.turns; }},
    {"sluice_ring_extra_submits_total", "counter", "Submissions because a queue was full.",
     [](const shard::Snapshot& s) { return s.ring.extra_submits; }},
    {"sluice_ring_completions_total", "counter", "Completions.",
     [](const shard::Snapshot& s) { return s.ring.completions; }},
    {"sluice_ring_starved_total", "counter", "Receives that found no buffer and waited.",
     [](const shard::Snapshot& s) { return s.ring.starved; }},
    {"sluice_ring_overflows_total", "counter", "Turns that found the completion queue overflown.",
     [](const shard::Snapshot& s) { return s.ring.overflows; }},
    {"sluice_ring_stale_total", "counter", "Completions of operations that had ended.",
     [](const shard::Snapshot& s) { return s.ring.stale; }},
};

void write_shards(Text& text, const shard::Totals& totals) {
    for (const Gauge& gauge : gauges) {
        text.family(gauge.name, gauge.type, gauge.help);
        for (const auto& snapshot : totals.by_shard())
            if (snapshot != nullptr)
                text.sample(fmt::format("shard=\"{}\"", snapshot->shard), gauge.of(*snapshot));
    }
}

// A disk of answers is one for all shards.
void write_disk(Text& text, const state::DiskCounters& disk) {
    const auto one = [&text](const char* name, const char* type, const char* help,
                             std::uint64_t value) {
        text.family(name, type, help);
        text.sample("", value);
    };
    one("sluice_cache_disk_hits_total", "counter", "Answers that were found on the disk.",
        disk.table.hits);
    one("sluice_cache_disk_misses_total", "counter",
        "Looks on the disk that found none, or one whose time is over.",
        disk.table.misses + disk.unasked);
    one("sluice_cache_disk_bytes", "gauge", "The file of kept answers, without its journal.",
        disk.bytes);
    one("sluice_cache_disk_entries", "gauge", "Answers in it.", disk.entries);
    one("sluice_cache_disk_stored_total", "counter", "Answers that were written.",
        disk.table.stored);
    one("sluice_cache_disk_evictions_total", "counter", "Answers that made room for others.",
        disk.table.evicted);
    one("sluice_cache_disk_dropped_total", "counter",
        "Answers that were not written: too large for the file, or the disk was too slow.",
        disk.table.refused + disk.dropped);
    one("sluice_cache_disk_damaged_total", "counter",
        "Answers on the disk that were not what they said, and were dropped.", disk.table.unfit);
    one("sluice_cache_disk_failures_total", "counter", "Times that the disk would not write.",
        disk.table.failures);
}

void write_pools(Text& text, const shard::Totals& totals) {
    std::map<std::string, shard::PoolGauges> by_url;
    for (const auto& snapshot : totals.by_shard()) {
        if (snapshot == nullptr) continue;
        for (const auto& pool : snapshot->pools) {
            auto& sum = by_url[pool.url];
            sum.links += pool.links;
            sum.idle += pool.idle;
            sum.connects += pool.connects;
            sum.reuses += pool.reuses;
            sum.closed_by_peer += pool.closed_by_peer;
            sum.preconnects += pool.preconnects;
            sum.preconnects_used += pool.preconnects_used;
        }
    }
    const auto each = [&](const char* name, const char* type, const char* help,
                          std::uint64_t shard::PoolGauges::* member) {
        text.family(name, type, help);
        for (const auto& [url, pool] : by_url)
            text.sample("backend=\"" + escaped(url) + "\"", pool.*member);
    };
    each("sluice_backend_connections", "gauge", "Connections to the backend.",
         &shard::PoolGauges::links);
    each("sluice_backend_connections_idle", "gauge", "Those that wait for a request.",
         &shard::PoolGauges::idle);
    each("sluice_backend_connects_total", "counter", "Connections that were made.",
         &shard::PoolGauges::connects);
    each("sluice_backend_reuses_total", "counter", "Requests on a connection that was there.",
         &shard::PoolGauges::reuses);
    each("sluice_backend_idle_closes_total", "counter", "Idle connections the backend closed.",
         &shard::PoolGauges::closed_by_peer);
    each("sluice_backend_preconnects_total", "counter",
         "Connections that were made ahead of a request.", &shard::PoolGauges::preconnects);
    each("sluice_backend_preconnects_used_total", "counter", "Those that a request then took.",
         &shard::PoolGauges::preconnects_used);
}

struct TargetSum {
    bool up = true;
    std::uint64_t breakers_open = 0;
    std::uint64_t in_flight = 0;
    std::uint64_t slots = 0;
    std::map<std::string, std::string> labels;
};

// To be joined with any other series of the backend.
void write_labels(Text& text, const std::map<Statistics::Key, TargetSum>& by_place) {
    text.family("sluice_backend_info", "gauge", "The labels that the settings give a backend.");
    for (const auto& [place, sum] : by_place) {
        if (sum.labels.empty()) continue;
        std::string line = served_labels(place);
        for (const auto& [name, value] : sum.labels)
            line += fmt::format(",{}=\"{}\"", config::metric_label(name), escaped(value));
        text.sample(line, 1);
    }
}

void write_targets(Text& text, const shard::Totals& totals) {
    std::map<Statistics::Key, TargetSum> by_place;
    for (const auto& snapshot : totals.by_shard()) {
        if (snapshot == nullptr) continue;
        for (const auto& target : snapshot->targets) {
            auto& sum =
                by_place[{.consumer = {}, .model = target.model, .backend = target.backend}];
            sum.up &= target.up;
            sum.breakers_open += target.breaker_open ? 1 : 0;
            sum.in_flight += target.in_flight;
            sum.slots = target.slots;
            sum.labels = target.labels;
        }
    }
    const auto each = [&](const char* name, const char* help, auto&& value) {
        text.family(name, "gauge", help);
        for (const auto& [place, sum] : by_place)
            text.sample(served_labels(place), value(sum));
    };
    each("sluice_backend_up", "1: healthy, 0: down or loading its model.",
         [](const TargetSum& sum) { return sum.up ? 1U : 0U; });
    each("sluice_backend_breakers_open", "Shards that leave the backend alone for this model.",
         [](const TargetSum& sum) { return sum.breakers_open; });
    each("sluice_backend_requests_in_flight", "Requests that the backend works on.",
         [](const TargetSum& sum) { return sum.in_flight; });
    each("sluice_backend_slots", "Requests it works on at a time; 0: unbounded or unknown.",
         [](const TargetSum& sum) { return sum.slots; });
    write_labels(text, by_place);
}

// How well prompts find their replica's cache, as the backends themselves report it.
void write_hit_ratios(Text& text, const Statistics& sum) {
    text.family("sluice_prompt_cache_hit_ratio", "gauge",
                "Share of the prompts' tokens that the backend had in its cache.");
    for (const auto& [key, row] : sum.served)
        if (row.prompt_tokens > 0)
            text.sample(served_labels(key), static_cast<double>(row.cached_tokens) /
                                                static_cast<double>(row.prompt_tokens));
}

}  // namespace

void write_metrics(const shard::Totals& totals, std::string_view consumer, std::string& out) {
    Statistics sum;
    for (const auto& snapshot : totals.by_shard())
        if (snapshot != nullptr) sum.add(snapshot->statistics);
    const bool all = consumer.empty();
    if (!all)
        std::erase_if(sum.served,
                      [consumer](const auto& row) { return row.first.consumer != consumer; });
    Text text(out);
    text.family("sluice_build_info", "gauge", "The program that answers.");
    text.sample("version=\"" SLUICE_VERSION "\"", 1);
    write_served(text, sum);
    write_hit_ratios(text, sum);
    write_cache(text, sum);
    if (!all) return;
    write_counts(text, sum);
    write_durations(text, sum);
    write_shards(text, totals);
    if (totals.disk()) write_disk(text, *totals.disk());
    write_pools(text, totals);
    write_targets(text, totals);
}

}  // namespace sluice::admin
