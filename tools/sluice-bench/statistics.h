// Medians and spreads of a few figures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sluice::bench {

struct Spread {
    double median = 0;
    double low = 0;
    double high = 0;
    std::size_t count = 0;
};

// Of no figures: zeros.
inline Spread spread_of(std::vector<double> values) {
    if (values.empty()) return {};
    std::ranges::sort(values);
    const std::size_t half = values.size() / 2;
    const double median =
        values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
    return {median, values.front(), values.back(), values.size()};
}

}  // namespace sluice::bench
