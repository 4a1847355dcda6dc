#include "json_text.h"
#include "report.h"
#include "text.h"

#include <fmt/format.h>

#include <cmath>

namespace sluice::bench {

std::string json_quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : valid_text(text)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20) {
            out += fmt::format("\\u{:04x}", byte);
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string json_number(double value) {
    return std::isfinite(value) ? fmt::format("{:.6g}", value) : "null";
}

namespace {

std::string members(const std::vector<Metric>& metrics) {
    std::string out;
    for (const auto& metric : metrics)
        out += fmt::format("{}{}:{}", out.empty() ? "" : ",", json_quoted(metric.key),
                           json_number(metric.value));
    return "{" + out + "}";
}

std::string run_members(const Heading& heading) {
    std::string out;
    for (const auto& fact : heading.facts)
        out += fmt::format("{}\n {}:{}", out.empty() ? "" : ",", json_quoted(fact.key), fact.json);
    return out;
}

std::string spread(const Spread& spread) {
    return fmt::format(R"({{"median":{},"low":{},"high":{},"rounds":{}}})",
                       json_number(spread.median), json_number(spread.low),
                       json_number(spread.high), spread.count);
}

std::string totals(const Tally& tally) {
    std::string failures;
    for (std::size_t i = 0; i < failures_count; ++i)
        if (tally.failures[i] != 0)
            failures +=
                fmt::format("{}{}:{}", failures.empty() ? "" : ",",
                            json_quoted(to_text(static_cast<Failure>(i))), tally.failures[i]);
    std::string statuses;
    for (const auto& [status, count] : tally.statuses)
        statuses += fmt::format("{}\"{}\":{}", statuses.empty() ? "" : ",", status, count);
    return fmt::format(
        R"({{"requests":{},"events":{},"tokens":{},"failed":{},"failures":{{{}}},)"
        R"("statuses":{{{}}},"first_failure":{},"connections":{},"reconnects":{},"cut":{},)"
        R"("due":{},"due_unanswered":{},"rate_missed":{},"stalls":{},)"
        R"("bytes_in":{},"bytes_out":{}}})",
        tally.requests, tally.events, tally.tokens, tally.failed(), failures, statuses,
        json_quoted(tally.first_failure), tally.connections, tally.reconnects, tally.cut, tally.due,
        tally.due_unanswered, tally.rate_missed(), tally.stalls, tally.bytes_in, tally.bytes_out);
}

std::string stalled_member(const StalledCount& stalled) {
    return fmt::format(
        R"(
"stalled":{{"asked":{},"at_begin":{},"at_end":{},"answered":{},"refused":{},)"
        R"("first_refusal":{},"unread_bytes":{}}},)",
        stalled.asked, stalled.at_begin, stalled.at_end, stalled.answered, stalled.refused,
        json_quoted(stalled.first_refusal), stalled.unread);
}

}  // namespace

std::string json_report(const Heading& heading, const Measured& measured,
                        const std::vector<Metric>& metrics) {
    return fmt::format(
        "{{\"title\":{},\n\"run\":{{{}}},\n\"seconds\":{},\"interrupted\":{},\"process_ended\":{},"
        "\n\"totals\":{},{}\n"
        "\"metrics\":{}}}\n",
        json_quoted(heading.title), run_members(heading), json_number(measured.seconds),
        measured.interrupted, measured.process_ended, totals(measured.tally),
        measured.stalled ? stalled_member(*measured.stalled) : "", members(metrics));
}

std::string json_report(const Heading& heading, const Comparison& comparison) {
    std::string out =
        fmt::format("{{\"title\":{},\n\"run\":{{{}}},\n\"interrupted\":{},\"targets\":[",
                    json_quoted(heading.title), run_members(heading), comparison.interrupted());
    for (std::size_t i = 0; i < comparison.targets().size(); ++i) {
        const TargetRounds& target = comparison.targets()[i];
        out += fmt::format("{}\n{{\"name\":{},\"process_ended\":{},\"totals\":{},\n \"rounds\":[",
                           i == 0 ? "" : ",", json_quoted(target.name), target.process_ended,
                           totals(target.tally));
        for (std::size_t round = 0; round < target.rounds.size(); ++round)
            out += fmt::format("{}\n  {}", round == 0 ? "" : ",", members(target.rounds[round]));
        out += "],\n \"metrics\":{";
        const char* comma = "";
        for (const auto& metric : comparison.keys()) {
            out += fmt::format("{}\n  {}:{{\"value\":{},\"ratio\":{},\"difference\":{}}}", comma,
                               json_quoted(metric.key), spread(comparison.values(i, metric.key)),
                               spread(comparison.ratios(i, metric.key)),
                               spread(comparison.differences(i, metric.key)));
            comma = ",";
        }
        out += "}}";
    }
    return out + "\n]}\n";
}

}  // namespace sluice::bench
