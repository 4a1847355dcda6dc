// Items of batches: each has a home of its own, and a batch asks each home once.
//
// They are looked for in memory, and nobody waits for another one's: whoever asks for a batch joins
// an equal batch, or asks for what is not kept.
#include "sluice/proxy/flights.h"

#include <utility>

namespace sluice::proxy {

using ItemKind = FlightMessage::Kind;

void Flights::send_items(std::uint16_t shard, ItemKind kind, std::uint64_t ticket,
                         std::unique_ptr<ItemsMessage> items) {
    SLUICE_ASSERT(peers_ != nullptr && shard != shard_);
    auto message = std::make_unique<FlightMessage>();
    message->kind = kind;
    message->from = shard_;
    message->ticket = ticket;
    message->items = std::move(items);
    peers_->send(shard, std::move(message));
}

// A message comes before the turn has its time.
cache::Found Flights::find_item(const cache::Key& key, const cache::Directives& directives) {
    SLUICE_ASSERT(home_of(key) == shard_);
    if (store_ == nullptr) return {};
    return store_->find(key, monotonic_now(), directives);
}

std::optional<std::vector<cache::Found>> Flights::look(const std::vector<cache::Key>& keys,
                                                       const cache::Directives& directives,
                                                       ItemsAsker& asker, std::uint64_t& ticket) {
    std::vector<cache::Found> found(keys.size());
    std::vector<std::vector<std::uint32_t>> of_shard(shards_);
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
        const std::uint16_t home = home_of(keys[i]);
        if (home == shard_)
            found[i] = find_item(keys[i], directives);
        else
            of_shard[home].push_back(i);
    }
    std::uint32_t waits_for = 0;
    for (std::uint16_t shard = 0; shard < shards_; ++shard) {
        if (of_shard[shard].empty()) continue;
        if (waits_for++ == 0) ticket = ++last_ticket_;
        auto items = std::make_unique<ItemsMessage>();
        items->directives = directives;
        for (const std::uint32_t item : of_shard[shard])
            items->keys.push_back(keys[item]);
        send_items(shard, ItemKind::look, ticket, std::move(items));
    }
    if (waits_for == 0) return found;
    items_looks_.emplace(ticket,
                         ItemsLook{&asker, std::move(found), std::move(of_shard), waits_for});
    return std::nullopt;
}

void Flights::forget_look(std::uint64_t ticket) {
    const auto look = items_looks_.find(ticket);
    SLUICE_ASSERT(look != items_looks_.end());
    look->second.asker = nullptr;
}

// At a home of some of a batch.
void Flights::look_for(FlightMessage&& message) {
    auto items = std::move(message.items);
    for (const cache::Key& key : items->keys)
        items->found.push_back(find_item(key, items->directives));
    send_items(message.from, ItemKind::seen, message.ticket, std::move(items));
}

void Flights::seen(FlightMessage&& message) {
    const auto look = items_looks_.find(message.ticket);
    SLUICE_ASSERT(look != items_looks_.end());
    ItemsLook& batch = look->second;
    const auto& places = batch.of_shard[message.from];
    SLUICE_ASSERT(places.size() == message.items->found.size() && batch.waits_for > 0);
    for (std::size_t i = 0; i < places.size(); ++i)
        batch.found[places[i]] = std::move(message.items->found[i]);
    if (--batch.waits_for > 0) return;
    ItemsAsker* const asker = batch.asker;
    auto found = std::move(batch.found);
    items_looks_.erase(look);
    if (asker != nullptr) asker->seen(std::move(found));
}

void Flights::keep(std::vector<cache::EmbeddingBatch::Fresh>&& items, Duration ttl, Instant since) {
    std::vector<std::unique_ptr<ItemsMessage>> of_shard(shards_);
    for (auto& item : items) {
        auto& there = of_shard[home_of(item.key)];
        if (there == nullptr) there = std::make_unique<ItemsMessage>();
        there->kept.push_back(std::move(item));
    }
    for (std::uint16_t shard = 0; shard < shards_; ++shard) {
        if (of_shard[shard] == nullptr) continue;
        if (shard == shard_) {
            keep_here(std::move(of_shard[shard]->kept), ttl, since);
            continue;
        }
        auto message = std::make_unique<FlightMessage>();
        message->kind = ItemKind::keep;
        message->from = shard_;
        message->question.ttl = ttl;
        message->since = since;
        message->items = std::move(of_shard[shard]);
        peers_->send(shard, std::move(message));
    }
}

void Flights::keep_here(std::vector<cache::EmbeddingBatch::Fresh>&& items, Duration ttl,
                        Instant since) {
    if (store_ == nullptr || since <= purged_at_) return;
    for (auto& item : items)
        store_->insert(item.key, std::move(item.answer), monotonic_now(), ttl);
}

}  // namespace sluice::proxy
