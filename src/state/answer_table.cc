#include "sluice/state/answer_table.h"

#include "database.h"
#include "sluice/base/assert.h"
#include "sluice/cache/packed_answer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::state {

namespace {

// Of the tables and of what is hashed. Another one: files of before are of no use.
constexpr std::int64_t format = 1;
// Rows that are looked at for being over, at each commit.
constexpr std::int64_t sweep_rows = 16;
// Rows that go at once where one by one would take long, or the journal too many pages.
constexpr std::int64_t purge_rows = 64;

using Step = Statement::Step;

std::string_view view_of(const Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest digest_of(const cache::Key& key, std::int64_t since, std::int64_t ttl,
                 std::string_view packed) {
    Sha256 hash;
    hash.update("sluice row 1");
    hash.update(view_of(key.digest));
    std::array<char, 16> times;
    for (std::size_t i = 0; i < 8; ++i) {
        times[i] = static_cast<char>(since >> (8 * i) & 0xFF);
        times[8 + i] = static_cast<char>(ttl >> (8 * i) & 0xFF);
    }
    hash.update({times.data(), times.size()});
    hash.update(packed);
    return hash.finish();
}

// Pages that a row may take anew: of its own, of the indices, and of the trees above them.
std::uint64_t pages_for(std::size_t bytes) {
    return bytes / (Database::page_bytes - 64) + 12;
}

void remove_files(const std::string& path) {
    for (const char* const ending : {"", "-wal", "-shm", "-journal"})
        ::unlink((path + ending).c_str());
}

}  // namespace

// The database is the last to go.
struct AnswerTable::Statements {
    explicit Statements(std::unique_ptr<Database> opened) : database(std::move(opened)) {}

    std::unique_ptr<Database> database;
    Statement begin = database->prepare("BEGIN IMMEDIATE");
    Statement commit = database->prepare("COMMIT");
    Statement rollback = database->prepare("ROLLBACK");
    Statement put = database->prepare(
        "INSERT INTO answers"
        "(key, since, ttl, over, model, consumer, scope, scope_name, digest, value)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    Statement find =
        database->prepare("SELECT id, since, ttl, digest, value FROM answers WHERE key = ?1");
    Statement drop = database->prepare("DELETE FROM answers WHERE id = ?1");
    Statement evict = database->prepare(
        "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT ?1)");
    Statement sweep = database->prepare(
        "DELETE FROM answers WHERE id IN"
        " (SELECT id FROM answers WHERE over <= ?1 ORDER BY over LIMIT ?2)");
    Statement pages = database->prepare("PRAGMA page_count");
    Statement free_pages = database->prepare("PRAGMA freelist_count");
    Statement count = database->prepare("SELECT COUNT(*) FROM answers");
    Statement purge_key = database->prepare("DELETE FROM answers WHERE key = ?1");
    Statement purge_model = database->prepare(
        "DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE model = ?1 LIMIT ?2)");
    Statement purge_consumer = database->prepare(
        "DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE consumer = ?1 LIMIT ?2)");
    Statement purge_scope = database->prepare(
        "DELETE FROM answers WHERE id IN"
        " (SELECT id FROM answers WHERE scope_name = ?1 AND scope = ?3 LIMIT ?2)");

    std::uint64_t read(Statement& statement) {
        const bool there = statement.step() == Step::row;
        const auto number = there ? static_cast<std::uint64_t>(statement.number(0)) : 0;
        statement.reset();
        return number;
    }
    std::uint64_t used_pages() { return read(pages) - read(free_pages); }
};

// --- the file ---

// A quarter of a small one's bytes is for the journal: it holds what was committed since it was
// emptied, a quarter of that, and what the next transaction changes: answers of at most another
// quarter, and the pages of the trees above them.
AnswerTable::AnswerTable(std::string path, DiskBounds bounds) : path_(std::move(path)) {
    SLUICE_ASSERT(bounds.bytes >= DiskBounds::bytes_min);
    const std::uint64_t journal_bytes = std::min<std::uint64_t>(bounds.bytes / 4, 32 << 20);
    pages_max_ = (bounds.bytes - journal_bytes) / Database::page_bytes;
    journal_pages_ = journal_bytes / 4 / Database::page_bytes;
    answer_bytes_max_ = journal_bytes / 8;
}

AnswerTable::~AnswerTable() {
    if (statements_ != nullptr && in_transaction_) statements_->commit.run();
}

Result<std::unique_ptr<AnswerTable>> AnswerTable::open(const std::string& path, DiskBounds bounds) {
    std::unique_ptr<AnswerTable> table(new AnswerTable(path, bounds));
    if (auto opened = table->open_file(); !opened) return opened.error();
    return table;
}

Status AnswerTable::open_file() {
    for (const bool is_second : {false, true}) {
        auto opened = Database::open(path_, pages_max_, journal_pages_);
        if (opened.fault == Database::Fault::busy)
            return Error::gateway(path_ +
                                  ": another process has it open; each gateway needs its own");
        if (opened.fault == Database::Fault::failed)
            return Error::gateway(path_ + ": " + opened.message);
        if (opened.fault == Database::Fault::none) {
            statements_ = std::make_unique<Statements>(std::move(opened.database));
            if (make_tables()) return Done{};
            statements_ = nullptr;
        }
        if (is_second) break;
        remove_files(path_);
        ++counters_.replaced;
    }
    return Error::gateway(path_ + ": no database can be made there");
}

// False: it has other tables, or more pages than it may have, or cannot be read.
bool AnswerTable::make_tables() {
    Database& database = *statements_->database;
    Statement version = database.prepare("PRAGMA user_version");
    if (version.step() != Step::row) return false;
    const std::int64_t found = version.number(0);
    version.reset();
    if (found == 0) {
        const bool made = database.execute(
            "BEGIN; CREATE TABLE answers(id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL,"
            " since INTEGER NOT NULL, ttl INTEGER NOT NULL, over INTEGER NOT NULL,"
            " model BLOB NOT NULL, consumer BLOB NOT NULL, scope INTEGER NOT NULL,"
            " scope_name BLOB NOT NULL, digest BLOB NOT NULL, value BLOB NOT NULL);"
            "CREATE UNIQUE INDEX answers_key ON answers(key);"
            "CREATE INDEX answers_over ON answers(over);"
            "PRAGMA user_version=" +
            std::to_string(format) + "; COMMIT");
        if (!made) return false;
    } else if (found != format) {
        return false;
    }
    // Now that there are tables.
    statements_ = std::make_unique<Statements>(std::move(statements_->database));
    entries_ = statements_->read(statements_->count);
    return statements_->read(statements_->pages) <= pages_max_;
}

void AnswerTable::replace_file() {
    statements_ = nullptr;
    entries_ = put_bytes_ = 0;
    in_transaction_ = broken_ = false;
    remove_files(path_);
    ++counters_.replaced;
    // Without a file nothing is stored and nothing is found.
    if (const auto opened = open_file(); !opened) {
        ++counters_.failures;
        trouble_ = opened.error().message;
    }
}

std::uint64_t AnswerTable::bytes() const {
    if (statements_ == nullptr) return 0;
    return statements_->read(statements_->pages) * Database::page_bytes;
}

// --- transactions ---

void AnswerTable::begin() {
    if (in_transaction_ || statements_ == nullptr) return;
    failed_ = false;
    in_transaction_ = statements_->begin.run() == Step::done;
    if (!in_transaction_) note_failure();
}

void AnswerTable::note_failure() {
    ++counters_.failures;
    // What comes behind it in the same transaction is only what follows from it.
    if (!failed_) trouble_ = statements_->database->message();
    failed_ = true;
}

void AnswerTable::commit(WallTime now) {
    if (broken_) return replace_file();
    if (!in_transaction_) return;
    sweep(now);
    end_transaction();
    if (broken_) replace_file();
}

void AnswerTable::end_transaction() {
    const bool has_put = std::exchange(put_bytes_, 0) > 0;
    const Step step = statements_->commit.run();
    if (step == Step::done) {
        if (has_put && !failed_) trouble_.clear();
    } else {
        note_failure();
        statements_->rollback.run();
        entries_ = statements_->read(statements_->count);
    }
    broken_ |= step == Step::broken;
    in_transaction_ = false;
}

// Rows that are gone by a statement.
std::uint64_t AnswerTable::run_delete(Statement& statement) {
    const Step step = statement.run();
    broken_ |= step == Step::broken;
    if (step != Step::done) return 0;
    const auto gone = static_cast<std::uint64_t>(statements_->database->changes());
    SLUICE_ASSERT(gone <= entries_);
    entries_ -= gone;
    return gone;
}

void AnswerTable::sweep(WallTime now) {
    statements_->sweep.bind(1, now.us);
    statements_->sweep.bind(2, sweep_rows);
    counters_.expired += run_delete(statements_->sweep);
}

// --- rows ---

std::uint64_t AnswerTable::evict(std::uint64_t rows) {
    statements_->evict.bind(1, static_cast<std::int64_t>(rows));
    const std::uint64_t gone = run_delete(statements_->evict);
    counters_.evicted += gone;
    return gone;
}

bool AnswerTable::make_room(std::uint64_t pages) {
    for (std::uint64_t rows = 1; statements_->used_pages() + pages > pages_max_; rows *= 2) {
        if (evict(std::min<std::uint64_t>(rows, purge_rows)) == 0) return false;
    }
    return true;
}

void AnswerTable::put(const cache::Key& key, const cache::Answer& answer, WallTime since,
                      Duration ttl, WallTime now) {
    const std::int64_t over = since.us + ttl.as_micros();
    const std::string packed = cache::pack_answer(answer);
    if (put_bytes_ + packed.size() > 2 * answer_bytes_max_) commit(now);
    begin();
    if (in_transaction_) {  // what is newer takes its place, or nothing does
        statements_->purge_key.bind(1, view_of(key.digest));
        run_delete(statements_->purge_key);
    }
    if (!in_transaction_ || packed.size() > answer_bytes_max_ || over <= now.us ||
        !make_room(pages_for(packed.size()))) {
        ++counters_.refused;
        return;
    }
    const Digest digest = digest_of(key, since.us, ttl.as_micros(), packed);
    Statement& put = statements_->put;
    put.bind(1, view_of(key.digest));
    put.bind(2, since.us);
    put.bind(3, ttl.as_micros());
    put.bind(4, over);
    put.bind(5, answer.model());
    put.bind(6, answer.consumer());
    put.bind(7, static_cast<std::int64_t>(answer.scope().kind));
    put.bind(8, answer.scope().name);
    put.bind(9, view_of(digest));
    put.bind(10, packed);
    const Step step = put.run();
    if (step != Step::done) note_failure();
    ++(step == Step::done ? counters_.stored : counters_.refused);
    entries_ += step == Step::done ? 1 : 0;
    put_bytes_ += packed.size();
    broken_ |= step == Step::broken;
}

KeptAnswer AnswerTable::find(const cache::Key& key, WallTime now) {
    KeptAnswer kept;
    if (statements_ == nullptr) {
        ++counters_.misses;
        return kept;
    }
    Statement& find = statements_->find;
    find.bind(1, view_of(key.digest));
    const Step step = find.step();
    broken_ |= step == Step::broken;
    bool is_unfit = false;
    bool is_over = false;
    std::int64_t id = 0;
    if (step == Step::row) {
        id = find.number(0);
        const std::int64_t since = find.number(1);
        const std::int64_t ttl = find.number(2);
        const std::string_view value = find.bytes(4);
        is_unfit = find.bytes(3) != view_of(digest_of(key, since, ttl, value));
        // Not "since + ttl", which need not fit where the row is not what it says.
        is_over = !is_unfit && (now.us < since || now.us - since >= ttl);
        if (!is_unfit && !is_over) {
            kept = {cache::unpack_answer(value), Duration::micros(now.us - since),
                    Duration::micros(ttl)};
            is_unfit = kept.answer == nullptr;
        }
    }
    find.reset();
    ++(kept.answer != nullptr ? counters_.hits : counters_.misses);
    counters_.unfit += is_unfit ? 1 : 0;
    counters_.expired += is_over ? 1 : 0;
    if (is_unfit || is_over) {
        begin();
        statements_->drop.bind(1, id);
        run_delete(statements_->drop);
    }
    return kept;
}

std::uint64_t AnswerTable::purge(const Purge& purge) {
    if (statements_ == nullptr) return 0;
    Statements& with = *statements_;
    Statement& statement = purge.by == Purge::By::key        ? with.purge_key
                           : purge.by == Purge::By::model    ? with.purge_model
                           : purge.by == Purge::By::consumer ? with.purge_consumer
                           : purge.by == Purge::By::scope    ? with.purge_scope
                                                             : with.evict;
    std::uint64_t gone = 0;
    for (std::uint64_t some = 1; some > 0; gone += some) {
        begin();
        if (purge.by == Purge::By::everything) {
            statement.bind(1, purge_rows);
        } else if (purge.by == Purge::By::key) {
            statement.bind(1, view_of(purge.key.digest));
        } else {
            statement.bind(1, std::string_view(purge.name));
            statement.bind(2, purge_rows);
            if (purge.by == Purge::By::scope)
                statement.bind(3, static_cast<std::int64_t>(purge.scope));
        }
        some = in_transaction_ ? run_delete(statement) : 0;
        // Each some in a transaction of their own, so that the journal stays small.
        if (in_transaction_) end_transaction();
    }
    counters_.purged += gone;
    return gone;
}

}  // namespace sluice::state
