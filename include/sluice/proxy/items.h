// Items of batches of embeddings, on their way between a batch and the homes of its items; see
// flights.h.
#pragma once

#include "sluice/base/limits.h"
#include "sluice/cache/directives.h"
#include "sluice/cache/embeddings.h"
#include "sluice/cache/store.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::proxy {

// A batch of embeddings is put together of its items up to that; what is longer passes as it comes.
inline constexpr std::size_t batch_document_bytes_max = 16 * limits::MiB;

// Who waits for the items of a batch that are kept.
class ItemsAsker {
public:
    // One for each key, in their order.
    virtual void seen(std::vector<cache::Found>&& found) = 0;

protected:
    ~ItemsAsker() = default;
};

// Of items, several of which have one home.
struct ItemsMessage {
    std::vector<cache::Key> keys;                    // look
    cache::Directives directives;                    // look
    std::vector<cache::Found> found;                 // seen: one for each key
    std::vector<cache::EmbeddingBatch::Fresh> kept;  // keep
};

// Under way to the homes of its keys.
struct ItemsLook {
    ItemsAsker* asker;  // null: it waits no more
    std::vector<cache::Found> found;
    std::vector<std::vector<std::uint32_t>> of_shard;  // which keys have their home there
    std::uint32_t waits_for = 0;                       // shards
};

}  // namespace sluice::proxy
