// Database: an SQLite file of one thread, and statements on it. The only user of the library.
//
// Internal. In WAL mode: what is committed survives the end of the process, however it ends, and a
// commit that was cut is not there. The file is locked for this process as long as it is open. An
// error of the disk shows in the result of a step; nothing else is thrown or waited for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::state {

class Statement {
public:
    enum class Step : std::uint8_t { row, done, full, broken, failed };

    Statement() = default;
    Statement(Statement&& other) noexcept : statement_(other.statement_) {
        other.statement_ = nullptr;
    }
    Statement& operator=(Statement&& other) noexcept {
        std::swap(statement_, other.statement_);
        return *this;
    }
    ~Statement();

    // Parameters count from 1, columns from 0. Text and bytes must stay until reset().
    void bind(int parameter, std::int64_t number);
    void bind(int parameter, std::string_view bytes);
    Step step();
    std::int64_t number(int column) const;
    std::string_view bytes(int column) const;  // until the next step
    void reset();
    // Of a statement that gives no rows.
    Step run() {
        const Step step = this->step();
        reset();
        return step;
    }

private:
    friend class Database;
    sqlite3_stmt* statement_ = nullptr;
};

class Database {
public:
    // Another process has it; it is no database; or there is none and none can be made.
    enum class Fault : std::uint8_t { none, busy, broken, failed };
    struct Opened {
        std::unique_ptr<Database> database;
        Fault fault = Fault::none;
        std::string message;
    };
    // Made where there is none, for nobody but its owner. `pages_max`: of 4 KiB each; the journal
    // is emptied by the commit that finds more than `journal_pages` in it.
    static Opened open(const std::string& path, std::uint64_t pages_max,
                       std::uint64_t journal_pages);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    static constexpr std::uint64_t page_bytes = 4096;
    // In the head of the file, from the moment it is made: that of no other program's.
    static constexpr std::uint32_t application = 0x534C4345;  // "SLCE"

    // Null statements where it is broken: they fail at each step.
    Statement prepare(std::string_view sql);
    // Whether it went through.
    bool execute(const std::string& sql);
    std::int64_t changes() const;  // rows, of the last statement
    std::string message() const;   // what the last failure was

private:
    explicit Database(sqlite3* database) : database_(database) {}

    sqlite3* database_;
};

}  // namespace sluice::state
