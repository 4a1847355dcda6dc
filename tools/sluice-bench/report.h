// The reports that are written to files: JSON for programs, HTML for people.
#pragma once

#include "comparison.h"
#include "options.h"

#include <string>
#include <vector>

namespace sluice::bench {

Status write_reports(const Options& options, const Measured& measured,
                     const std::vector<Metric>& metrics);
Status write_reports(const Options& options, const Comparison& comparison);

std::string json_report(const std::string& title, const Measured& measured,
                        const std::vector<Metric>& metrics);
std::string json_report(const std::string& title, const Comparison& comparison);
std::string html_report(const std::string& title, const Measured& measured,
                        const std::vector<Metric>& metrics);
std::string html_report(const std::string& title, const Comparison& comparison);

}  // namespace sluice::bench
