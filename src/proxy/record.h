// The access log: one JSON object a line for each exchange.
#pragma once

#include <string>
#include <string_view>

#include "sluice/proxy/exchange.h"

namespace sluice::proxy {

// Writes the line of a settled exchange into `line` (replacing it), with its '\n'. No header, no
// query and no body is in it.
void write_record(const Exchange& exchange, Instant now, std::string_view client,
                  std::string& line);

}  // namespace sluice::proxy
