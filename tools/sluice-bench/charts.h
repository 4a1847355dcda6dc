// The two charts of the HTML report. Pure: figures in, SVG out.
#pragma once

#include "comparison.h"
#include "histogram.h"

#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

struct Curve {
    std::string name;
    const Histogram* times = nullptr;
};

// Times by percentile: how long the slowest tenth, hundredth, thousandth took. Both axes are
// logarithmic: the right one percentile step is ten times rarer than the one before. Curves without
// a value are left out; empty when none has any.
std::string percentile_chart(std::string_view label, const std::vector<Curve>& curves);

// Each target against the first one: the median of the ratios and their spread, a line a figure.
std::string ratio_chart(const Comparison& comparison);

// The colours of a chart's series, in order; a class of the page's style.
std::string series_class(std::size_t index);

}  // namespace sluice::bench
