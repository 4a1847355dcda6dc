// What several clients ask for at the same time: how they word it, and how often servers may have
// been asked for it.
#pragma once

#include "case.h"

#include <cstdint>

namespace sluice::sim {

// How the gateway came by the answers, of all runs.
struct SharingTally {
    std::uint64_t generated = 0;
    std::uint64_t joined = 0;
    std::uint64_t hit = 0;
};

// What the run arranged.
struct SharingRules {
    bool keeps_answers = false;
    bool may_lose = false;  // connections, time, memory: then what is late says nothing
};

// Fails where an answer that was to be shared was not.
void check_sharing(const Case& asked, Ledger& ledger, const SharingRules& rules,
                   SharingTally& tally);

// Whether a server of it worked on though nobody who listened was left.
bool works_for_nobody(const Case& asked, Ledger& ledger, Duration gone_client_shows_in);

// Whether the answer that it got had its usage in it.
bool usage_came(const Case& asked, Ledger& ledger);

}  // namespace sluice::sim
