// The reports that are written to files: JSON for programs, HTML for people.
#pragma once

#include "comparison.h"
#include "heading.h"

#include <string>
#include <vector>

namespace sluice::bench {

Status write_reports(const Options& options, const Heading& heading, const Measured& measured,
                     const std::vector<Metric>& metrics);
Status write_reports(const Options& options, const Heading& heading, const Comparison& comparison);

std::string json_report(const Heading& heading, const Measured& measured,
                        const std::vector<Metric>& metrics);
std::string json_report(const Heading& heading, const Comparison& comparison);
std::string html_report(const Heading& heading, const Measured& measured,
                        const std::vector<Metric>& metrics);
std::string html_report(const Heading& heading, const Comparison& comparison);

}  // namespace sluice::bench
