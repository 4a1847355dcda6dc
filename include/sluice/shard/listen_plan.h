// Where a gateway with these settings listens, or why it cannot: what the start and `sluice check`
// both find out before any socket is opened.
#pragma once

#include "sluice/base/result.h"
#include "sluice/config/settings.h"
#include "sluice/net/address.h"

#include <vector>

namespace sluice::shard {

// In the order of the settings. Names are looked up. An error names the address as it is written:
// it is none, it can be reached from other machines though nobody needs a key, or it is one with
// another of them, however the two are written.
Result<std::vector<net::Address>> plan_listeners(const config::Settings& settings);

}  // namespace sluice::shard
