// What a shard tells the others of the requests that it places: how many it has at each target, how
// many wait in its lines, and which prompts went where.
//
// One message a turn of the loop in which something of it changed, the same for all peers; plain
// values. What they know is as old as a message takes, microseconds while shards are awake: good
// enough to choose by, never to admit by (the slot ledger does that).
#pragma once

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::upstream {

struct DispatchNews {
    // Hashes of prompts beyond that many are not told: the others guess without them.
    static constexpr std::size_t hashes_max = 8192;

    // So many more requests, or fewer, than the last message said.
    struct Change {
        enum class Of : std::uint8_t { target, line };
        Of of = Of::target;
        std::uint32_t id = 0;         // of the target; of the model whose lines they wait in
        std::uint32_t slot_pool = 0;  // the target's
        std::int32_t more = 0;
    };
    // A prompt went to this target: so many of `hashes`, in their order, are what it may have new
    // in its cache.
    struct Prompt {
        std::uint32_t backend = 0;
        std::uint32_t hashes = 0;
    };

    void add(Change::Of of, std::uint32_t id, std::uint32_t slot_pool, std::int32_t more) {
        const auto same = std::ranges::find_if(changes, [&](const Change& change) {
            return change.of == of && change.id == id && change.slot_pool == slot_pool;
        });
        if (same != changes.end())
            same->more += more;
        else
            changes.push_back({of, id, slot_pool, more});
    }
    // What came and went within the turn is no news.
    bool settle() {
        std::erase_if(changes, [](const Change& change) { return change.more == 0; });
        SLUICE_ASSERT(hashes.empty() || !prompts.empty());
        return !changes.empty() || !prompts.empty();
    }

    std::vector<Change> changes;
    std::vector<Prompt> prompts;
    std::vector<std::uint64_t> hashes;
};

}  // namespace sluice::upstream
