#include "table.h"

#include "text.h"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace sluice::bench {

std::string shown_number(double value) {
    const double size = std::abs(value);
    if (size == 0) return "0";
    if (size >= 100) return fmt::format("{:.0f}", value);
    if (size >= 10) return fmt::format("{:.1f}", value);
    return fmt::format("{:.{}f}", value, size >= 1 ? 2 : 3);
}

std::string shown_failures(const Tally& tally) {
    if (tally.failed() == 0) return {};
    std::string text = fmt::format("{} requests FAILED:", tally.failed());
    for (std::size_t i = 0; i < failures_count; ++i)
        if (tally.failures[i] != 0)
            text += fmt::format(" {} {},", to_text(static_cast<Failure>(i)), tally.failures[i]);
    text.back() = '\n';
    return text + fmt::format("  the first one: {}\n", tally.first_failure);
}

std::string shown_missed_rate(const Tally& tally) {
    if (!tally.rate_missed()) return {};
    const auto done = tally.requests + tally.failed();
    return fmt::format(
        "the asked rate was missed: {} requests were due and {} came to an end ({:.1f} %); {} are "
        "not answered, and count in the latencies with the time they have waited so far",
        tally.due, done, 100 * static_cast<double>(done) / static_cast<double>(tally.due),
        tally.due_unanswered);
}

std::string shown_interrupt(const Measured& measured) {
    return measured.interrupted ? "interrupted: the figures are of the time until then"
                                : std::string();
}

std::string shown_interrupt(const Comparison& comparison) {
    if (!comparison.interrupted()) return {};
    return fmt::format("interrupted: the figures are of the {} whole rounds until then",
                       comparison.targets().front().rounds.size());
}

std::string shown_process_end(bool ended) {
    if (!ended) return {};
    return "the process of --pid ended during the run: its figures are left out";
}

std::string shown_stalled(const StalledCount& stalled) {
    std::string text = fmt::format(
        "{} stalled clients beside it: {} open at the begin, {} at the end, {} answered, {} KiB "
        "unread",
        stalled.asked, stalled.at_begin, stalled.at_end, stalled.answered, stalled.unread / 1024);
    if (stalled.refused > 0)
        text +=
            fmt::format("; {} refused, the first one: {}", stalled.refused, stalled.first_refusal);
    return text;
}

std::string table_of(const Measured& measured, const std::vector<Metric>& metrics) {
    const Tally& tally = measured.tally;
    std::string text = fmt::format("{} requests in {:.2f} s", tally.requests, measured.seconds);
    if (tally.events > 0) text += fmt::format(", {} events", tally.events);
    text += fmt::format(", {} connections opened", tally.connections);
    if (tally.reconnects > 0) text += fmt::format(", {} reconnects", tally.reconnects);
    if (tally.cut > 0) text += fmt::format(", {} still running at the end", tally.cut);
    if (tally.due > 0)
        text += fmt::format(", {} due, {} of them not answered", tally.due, tally.due_unanswered);
    text += "\n";
    if (measured.interrupted) text += shown_interrupt(measured) + "\n";
    if (measured.process_ended) text += shown_process_end(measured.process_ended) + "\n";
    if (measured.stalled) text += shown_stalled(*measured.stalled) + "\n";
    for (const auto& metric : metrics)
        text += fmt::format("  {:<24} {:>12} {}\n", metric.label, shown_number(metric.value),
                            metric.unit);
    return text + shown_failures(tally);
}

std::string table_of(const Comparison& comparison) {
    const auto& targets = comparison.targets();
    std::string text = fmt::format("{:<26}", "median");
    for (const auto& target : targets)
        text += fmt::format("{:>14}", target.name);
    text += "\n";
    for (const auto& metric : comparison.keys()) {
        text += fmt::format("{:<20} {:<5}", metric.label, metric.unit);
        for (std::size_t i = 0; i < targets.size(); ++i) {
            const Spread value = comparison.values(i, metric.key);
            text += fmt::format("{:>14}", value.count == 0 ? "-" : shown_number(value.median));
        }
        text += "\n";
    }
    text += fmt::format("\n{:<26}", "ratio to " + targets.front().name + " [spread]");
    for (std::size_t i = 1; i < targets.size(); ++i)
        text += fmt::format("{:>22}", targets[i].name);
    text += "\n";
    for (const auto& metric : comparison.keys()) {
        std::string line;
        for (std::size_t i = 1; i < targets.size(); ++i) {
            const Spread ratio = comparison.ratios(i, metric.key);
            line += ratio.count == 0
                        ? fmt::format("{:>22}", "-")
                        : fmt::format("{:>22}", fmt::format("{:.2f} [{:.2f}-{:.2f}]", ratio.median,
                                                            ratio.low, ratio.high));
        }
        text += fmt::format("{:<26}{}\n", metric.label, line);
    }
    for (const auto& target : targets)
        if (target.tally.failed() > 0)
            text += fmt::format("{}: {}", target.name, shown_failures(target.tally));
    for (const auto& target : targets)
        if (target.process_ended)
            text += fmt::format("{}: {}\n", target.name, shown_process_end(true));
    if (comparison.interrupted()) text += shown_interrupt(comparison) + "\n";
    return text;
}

// --- ProgressLine ---------------------------------------------------------------------------

ProgressLine::ProgressLine(std::string label)
    : label_(std::move(label)), terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
    if (!terminal_) return;
    fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
}

std::string shown_progress(const Sighting& now, const Sighting& before) {
    const double span = now.seconds - (now.seconds > before.seconds ? before.seconds : 0);
    const auto rate = [span](std::uint64_t later, std::uint64_t earlier) {
        return later >= earlier && span > 0 ? static_cast<double>(later - earlier) / span : 0;
    };
    std::string text = fmt::format("{}{:.1f} of {:.1f} s, {} requests/s, {} events/s, {} under way",
                                   now.measuring ? "" : "warming up, ", now.seconds, now.seconds_of,
                                   shown_number(rate(now.requests, before.requests)),
                                   shown_number(rate(now.events, before.events)), now.busy);
    if (now.failed > 0) text += fmt::format(", {} FAILED", now.failed);
    return text;
}

void ProgressLine::show(const Sighting& sighting) {
    if (!terminal_) return;
    winsize size{};
    // The last column stays free: some terminals go on to the next line behind it.
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    const std::size_t width = known ? size.ws_col - 1U : std::size_t{79};
    fmt::print(stderr, "\r\033[K{}", valid_text(label_ + shown_progress(sighting, last_), width));
    std::fflush(stderr);
    last_ = sighting;
}

}  // namespace sluice::bench
