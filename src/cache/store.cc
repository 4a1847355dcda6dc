#include "sluice/cache/store.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::cache {

namespace {

constexpr std::size_t entries_min = 16;
// Numbers of entries have 32 bits, the index doubles them.
constexpr std::size_t entries_most = std::size_t{1} << 24;

std::size_t entries_for(const StoreBounds& bounds) {
    const std::uint64_t wanted = bounds.entries != 0 ? bounds.entries : bounds.bytes / limits::KiB;
    return std::clamp<std::uint64_t>(wanted, entries_min, entries_most);
}

}  // namespace

std::uint64_t Store::table_bytes_for(std::size_t entries) {
    return entries * sizeof(Entry) + KeyIndex::bytes_for(entries) + Ghosts::bytes_for(entries);
}

// With bytes for no tables it has none of any size: it stays empty.
Store::Store(StoreBounds bounds, std::uint64_t seed)
    : bounds_(bounds), seed_(seed), index_(0), ghosts_(0) {
    SLUICE_ASSERT(bounds.answer_share > 0 && bounds.stale.ns >= 0);
    const std::size_t entries = entries_for(bounds);
    const std::uint64_t tables = table_bytes_for(entries);
    if (tables >= bounds.bytes) return;
    entries_.reserve(entries);
    index_ = KeyIndex(entries);
    ghosts_ = Ghosts(entries);
    bytes_ = tables;
    answer_bytes_max_ = std::min(bounds.bytes / bounds.answer_share, bounds.bytes - tables);
    small_bytes_ = (bounds.bytes - tables) / 10;
}

bool Store::is_over(const Entry& entry, Instant now) const {
    return now - entry.created - entry.ttl >= bounds_.stale;
}

std::uint32_t Store::find_entry(const Key& key, std::uint64_t hash) const {
    return index_.find(hash, [&](std::uint32_t at) { return entries_[at].key == key; });
}

bool Store::holds(const Key& key) const {
    return find_entry(key, hash_of(key)) != none;
}

Found Store::find(const Key& key, Instant now, std::optional<Duration> max_age) {
    Directives directives;
    directives.max_age = max_age;
    return find(key, now, directives);
}

Found Store::find(const Key& key, Instant now, const Directives& directives) {
    const std::uint32_t at = find_entry(key, hash_of(key));
    if (at != none && is_over(entries_[at], now)) {
        drop(at);
        ++counters_.expired;
    } else if (at != none) {
        Entry& entry = entries_[at];
        const Duration age = std::max(now - entry.created, Duration{});
        const Use judged = use(StoredAge{age, entry.ttl}, directives);
        if (judged == Use::hit || judged == Use::stale) return take(entry, age);
    }
    ++counters_.misses;
    return {};
}

Found Store::take(Entry& entry, Duration age) {
    if (entry.uses < uses_max) ++entry.uses;
    ++counters_.hits;
    return {entry.answer, age, entry.ttl};
}

Stored Store::insert(const Key& key, std::shared_ptr<const Answer> answer, Instant now,
                     Duration ttl, Duration age) {
    SLUICE_ASSERT(answer != nullptr && age.ns >= 0);
    const std::uint64_t bytes = answer->bytes();
    if (bytes > answer_bytes_max_ || age >= ttl) {
        ++counters_.refused;
        if (answer_bytes_max_ == 0) return Stored::off;
        return bytes > answer_bytes_max_ ? Stored::too_large : Stored::outdated;
    }
    const std::uint64_t hash = hash_of(key);
    const std::uint32_t before = find_entry(key, hash);
    bool is_known = ghosts_.take(hash, std::max(main_.count, entries_min));
    if (before != none) {
        is_known |= entries_[before].place == Place::main;
        drop(before);
        ++counters_.replaced;
    }
    make_room(bytes);
    const std::uint32_t at = take_free();
    Entry& entry = entries_[at];
    entry.key = key;
    entry.answer = std::move(answer);
    entry.created = {now.ns - age.ns};
    entry.ttl = ttl;
    link(at, is_known ? Place::main : Place::small);
    index_.insert(hash, at);
    bytes_ += bytes;
    ++counters_.inserts;
    SLUICE_ASSERT(bytes_ <= bounds_.bytes);
    return before != none ? Stored::replaced : Stored::stored;
}

// --- entries and queues ---

std::uint32_t Store::take_free() {
    if (free_ != none) return std::exchange(free_, entries_[free_].newer);
    SLUICE_ASSERT(entries_.size() < entries_.capacity());
    entries_.emplace_back();
    return static_cast<std::uint32_t>(entries_.size() - 1);
}

void Store::link(std::uint32_t at, Place place) {
    Entry& entry = entries_[at];
    Queue& queue = queue_of(place);
    SLUICE_ASSERT(entry.place == Place::free && place != Place::free);
    entry.place = place;
    entry.uses = 0;
    entry.newer = none;
    entry.older = queue.newest;
    (queue.newest == none ? queue.oldest : entries_[queue.newest].newer) = at;
    queue.newest = at;
    ++queue.count;
    queue.bytes += entry.answer->bytes();
}

void Store::unlink(std::uint32_t at) {
    Entry& entry = entries_[at];
    SLUICE_ASSERT(entry.place != Place::free);
    Queue& queue = queue_of(entry.place);
    (entry.newer == none ? queue.newest : entries_[entry.newer].older) = entry.older;
    (entry.older == none ? queue.oldest : entries_[entry.older].newer) = entry.newer;
    --queue.count;
    queue.bytes -= entry.answer->bytes();
    entry.place = Place::free;
}

void Store::drop(std::uint32_t at) {
    unlink(at);
    Entry& entry = entries_[at];
    index_.erase(hash_of(entry.key), at);
    bytes_ -= entry.answer->bytes();
    entry.answer.reset();
    entry.newer = std::exchange(free_, at);
    entry.older = none;
}

// --- eviction ---

void Store::make_room(std::uint64_t bytes) {
    while (bytes_ + bytes > bounds_.bytes || entries() == entries_.capacity()) {
        SLUICE_ASSERT(entries() > 0);
        // A tenth of the entries, too, where answers are smaller than what there is a table for.
        const bool small_is_full =
            small_.bytes >= small_bytes_ || small_.count > entries_.capacity() / 10;
        if (small_.count > 0 && (small_is_full || main_.count == 0)) {
            evict_small();
        } else {
            evict_main();
        }
    }
}

// Until one goes, or all of them have moved on.
void Store::evict_small() {
    while (small_.count > 0) {
        const std::uint32_t at = small_.oldest;
        if (entries_[at].uses <= 1) {
            ghosts_.remember(hash_of(entries_[at].key));
            drop(at);
            ++counters_.evictions;
            return;
        }
        unlink(at);
        link(at, Place::main);
    }
}

// Each round takes a use from an entry, of which a find has put it there.
void Store::evict_main() {
    SLUICE_ASSERT(main_.count > 0);
    for (;;) {
        const std::uint32_t at = main_.oldest;
        const std::uint8_t uses = entries_[at].uses;
        if (uses == 0) {
            drop(at);
            ++counters_.evictions;
            return;
        }
        unlink(at);
        link(at, Place::main);
        entries_[at].uses = static_cast<std::uint8_t>(uses - 1);
    }
}

// --- purges and sweeps ---

template <class Matches>
std::size_t Store::purge_where(Matches&& matches) {
    std::size_t count = 0;
    for (std::uint32_t at = 0; at < entries_.size(); ++at) {
        if (entries_[at].place == Place::free || !matches(*entries_[at].answer)) continue;
        drop(at);
        ++count;
    }
    counters_.purged += count;
    return count;
}

std::size_t Store::purge(const Key& key) {
    const std::uint32_t at = find_entry(key, hash_of(key));
    if (at == none) return 0;
    drop(at);
    ++counters_.purged;
    return 1;
}

std::size_t Store::purge_model(std::string_view model) {
    return purge_where([model](const Answer& answer) { return answer.model() == model; });
}

std::size_t Store::purge_scope(Scope scope) {
    return purge_where([scope](const Answer& answer) {
        return answer.scope().kind == scope.kind && answer.scope().name == scope.name;
    });
}

std::size_t Store::purge_consumer(std::string_view consumer) {
    return purge_where([consumer](const Answer& answer) { return answer.consumer() == consumer; });
}

std::size_t Store::purge_all() {
    return purge_where([](const Answer& /*answer*/) { return true; });
}

std::size_t Store::sweep(Instant now, std::size_t looks) {
    std::size_t count = 0;
    for (looks = std::min(looks, entries_.size()); looks > 0; --looks) {
        if (swept_ >= entries_.size()) swept_ = 0;
        const auto at = static_cast<std::uint32_t>(swept_++);
        if (entries_[at].place == Place::free || !is_over(entries_[at], now)) continue;
        drop(at);
        ++count;
    }
    counters_.expired += count;
    return count;
}

// --- tests ---

void Store::recount_queue(const Queue& queue, Place place) const {
    std::size_t count = 0;
    std::uint64_t bytes = 0;
    std::uint32_t older = none;
    for (std::uint32_t at = queue.oldest; at != none; at = entries_[at].newer) {
        const Entry& entry = entries_[at];
        SLUICE_ASSERT(entry.place == place && entry.older == older && entry.answer != nullptr);
        SLUICE_ASSERT(find_entry(entry.key, hash_of(entry.key)) == at);
        bytes += entry.answer->bytes();
        ++count;
        older = at;
    }
    SLUICE_ASSERT(queue.newest == older && queue.count == count && queue.bytes == bytes);
}

std::uint64_t Store::recount() const {
    recount_queue(small_, Place::small);
    recount_queue(main_, Place::main);
    SLUICE_ASSERT(index_.size() == entries());
    std::uint64_t bytes = entries_.capacity() == 0 ? 0 : table_bytes_for(entries_.capacity());
    std::size_t free = 0;
    for (const Entry& entry : entries_) {
        SLUICE_ASSERT((entry.place == Place::free) == (entry.answer == nullptr));
        if (entry.answer != nullptr) bytes += entry.answer->bytes();
        free += entry.place == Place::free ? 1u : 0u;
    }
    std::size_t listed = 0;
    for (std::uint32_t at = free_; at != none; at = entries_[at].newer)
        ++listed;
    SLUICE_ASSERT(listed == free && free + entries() == entries_.size());
    return bytes;
}

}  // namespace sluice::cache
