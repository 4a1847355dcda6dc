// The Prometheus text of /metrics (exposition format 0.0.4).
//
// Base units, counters end in _total, and the names of OpenTelemetry's GenAI conventions where
// there is one. Label values are escaped; there are as many series as models times backends, never
// one a request.
#pragma once

#include "sluice/shard/totals.h"

#include <string>
#include <string_view>

namespace sluice::admin {

// Appends the text to `out`: what is counted for that consumer and nothing else; for an empty one
// everything.
void write_metrics(const shard::Totals& totals, std::string_view consumer, std::string& out);

}  // namespace sluice::admin
