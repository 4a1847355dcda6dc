// AnswerTable: answers of the cache in a file, bounded in bytes, by one thread.
//
// It outlives the process, also one that is killed; so nothing that it says is believed unseen:
// - each row carries the SHA-256 of its key, its times and its bytes. One that does not fit (a torn
//   page, a disk that lost a write, a changed file) is dropped and counted, and nobody sees it. A
//   row under another key does not fit either, for isolation is a part of the key;
// - the time to live is kept as times of the wall clock. Who set the clock back has rows that come
//   from the future: they are over, too;
// - a file that is no database, or whose format is another one, is replaced by an empty one.
// The file and its journal together take at most the bytes that were said. What came first goes
// first: the memory in front of it has seen to it that what is asked for often is there.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/result.h"
#include "sluice/cache/answer.h"
#include "sluice/cache/key.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::state {

struct DiskBounds {
    std::uint64_t bytes = 0;  // at least bytes_min
    static constexpr std::uint64_t bytes_min = std::uint64_t{4} << 20;
};

// An answer from the disk, as cache::Store::insert() wants it.
struct KeptAnswer {
    std::shared_ptr<const cache::Answer> answer;  // null: there is none; else as in cache::Found
    Duration age;
    Duration ttl;
};

// Which answers are to go.
struct Purge {
    enum class By : std::uint8_t { key, model, consumer, scope, everything };
    By by = By::everything;
    cache::Key key;
    cache::ScopeKind scope = cache::ScopeKind::consumer;
    std::string name;  // of the model, the consumer, the scope
};

struct TableCounters {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;  // those that were over or did not fit among them
    std::uint64_t stored = 0;
    std::uint64_t refused = 0;  // too large, or the disk would not take it
    std::uint64_t evicted = 0;
    std::uint64_t expired = 0;
    std::uint64_t purged = 0;
    std::uint64_t unfit = 0;     // rows that were not what they said
    std::uint64_t replaced = 0;  // whole files
    std::uint64_t failures = 0;  // times that the disk would not write
};

class Statement;

class AnswerTable {
public:
    static Result<std::unique_ptr<AnswerTable>> open(const std::string& path, DiskBounds bounds);
    ~AnswerTable();

    // What was put and dropped before is on disk after this; else it may be, in its order.
    void commit(WallTime now);

    // `since`: when its time to live began.
    void put(const cache::Key& key, const cache::Answer& answer, WallTime since, Duration ttl,
             WallTime now);
    KeptAnswer find(const cache::Key& key, WallTime now);
    // Says how many are gone.
    std::uint64_t purge(const Purge& purge);

    std::uint64_t bytes() const;  // of the file
    std::uint64_t entries() const { return entries_; }
    std::size_t answer_bytes_max() const { return answer_bytes_max_; }
    const TableCounters& counters() const { return counters_; }
    // Why the disk does not take answers; empty: it does.
    const std::string& trouble() const { return trouble_; }

private:
    struct Statements;

    AnswerTable(std::string path, DiskBounds bounds);
    Status open_file();
    bool make_tables();
    void replace_file();
    void begin();
    void note_failure();
    void end_transaction();
    std::uint64_t run_delete(Statement& statement);
    bool make_room(std::uint64_t pages);
    std::uint64_t evict(std::uint64_t rows);
    void sweep(WallTime now);

    std::string path_;
    std::uint64_t pages_max_;
    std::uint64_t journal_pages_;
    std::size_t answer_bytes_max_;
    std::unique_ptr<Statements> statements_;  // with the database; null: there is none any more
    std::uint64_t entries_ = 0;
    std::size_t put_bytes_ = 0;  // since the last commit
    bool in_transaction_ = false;
    bool broken_ = false;
    bool failed_ = false;  // something, in this transaction
    std::string trouble_;
    TableCounters counters_;
};

}  // namespace sluice::state
