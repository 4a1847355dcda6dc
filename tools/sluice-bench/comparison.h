// Comparison: the figures of several targets, round by round, and what they say together.
//
// Pure. A ratio is formed within a round, where all targets met the same weather; then the median
// and the spread of those ratios are taken.
#pragma once

#include "metrics.h"
#include "statistics.h"

#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

struct TargetRounds {
    std::string name;
    std::vector<std::vector<Metric>> rounds;  // one list of figures a round
    Tally tally;                              // of all rounds
    bool process_ended = false;               // the gateway did in some round
};

class Comparison {
public:
    explicit Comparison(std::vector<std::string> names);

    void add(std::size_t target, const Measured& measured);

    // It ended early; the rounds that are there are whole.
    void interrupt() { interrupted_ = true; }
    bool interrupted() const { return interrupted_; }

    const std::vector<TargetRounds>& targets() const { return targets_; }
    // Every figure that any target has, in the order of the tables.
    std::vector<Metric> keys() const;
    Spread values(std::size_t target, std::string_view key) const;
    // Against the first target; rounds without a figure on either side do not count.
    Spread ratios(std::size_t target, std::string_view key) const;
    Spread differences(std::size_t target, std::string_view key) const;

private:
    std::vector<TargetRounds> targets_;
    bool interrupted_ = false;
};

}  // namespace sluice::bench
