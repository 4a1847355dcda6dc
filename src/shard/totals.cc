#include "sluice/shard/totals.h"

#include "sluice/base/assert.h"

#include <utility>

namespace sluice::shard {

void Totals::learn(std::shared_ptr<const Snapshot> snapshot) {
    SLUICE_ASSERT(snapshot != nullptr);
    const std::size_t shard = snapshot->shard;
    if (by_shard_.size() <= shard) by_shard_.resize(shard + 1);
    by_shard_[shard] = std::move(snapshot);
}

upstream::Traffic Totals::traffic_of_peers(std::size_t shard, std::uint32_t endpoint) const {
    upstream::Traffic sum;
    for (const auto& snapshot : by_shard_)
        if (snapshot != nullptr && snapshot->shard != shard && endpoint < snapshot->traffic.size())
            sum += snapshot->traffic[endpoint];
    return sum;
}

}  // namespace sluice::shard
