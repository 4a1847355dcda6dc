// What rules and rewrites are compiled from.
#pragma once

#include "sluice/config/route_settings.h"
#include "sluice/config/wildcard.h"

namespace sluice::policy {

using config::HashSetting;
using config::NamedPattern;
using config::Range;
using config::RewriteSetting;
using config::RouteSetting;
using config::RuleCondition;
using config::RuleSetting;
using config::RuleShare;
using config::Wildcard;

}  // namespace sluice::policy
