// Whether one condition takes everything that another one could: what stands behind it is then
// never reached. Internal to config.
//
// Sound, not complete: it says yes only where that is certain.
#pragma once

#include "sluice/config/route_settings.h"

#include <string>

namespace sluice::config {

// Of wildcards: every name that fits `inner` fits `outer`.
bool covers(const std::string& outer, const std::string& inner);

// What `when: {path: /}` and its like come to: it holds for every request.
bool takes_every_request(const RuleCondition& condition);
bool covers(const RuleCondition& outer, const RuleCondition& inner);

bool covers(const RouteSetting& outer, const RouteSetting& inner);

}  // namespace sluice::config
