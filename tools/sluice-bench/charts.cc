#include "charts.h"

#include "svg.h"
#include "table.h"

#include <algorithm>
#include <cmath>

namespace sluice::bench {
namespace {

constexpr double width = 760;
constexpr std::size_t series_colours = 6;

// A time as people say it.
std::string shown_time(double ns) {
    if (ns >= 1e9) return shown_number(ns * 1e-9) + " s";
    if (ns >= 1e6) return shown_number(ns * 1e-6) + " ms";
    if (ns >= 1e3) return shown_number(ns * 1e-3) + " us";
    return shown_number(ns) + " ns";
}

// --- times by percentile --------------------------------------------------------------------

constexpr double curves_height = 340;
constexpr double left = 76, right = 30, top = 16, bottom = 46;

// What a share of all values that are slower is on the horizontal axis: 1 is 0, 0.1 is 1.
struct PercentileAxis {
    double steps_max = 1;  // factors of ten
    double x(double steps) const { return left + steps / steps_max * (width - left - right); }
};

struct TimeAxis {
    double low = 1, high = 10;  // ns
    double y(double ns) const {
        const double share = std::log(std::max(ns, low) / low) / std::log(high / low);
        return curves_height - bottom - share * (curves_height - bottom - top);
    }
};

// The next of 1, 2, 5, 10, 20, ... at or below.
double round_down(double value) {
    const double decade = std::pow(10, std::floor(std::log10(value)));
    for (const double step : {5.0, 2.0})
        if (decade * step <= value) return decade * step;
    return decade;
}

double next_step(double value) {
    const double decade = std::pow(10, std::floor(std::log10(value * 1.0001)));
    const double first = std::round(value / decade);
    return decade * (first < 2 ? 2 : first < 5 ? 5 : 10);
}

void draw_time_axis(Svg& svg, const TimeAxis& axis) {
    const bool wide = axis.high / axis.low > 1500;
    for (double tick = axis.low; tick <= axis.high * 1.0001; tick = next_step(tick)) {
        const bool decade = std::abs(std::log10(tick) - std::round(std::log10(tick))) < 1e-9;
        if (wide && !decade) continue;
        svg.line(left, axis.y(tick), width - right, axis.y(tick), "grid");
        svg.write(left - 8, axis.y(tick) + 4, shown_time(tick), "tick end");
    }
}

void draw_percentile_axis(Svg& svg, const PercentileAxis& axis) {
    constexpr std::pair<double, const char*> ticks[] = {
        {0, "0"},      {0.30103, "50 %"}, {1, "90 %"},    {2, "99 %"},
        {3, "99.9 %"}, {4, "99.99 %"},    {5, "99.999 %"}};
    for (const auto& [steps, name] : ticks) {
        if (steps > axis.steps_max) break;
        svg.line(axis.x(steps), top, axis.x(steps), curves_height - bottom, "grid");
        svg.write(axis.x(steps), curves_height - bottom + 18, name, "tick middle");
    }
    svg.write((left + width - right) / 2, curves_height - 8, "percentile", "tick middle");
}

double rarest(const Histogram& times) {
    return std::min(5.0,
                    std::log10(static_cast<double>(std::max<std::uint64_t>(times.count(), 2))));
}

std::vector<std::pair<double, double>> points_of(const Histogram& times, const PercentileAxis& x,
                                                 const TimeAxis& y) {
    std::vector<std::pair<double, double>> points;
    constexpr int points_a_step = 25;
    const int count = static_cast<int>(rarest(times) * points_a_step);
    for (int i = 0; i <= count; ++i) {
        const double steps = static_cast<double>(i) / points_a_step;
        const double percent = 100 * (1 - std::pow(10, -steps));
        points.emplace_back(x.x(steps), y.y(static_cast<double>(times.percentile(percent))));
    }
    return points;
}

// --- ratios ---------------------------------------------------------------------------------

constexpr double row_height = 15, row_gap = 12, ratio_left = 210, ratio_top = 26;

// What the ratio chart shows, as far as it was measured: not every percentile of everything.
constexpr std::string_view ratio_keys[] = {
    "requests_per_s", "events_per_s",       "latency_p50_us",
    "latency_p99_us", "first_token_p50_us", "first_token_p99_us",
    "gap_p50_us",     "gap_p99_us",         "delay_p50_us",
    "delay_p99_us",   "cpu_us_per_request", "cpu_us_per_event",
    "rss_mib",
};

struct RatioAxis {
    double low = 1, high = 1;
    double x(double ratio) const {
        const double share = std::log(ratio / low) / std::log(high / low);
        return ratio_left + std::clamp(share, 0.0, 1.0) * (width - ratio_left - right);
    }
};

struct RatioLine {
    Metric metric;
    std::vector<std::pair<std::size_t, Spread>> targets;  // index and its ratios
};

std::vector<RatioLine> ratio_lines(const Comparison& comparison, RatioAxis& axis) {
    std::vector<RatioLine> lines;
    axis.low = 0.8;
    axis.high = 1.25;
    const auto keys = comparison.keys();
    for (const auto key : ratio_keys) {
        const Metric* metric = find(keys, key);
        if (metric == nullptr) continue;
        RatioLine line{*metric, {}};
        for (std::size_t i = 1; i < comparison.targets().size(); ++i) {
            const Spread ratio = comparison.ratios(i, key);
            if (ratio.count == 0 || ratio.low <= 0) continue;
            line.targets.emplace_back(i, ratio);
            axis.low = std::min(axis.low, ratio.low);
            axis.high = std::max(axis.high, ratio.high);
        }
        if (!line.targets.empty()) lines.push_back(std::move(line));
    }
    axis.low /= 1.05;
    axis.high *= 1.05;
    return lines;
}

void draw_ratio_axis(Svg& svg, const RatioAxis& axis, double height) {
    constexpr double fine[] = {0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3};
    constexpr double coarse[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100};
    const bool narrow = axis.high / axis.low < 4;
    for (const double tick : narrow ? fine : coarse) {
        if (tick < axis.low || tick > axis.high) continue;
        svg.line(axis.x(tick), ratio_top - 6, axis.x(tick), height - 4,
                 tick == 1.0 ? "base" : "grid");
        svg.write(axis.x(tick), ratio_top - 12, fmt::format("{:g}x", tick), "tick middle");
    }
}

}  // namespace

std::string series_class(std::size_t index) {
    return fmt::format("s{}", index % series_colours);
}

std::string percentile_chart(std::string_view label, const std::vector<Curve>& curves) {
    PercentileAxis x;
    double low = 0, high = 0;
    for (const auto& curve : curves) {
        if (curve.times->count() == 0) continue;
        x.steps_max = std::max(x.steps_max, rarest(*curve.times));
        const auto least = static_cast<double>(std::max<std::uint64_t>(curve.times->min(), 100));
        low = low == 0 ? least : std::min(low, least);
        high = std::max(high, static_cast<double>(curve.times->max()));
    }
    if (high == 0) return {};
    const TimeAxis y{round_down(low), std::max(next_step(high), 2 * low)};
    Svg svg(width, curves_height, fmt::format("{} by percentile", label));
    draw_time_axis(svg, y);
    draw_percentile_axis(svg, x);
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const Histogram& times = *curves[i].times;
        if (times.count() == 0) continue;
        const auto hint = fmt::format("{}: p50 {}, p99 {}, max {}", curves[i].name,
                                      shown_time(static_cast<double>(times.percentile(50))),
                                      shown_time(static_cast<double>(times.percentile(99))),
                                      shown_time(static_cast<double>(times.max())));
        svg.curve(points_of(times, x, y), "curve " + series_class(i), hint);
    }
    return std::move(svg).done();
}

std::string ratio_chart(const Comparison& comparison) {
    RatioAxis axis;
    const auto lines = ratio_lines(comparison, axis);
    if (lines.empty()) return {};
    double height = ratio_top;
    for (const auto& line : lines)
        height += row_height * static_cast<double>(line.targets.size()) + row_gap;
    Svg svg(width, height, "ratios to " + comparison.targets().front().name);
    draw_ratio_axis(svg, axis, height);
    double y = ratio_top + row_height / 2;
    for (const auto& line : lines) {
        const double middle = y + row_height * static_cast<double>(line.targets.size() - 1) / 2;
        const char* better = line.metric.better == Metric::Better::more ? " (more is better)" : "";
        svg.write(ratio_left - 12, middle + 4, line.metric.label + better, "label end");
        for (const auto& [target, ratio] : line.targets) {
            const auto style = series_class(target);
            const auto hint = fmt::format("{}, {}: {:.2f}x [{:.2f}-{:.2f}], {} rounds",
                                          comparison.targets()[target].name, line.metric.label,
                                          ratio.median, ratio.low, ratio.high, ratio.count);
            svg.line(axis.x(ratio.low), y, axis.x(ratio.high), y, "spread " + style);
            svg.dot(axis.x(ratio.median), y, 5, "dot " + style, hint);
            y += row_height;
        }
        y += row_gap;
    }
    return std::move(svg).done();
}

}  // namespace sluice::bench
