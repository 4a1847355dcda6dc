#include "database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::state {

// --- statements ---

Statement::~Statement() {
    sqlite3_finalize(statement_);
}

void Statement::bind(int parameter, std::int64_t number) {
    sqlite3_bind_int64(statement_, parameter, number);
}

void Statement::bind(int parameter, std::string_view bytes) {
    // An empty one is no null.
    const char* const data = bytes.empty() ? "" : bytes.data();
    sqlite3_bind_blob64(statement_, parameter, data, bytes.size(), SQLITE_STATIC);
}

Statement::Step Statement::step() {
    if (statement_ == nullptr) return Step::failed;
    switch (sqlite3_step(statement_)) {
        case SQLITE_ROW:
            return Step::row;
        case SQLITE_DONE:
            return Step::done;
        case SQLITE_FULL:
            return Step::full;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return Step::broken;
        default:
            return Step::failed;
    }
}

std::int64_t Statement::number(int column) const {
    return sqlite3_column_int64(statement_, column);
}

std::string_view Statement::bytes(int column) const {
    const void* const data = sqlite3_column_blob(statement_, column);
    const int size = sqlite3_column_bytes(statement_, column);
    if (data == nullptr) return {};
    return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

void Statement::reset() {
    if (statement_ == nullptr) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

// --- the file ---

Database::Opened Database::open(const std::string& path, std::uint64_t pages_max,
                                std::uint64_t journal_pages) {
    // The library would make a file that everybody may read; answers are nobody else's business.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return {nullptr, Fault::failed, std::strerror(errno)};
    ::close(fd);
    sqlite3* handle = nullptr;
    constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
    std::unique_ptr<Database> database(new Database(handle));
    const std::string pragmas =
        "PRAGMA page_size=" + std::to_string(page_bytes) +
        "; PRAGMA locking_mode=EXCLUSIVE; PRAGMA application_id=" +
        std::to_string(application) +  // before there is a journal that it would stay in
        "; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
        "; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-2048"
        "; PRAGMA max_page_count=" +
        std::to_string(pages_max) + "; PRAGMA wal_autocheckpoint=" + std::to_string(journal_pages) +
        "; PRAGMA journal_size_limit=" + std::to_string(journal_pages * page_bytes) +
        "; BEGIN IMMEDIATE; COMMIT";
    if (code == SQLITE_OK) code = sqlite3_exec(handle, pragmas.c_str(), nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return {std::move(database), Fault::none, {}};
    const bool is_broken = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    const Fault fault = code == SQLITE_BUSY ? Fault::busy
                        : is_broken         ? Fault::broken
                                            : Fault::failed;
    return {nullptr, fault, sqlite3_errmsg(handle)};
}

Database::~Database() {
    sqlite3_close_v2(database_);
}

Statement Database::prepare(std::string_view sql) {
    Statement statement;
    sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()),
                       SQLITE_PREPARE_PERSISTENT, &statement.statement_, nullptr);
    return statement;
}

bool Database::execute(const std::string& sql) {
    return sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
}

std::string Database::message() const {
    return sqlite3_errmsg(database_);
}

std::int64_t Database::changes() const {
    return sqlite3_changes(database_);
}

}  // namespace sluice::state
