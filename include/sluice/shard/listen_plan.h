// Where a gateway with these settings listens, or why it cannot: what the start and `sluice check`
// both find out before any socket is opened.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/net/address.h"

#include <string>
#include <vector>

namespace sluice::shard {

// The listeners of the settings, in their order, up to the first that is wrong.
struct ListenPlan {
    std::vector<net::Address> addresses;
    // What is wrong with the one behind them; empty: nothing is.
    std::string trouble;
};

// Names are looked up. What may be wrong: it is no address, it can be reached from other machines
// though nobody needs a key, or it is one with another of them, however the two are written.
ListenPlan plan_listeners(const config::Settings& settings);

}  // namespace sluice::shard
