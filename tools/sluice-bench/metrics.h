// Metrics: the figures of one window by name, in the order in which they are shown.
//
// Pure. Only what was measured is there: no event figures without events, no processor figures
// without --pid.
#pragma once

#include "run.h"

#include <string>
#include <vector>

namespace sluice::bench {

struct Metric {
    enum class Better : std::uint8_t { more, less, neither };

    std::string key;    // as in the JSON report: name and unit
    std::string label;  // as in a table
    std::string unit;
    double value = 0;
    Better better = Better::neither;
};

std::vector<Metric> metrics_of(const Measured& measured);
// Null when there is none of that name.
const Metric* find(const std::vector<Metric>& metrics, std::string_view key);

}  // namespace sluice::bench
