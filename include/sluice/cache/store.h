// Store: finished answers by their keys, in a bounded number of bytes.
//
// Pure, of one shard: no lock, and no clock but the times that are passed in.
//
// How the bytes are counted. bytes() is the sum of what the store has asked an allocator for: its
// tables (entries, index, ghosts), which are taken whole at the start, and Answer::bytes() of each
// answer that it holds. It is never more than the bound, also not for a moment: room is made before
// an answer is taken in. The key, the links of the queues and the counts of an entry lie in the
// table of entries. An answer that is dropped while deliveries still hold it is theirs.
//
// Which answer goes: S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak: "FIFO Queues Are All You Need for
// Cache Eviction", SOSP 2023, algorithm 1). What is new comes into a small queue, a tenth of the
// memory; at its end it goes to the main queue if it was found twice or more, else out, leaving a
// ghost. What comes again while its ghost is remembered (as many ghosts as the main queue has
// entries) goes into the main queue. At the end of that, what was found since goes round again.
// So a scan of answers that nobody asks for again passes through a tenth of the memory and leaves
// the rest alone.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/cache/answer.h"
#include "sluice/cache/directives.h"
#include "sluice/cache/ghosts.h"
#include "sluice/cache/key.h"
#include "sluice/cache/key_index.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::cache {

struct StoreBounds {
    std::uint64_t bytes = 0;
    // Entries at most; 0: one for each KiB of the bytes. Each takes some 112 bytes of the tables.
    std::size_t entries = 0;
    // An answer that takes more than this part of the bytes is refused.
    std::uint64_t answer_share = 16;
    // How long an answer is kept behind its time, for those who take stale ones (max-stale).
    Duration stale;
};

enum class Stored : std::uint8_t {
    stored,
    replaced,   // one with the same key
    too_large,  // for its share
    outdated,   // its time was over before it came
    off,        // the bytes do not hold the smallest of tables
};

struct Found {
    // Shared with the store and other deliveries: it may be dropped while it is being sent.
    std::shared_ptr<const Answer> answer;
    Duration age;
    Duration ttl;  // an age of that or more is stale

    explicit operator bool() const { return answer != nullptr; }
};

// Since the start. What is in the store now: entries() and bytes().
struct StoreCounters {
    std::uint64_t hits = 0;     // stale ones among them
    std::uint64_t misses = 0;   // expired ones and those that are older than asked for among them
    std::uint64_t inserts = 0;  // replacing ones among them
    std::uint64_t replaced = 0;
    std::uint64_t evictions = 0;
    std::uint64_t expired = 0;
    std::uint64_t purged = 0;
    std::uint64_t refused = 0;
};

class Store {
public:
    // `seed`: drawn at start, see KeyIndex.
    Store(StoreBounds bounds, std::uint64_t seed);
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // What has `key` and is not over; with `max_age` (Cache-Control: max-age) also not older. One
    // that is older stays: others may ask for less.
    Found find(const Key& key, Instant now, std::optional<Duration> max_age = std::nullopt);
    // What a request with these directives may have, see use(): also a stale one.
    Found find(const Key& key, Instant now, const Directives& directives);

    // Also where its time is over: nothing newer is known of it.
    bool holds(const Key& key) const;

    // From now on it is found for `ttl`. `age`: what it has of that behind it already (one that
    // comes from a disk). The caller has seen that it is complete and a success.
    Stored insert(const Key& key, std::shared_ptr<const Answer> answer, Instant now, Duration ttl,
                  Duration age = {});

    // --- each says how many answers are gone ---
    std::size_t purge(const Key& key);
    std::size_t purge_model(std::string_view model);
    std::size_t purge_scope(Scope scope);
    // What this consumer asked for, also where a group or everybody shares it.
    std::size_t purge_consumer(std::string_view consumer);
    std::size_t purge_all();

    // Looks at the next `looks` entries in turn and drops those whose time is over. Says how many.
    std::size_t sweep(Instant now, std::size_t looks);

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t bytes_max() const { return bounds_.bytes; }
    std::size_t answer_bytes_max() const { return answer_bytes_max_; }
    std::size_t entries() const { return small_.count + main_.count; }
    const StoreCounters& counters() const { return counters_; }

    // For tests: counts all bytes anew, and asserts that queues, index and entries agree.
    std::uint64_t recount() const;

private:
    static constexpr std::uint32_t none = KeyIndex::none;
    static constexpr std::uint8_t uses_max = 3;

    enum class Place : std::uint8_t { free, small, main };
    struct Entry {
        Key key;
        std::shared_ptr<const Answer> answer;
        Instant created;
        Duration ttl;
        std::uint32_t newer = none;  // of the free ones: the next
        std::uint32_t older = none;
        Place place = Place::free;
        std::uint8_t uses = 0;  // since it came into its queue or was passed over
    };
    struct Queue {
        std::uint32_t newest = none;
        std::uint32_t oldest = none;
        std::size_t count = 0;
        std::uint64_t bytes = 0;
    };

    static std::uint64_t table_bytes_for(std::size_t entries);
    // Also for those who take stale ones.
    bool is_over(const Entry& entry, Instant now) const;
    Found take(Entry& entry, Duration age);
    std::uint64_t hash_of(const Key& key) const { return mix_key(key, seed_); }
    std::uint32_t find_entry(const Key& key, std::uint64_t hash) const;
    Queue& queue_of(Place place) { return place == Place::main ? main_ : small_; }
    void link(std::uint32_t at, Place place);
    void unlink(std::uint32_t at);
    std::uint32_t take_free();
    void drop(std::uint32_t at);
    void make_room(std::uint64_t bytes);
    void evict_small();
    void evict_main();
    template <class Matches>
    std::size_t purge_where(Matches&& matches);
    void recount_queue(const Queue& queue, Place place) const;

    StoreBounds bounds_;
    std::uint64_t seed_;
    std::size_t answer_bytes_max_ = 0;  // 0: off
    std::uint64_t small_bytes_ = 0;     // from here on the small queue gives first
    std::uint64_t bytes_ = 0;
    std::vector<Entry> entries_;  // those that were ever used; room for all is taken
    std::uint32_t free_ = none;
    Queue small_;
    Queue main_;
    KeyIndex index_;
    Ghosts ghosts_;
    std::size_t swept_ = 0;  // the sweep goes on here
    StoreCounters counters_;
};

}  // namespace sluice::cache
