// The Prometheus text of /metrics (exposition format 0.0.4).
//
// Base units, counters end in _total, and the names of OpenTelemetry's GenAI conventions where
// there is one. Label values are escaped; there are as many series as models times backends, never
// one a request.
#pragma once

#include "sluice/shard/totals.h"

#include <string>

namespace sluice::admin {

// Appends the text to `out`.
void write_metrics(const shard::Totals& totals, std::string& out);

}  // namespace sluice::admin
