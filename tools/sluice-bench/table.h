// The tables and the progress line on a terminal.
#pragma once

#include "comparison.h"
#include "metrics.h"
#include "run.h"

#include <string>

namespace sluice::bench {

std::string table_of(const Measured& measured, const std::vector<Metric>& metrics);
std::string table_of(const Comparison& comparison);

// Three significant digits at least: 12345, 12.3, 0.123.
std::string shown_number(double value);
// What went wrong, by kind, with the first one's words; empty when nothing did.
std::string shown_failures(const Tally& tally);
// That an open loop's rate was missed, and by how much; empty when it was not.
std::string shown_missed_rate(const Tally& tally);
// That a measurement ended early; empty when it did not.
std::string shown_interrupt(const Measured& measured);
std::string shown_interrupt(const Comparison& comparison);
// That the gateway ended under the load; empty when it did not.
std::string shown_process_end(bool ended);
// What became of the stalled clients, in a line.
std::string shown_stalled(const StalledCount& stalled);

// What a progress line says of it, without a label.
std::string shown_progress(const Sighting& now, const Sighting& before);

// One line on stderr that is written over again, if stderr is a terminal. It is cut to the
// terminal's width, and cleared at its end.
class ProgressLine {
public:
    explicit ProgressLine(std::string label);
    ~ProgressLine();
    void show(const Sighting& sighting);

private:
    std::string label_;
    bool terminal_;
    Sighting last_;
};

}  // namespace sluice::bench
