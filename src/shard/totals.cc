#include "sluice/shard/totals.h"

#include <utility>

#include "sluice/base/assert.h"

namespace sluice::shard {

void Totals::learn(std::shared_ptr<const Snapshot> snapshot) {
    SLUICE_ASSERT(snapshot != nullptr);
    const std::size_t shard = snapshot->shard;
    if (by_shard_.size() <= shard) by_shard_.resize(shard + 1);
    by_shard_[shard] = std::move(snapshot);
}

}  // namespace sluice::shard
