#include "charts.h"
#include "report.h"
#include "svg.h"
#include "table.h"

#include <fmt/format.h>

namespace sluice::bench {
namespace {

// The page brings all that it shows: it may be mailed, and opened without a network.
constexpr std::string_view style = R"(<style>
:root { --paper:#fff; --ink:#1b1f24; --soft:#59636e; --rule:#d8dee4; --tile:#f6f8fa;
  --s0:#2a6fdb; --s1:#d9622b; --s2:#15906b; --s3:#9a55c9; --s4:#b08900; --s5:#cf3f74; }
@media (prefers-color-scheme: dark) { :root { --paper:#0e1116; --ink:#e6edf3; --soft:#9aa5b1;
  --rule:#2b323b; --tile:#171c23; --s0:#5b9bf5; --s1:#f08a58; --s2:#37b78f; --s3:#be86e6;
  --s4:#d6b13c; --s5:#ee6f9c; } }
body { background:var(--paper); color:var(--ink); font:15px/1.5 system-ui,sans-serif;
  max-width:800px; margin:2rem auto; padding:0 1rem; }
h1 { font-size:1.5rem; margin:0 0 .3rem; } h2 { font-size:1.1rem; margin:2rem 0 .5rem; }
p { color:var(--soft); margin:.2rem 0 .8rem; }
.tiles { display:grid; grid-template-columns:repeat(auto-fill,minmax(150px,1fr)); gap:.6rem;
  margin:1rem 0; }
.tile { background:var(--tile); border-radius:6px; padding:.6rem .8rem; }
.tile b { display:block; font-size:1.25rem; white-space:nowrap; font-variant-numeric:tabular-nums; }
.tile span { color:var(--soft); font-size:.85rem; }
.failed { border-left:4px solid var(--s5); padding-left:.8rem; white-space:pre-wrap; }
svg { width:100%; height:auto; display:block; }
svg text { font:12px system-ui,sans-serif; fill:var(--soft); }
svg .label { fill:var(--ink); font-size:13px; }
.end { text-anchor:end; } .middle { text-anchor:middle; }
.grid { stroke:var(--rule); stroke-width:1; } .base { stroke:var(--soft); stroke-width:1.5; }
.curve { fill:none; stroke-width:2.2; } .spread { stroke-width:2.2; opacity:.55; }
.s0 { --c:var(--s0); } .s1 { --c:var(--s1); } .s2 { --c:var(--s2); } .s3 { --c:var(--s3); }
.s4 { --c:var(--s4); } .s5 { --c:var(--s5); }
.curve,.spread { stroke:var(--c); } .dot { fill:var(--c); }
.legend { display:flex; flex-wrap:wrap; gap:.2rem 1.2rem; margin:.2rem 0 .4rem; }
.legend i { display:inline-block; width:.8rem; height:.8rem; border-radius:2px;
  background:var(--c); margin-right:.4rem; vertical-align:-1px; }
.wide { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
th,td { text-align:right; padding:.25rem .6rem; border-bottom:1px solid var(--rule);
  white-space:nowrap; }
th:first-child,td:first-child { text-align:left; }
td small { color:var(--soft); }
</style>
)";

constexpr std::pair<const char*, Histogram Tally::*> curve_kinds[] = {
    {"Latency of a request", &Tally::latency},
    {"Time to the first token", &Tally::first_token},
    {"Time between tokens", &Tally::gap},
    {"Delay of an event", &Tally::delay},
};

std::string facts(const Heading& heading) {
    std::string out;
    for (const auto& fact : heading.facts)
        if (!fact.text.empty())
            out += fmt::format("{}{}: {}", out.empty() ? "" : " &middot; ", escaped(fact.key),
                               escaped(fact.text));
    return out.empty() ? out : fmt::format("<p>{}</p>\n", out);
}

std::string page(const Heading& about, const std::string& body) {
    const std::string heading = about.title.empty() ? "sluice-bench" : escaped(about.title);
    return fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<title>{0}</title>\n{1}</head><body>\n<h1>{0}</h1>\n{2}{3}</body></html>\n",
        heading, style, facts(about), body);
}

std::string legend(const std::vector<Curve>& curves) {
    if (curves.size() < 2) return {};
    std::string out = "<div class=\"legend\">";
    for (std::size_t i = 0; i < curves.size(); ++i)
        out += fmt::format("<span class=\"{}\"><i></i>{}</span>", series_class(i),
                           escaped(curves[i].name));
    return out + "</div>\n";
}

// A chart for each kind of time that somebody measured.
std::string curve_sections(const std::vector<std::pair<std::string, const Tally*>>& tallies) {
    std::string out;
    for (const auto& [label, times] : curve_kinds) {
        std::vector<Curve> curves;
        for (const auto& [name, tally] : tallies)
            curves.push_back({name, &(tally->*times)});
        const auto chart = percentile_chart(label, curves);
        if (!chart.empty())
            out += fmt::format("<h2>{}, by percentile</h2>\n{}{}", label, legend(curves), chart);
    }
    return out;
}

std::string warnings(const Tally& tally, bool process_ended, const std::string& name) {
    std::string out;
    for (const auto& text :
         {shown_missed_rate(tally), shown_process_end(process_ended), shown_failures(tally)})
        if (!text.empty())
            out += fmt::format("<p class=\"failed\">{}{}</p>\n", escaped(name), escaped(text));
    return out;
}

std::string interrupt_line(const std::string& text) {
    return text.empty() ? text : fmt::format("<p class=\"failed\">{}</p>\n", escaped(text));
}

std::string stalled_line(const Measured& measured) {
    if (!measured.stalled) return {};
    return fmt::format("<p>{}</p>\n", escaped(shown_stalled(*measured.stalled)));
}

std::string tile(const Metric& metric) {
    return fmt::format("<div class=\"tile\"><b>{} <span>{}</span></b><span>{}</span></div>\n",
                       shown_number(metric.value), escaped(metric.unit), escaped(metric.label));
}

std::string ratio_text(const Spread& ratio) {
    if (ratio.count == 0) return {};
    return fmt::format("<br><small>{:.2f}x [{:.2f}-{:.2f}]</small>", ratio.median, ratio.low,
                       ratio.high);
}

std::string comparison_table(const Comparison& comparison) {
    const auto& targets = comparison.targets();
    std::string out = "<div class=\"wide\"><table><tr><th>median</th>";
    for (const auto& target : targets)
        out += fmt::format("<th>{}</th>", escaped(target.name));
    out += "</tr>\n";
    for (const auto& metric : comparison.keys()) {
        out += fmt::format("<tr><td>{} <small>{}</small></td>", escaped(metric.label),
                           escaped(metric.unit));
        for (std::size_t i = 0; i < targets.size(); ++i) {
            const Spread value = comparison.values(i, metric.key);
            out +=
                fmt::format("<td>{}{}</td>", value.count == 0 ? "-" : shown_number(value.median),
                            i == 0 ? std::string() : ratio_text(comparison.ratios(i, metric.key)));
        }
        out += "</tr>\n";
    }
    return out + "</table></div>\n";
}

}  // namespace

std::string html_report(const Heading& heading, const Measured& measured,
                        const std::vector<Metric>& metrics) {
    const Tally& tally = measured.tally;
    std::string body = fmt::format(
        "<p>{} requests in {:.1f} s, {} events, {} connections opened, {} still "
        "running at the end</p>\n{}{}<div class=\"tiles\">\n",
        tally.requests, measured.seconds, tally.events, tally.connections, tally.cut,
        stalled_line(measured),
        interrupt_line(shown_interrupt(measured)) + warnings(tally, measured.process_ended, ""));
    for (const char* key :
         {"requests_per_s", "due_unanswered", "latency_p50_us", "latency_p99_us", "events_per_s",
          "tokens_per_s", "first_token_p50_us", "gap_p50_us", "gap_p99_us", "cpu_us_per_request",
          "cpu_us_per_event", "rss_mib", "failed"})
        if (const Metric* metric = find(metrics, key); metric != nullptr) body += tile(*metric);
    body += "</div>\n" + curve_sections({{"", &tally}}) + "<h2>All figures</h2>\n<table>\n";
    for (const auto& metric : metrics)
        body +=
            fmt::format("<tr><td>{}</td><td>{} <small>{}</small></td></tr>\n",
                        escaped(metric.label), shown_number(metric.value), escaped(metric.unit));
    return page(heading, body + "</table>\n");
}

std::string html_report(const Heading& heading, const Comparison& comparison) {
    const auto& targets = comparison.targets();
    std::vector<std::pair<std::string, const Tally*>> tallies;
    std::vector<Curve> names;
    std::string body = fmt::format("<p>{} interleaved rounds; the curves are of all rounds.</p>\n",
                                   targets.front().rounds.size());
    body += interrupt_line(shown_interrupt(comparison));
    for (const auto& target : targets) {
        tallies.emplace_back(target.name, &target.tally);
        names.push_back({target.name, &target.tally.latency});
        body += warnings(target.tally, target.process_ended, target.name + ": ");
    }
    if (const auto chart = ratio_chart(comparison); !chart.empty())
        body += fmt::format(
            "<h2>Against {}</h2>\n<p>Ratios within a round: median and spread.</p>\n{}{}",
            escaped(targets.front().name), legend(names), chart);
    body += curve_sections(tallies) + "<h2>All figures</h2>\n" + comparison_table(comparison);
    return page(heading, body);
}

}  // namespace sluice::bench
