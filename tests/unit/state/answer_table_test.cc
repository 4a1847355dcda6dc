// Answers in a file: found again after a restart, never torn, stale or another one's, and bounded.
#include "sluice/state/answer_table.h"

#include "folder.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <string>

using namespace sluice;
using namespace sluice::state;
using namespace sluice::state::test;

namespace {

constexpr Duration minute = Duration::seconds(60);
constexpr WallTime start{1'800'000'000'000'000};

constexpr WallTime after(Duration span) {
    return {start.us + span.as_micros()};
}

std::unique_ptr<AnswerTable> open(const Folder& folder,
                                  std::uint64_t bytes = std::uint64_t{8} << 20) {
    auto table = AnswerTable::open(folder.file(), {bytes});
    INFO((table.ok() ? "" : table.error().message));
    REQUIRE(table.ok());
    return std::move(table).value();
}

void put(AnswerTable& table, std::uint64_t number, std::uint64_t round = 0,
         std::string_view model = "m") {
    table.put(key_of(number), *answer_of(number, round, model), start, minute, start);
}

bool has(AnswerTable& table, std::uint64_t number, WallTime now = start) {
    const KeptAnswer kept = table.find(key_of(number), now);
    if (kept.answer == nullptr) return false;
    CHECK(round_of(number, kept.answer->body()) >= 0);
    return true;
}

// Changes the file behind the table's back.
void change(const Folder& folder, const std::string& sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(folder.file().c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
}

}  // namespace

TEST_CASE("what was put is found, with its age, until its time is over") {
    const Folder folder;
    const auto table = open(folder);
    CHECK(!has(*table, 1));
    table->put(key_of(1), *answer_of(1, 5), after(Duration::seconds(-20)), minute, start);
    const KeptAnswer kept = table->find(key_of(1), after(Duration::seconds(10)));
    REQUIRE(kept.answer != nullptr);
    CHECK(kept.answer->body() == body_of(1, 5));
    CHECK(kept.answer->scope().name == "g");
    CHECK(kept.age == Duration::seconds(30));
    CHECK(kept.ttl == minute);
    CHECK(has(*table, 1, after(Duration::millis(39'999))));
    CHECK(!has(*table, 1, after(Duration::seconds(40))));
    CHECK(!has(*table, 1));  // it was dropped
    CHECK(table->counters().hits == 2);
    CHECK(table->counters().misses == 3);
    CHECK(table->counters().expired == 1);
    table->put(key_of(2), *answer_of(2, 0), after(minute * -1), minute, start);
    CHECK(table->counters().refused == 1);
    CHECK(table->entries() == 0);
}

TEST_CASE("a clock that was set back makes nothing fresh") {
    const Folder folder;
    const auto table = open(folder);
    put(*table, 1);
    CHECK(!has(*table, 1, after(Duration::seconds(-1))));
    CHECK(table->counters().expired == 1);
}

TEST_CASE("a later one takes the place of an earlier one") {
    const Folder folder;
    const auto table = open(folder);
    put(*table, 1, 1);
    put(*table, 1, 2);
    CHECK(table->entries() == 1);
    CHECK(table->find(key_of(1), start).answer->body() == body_of(1, 2));
}

TEST_CASE("a restart keeps all of it") {
    const Folder folder;
    {
        const auto table = open(folder);
        for (std::uint64_t i = 0; i < 100; ++i)
            put(*table, i);
    }
    struct stat facts{};
    REQUIRE(::stat(folder.file().c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777) == 0600);
    const auto table = open(folder);
    CHECK(table->entries() == 100);
    for (std::uint64_t i = 0; i < 100; ++i)
        CHECK(has(*table, i));
    CHECK(table->counters().replaced == 0);
}

TEST_CASE("purges") {
    const Folder folder;
    const auto table = open(folder);
    const auto fill = [&table] {
        for (std::uint64_t i = 0; i < 300; ++i)
            put(*table, i, 0, i < 200 ? "a" : "b");
    };
    fill();
    CHECK(table->purge({.by = Purge::By::key, .key = key_of(7)}) == 1);
    CHECK(table->purge({.by = Purge::By::key, .key = key_of(7)}) == 0);
    CHECK(!has(*table, 7));
    CHECK(table->purge({.by = Purge::By::model, .name = "a"}) == 199);
    CHECK(!has(*table, 8));
    CHECK(has(*table, 200));
    CHECK(table->purge({.by = Purge::By::consumer, .name = "odd"}) == 50);
    CHECK(table->purge(
              {.by = Purge::By::scope, .scope = cache::ScopeKind::consumer, .name = "g"}) == 0);
    CHECK(table->purge({.by = Purge::By::scope, .scope = cache::ScopeKind::group, .name = "g"}) ==
          50);
    CHECK(table->entries() == 0);
    fill();
    CHECK(table->purge({.by = Purge::By::everything}) == 300);
    CHECK(table->counters().purged == 600);
    CHECK(table->entries() == 0);
}

TEST_CASE("the file and its journal never take more than was said") {
    for (const std::uint64_t bytes : {std::uint64_t{4} << 20, std::uint64_t{9} << 20}) {
        const Folder folder;
        const auto table = open(folder, bytes);
        for (std::uint64_t i = 0; i < 2000; ++i) {
            put(*table, i);
            if (i % 50 == 0) table->commit(start);
            if (folder.bytes() > bytes) FAIL("it takes ", folder.bytes(), " of ", bytes);
        }
        table->purge({.by = Purge::By::consumer, .name = "odd"});
        CHECK(folder.bytes() <= bytes);
        CHECK(table->counters().evicted > 0);
        CHECK(table->entries() > 10);
        CHECK(has(*table, 1998));
        CHECK(!has(*table, 1));
        const auto large = cache::Answer::make({}, std::string(table->answer_bytes_max(), 'x'));
        table->put(key_of(5000), *large, start, minute, start);
        CHECK(table->counters().refused == 1);
    }
}

TEST_CASE("what is over makes room before what is not") {
    const Folder folder;
    const auto table = open(folder);
    for (std::uint64_t i = 0; i < 40; ++i)
        put(*table, i);
    for (int i = 0; i < 4; ++i) {
        table->put(key_of(100), *answer_of(100, 0), after(minute), minute, start);
        table->commit(after(minute));
    }
    CHECK(table->counters().expired == 40);
    CHECK(table->entries() == 1);
}

TEST_CASE("a row that is not what it says is nobody's answer") {
    const char* const changes[] = {
        "UPDATE answers SET value = zeroblob(length(value))",
        "UPDATE answers SET value = substr(value, 1, length(value) - 1)",
        "UPDATE answers SET value = x''",
        "UPDATE answers SET ttl = ttl + 1",
        "UPDATE answers SET since = since + 1",
        "UPDATE answers SET digest = zeroblob(32)",
        "UPDATE answers SET value = (SELECT value FROM answers WHERE id = 2)",
        "UPDATE answers SET value = (SELECT value FROM answers WHERE id = 2),"
        " digest = (SELECT digest FROM answers WHERE id = 2)",
    };
    for (const char* const each : changes) {
        INFO(each);
        const Folder folder;
        {
            const auto table = open(folder);
            put(*table, 1);
            put(*table, 2);
        }
        change(folder, std::string(each) + " WHERE id = 1");
        const auto table = open(folder);
        CHECK(!has(*table, 1));
        CHECK(has(*table, 2));
        CHECK(table->counters().unfit == 1);
        table->commit(start);
        CHECK(table->entries() == 1);
    }
    // Under another one's key.
    const Folder folder;
    {
        const auto table = open(folder);
        put(*table, 1);
        put(*table, 2);
    }
    change(folder, "DELETE FROM answers WHERE id = 2");
    const std::string key(reinterpret_cast<const char*>(key_of(2).digest.data()), 32);
    std::string hex;
    for (const char c : key) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
        hex += digits;
    }
    change(folder, "UPDATE answers SET key = x'" + hex + "'");
    const auto table = open(folder);
    CHECK(!has(*table, 2));
    CHECK(table->counters().unfit == 1);
}

TEST_CASE("a file that is none of ours is replaced") {
    const Folder folder;
    const auto write = [&folder](const std::string& text) {
        std::FILE* const file = std::fopen(folder.file().c_str(), "wb");
        REQUIRE(file != nullptr);
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
    };
    write(std::string(10'000, 'x'));
    {
        const auto table = open(folder);
        CHECK(table->counters().replaced == 1);
        put(*table, 1);
        CHECK(has(*table, 1));
    }
    change(folder, "PRAGMA user_version = 99");
    {
        const auto table = open(folder);
        CHECK(table->counters().replaced == 1);
        CHECK(!has(*table, 1));
        for (std::uint64_t i = 0; i < 700; ++i)
            put(*table, i);
    }
    // Larger than it may be now.
    const auto table = open(folder, std::uint64_t{4} << 20);
    CHECK(table->counters().replaced == 1);
    CHECK(table->entries() == 0);
}

TEST_CASE("a file that is overwritten while it is open gives no other answers") {
    const Folder folder;
    const auto table = open(folder);
    for (std::uint64_t i = 0; i < 200; ++i)
        put(*table, i);
    table->commit(start);
    const int fd = ::open(folder.file().c_str(), O_WRONLY);
    REQUIRE(fd >= 0);
    const std::string garbage(4096, '\x5A');
    for (off_t at = 4096; at < 1'000'000; at += 4096)
        CHECK(::pwrite(fd, garbage.data(), garbage.size(), at) == 4096);
    ::close(fd);
    for (std::uint64_t round = 1; round < 4; ++round) {
        for (std::uint64_t i = 0; i < 200; ++i) {
            has(*table, i);
            put(*table, i, round);
        }
        table->commit(start);
    }
    CHECK(has(*table, 199));
}

TEST_CASE("a file has one process, and a place that is none is told") {
    const Folder folder;
    const auto table = open(folder);
    // A second one of this process is another one to the library, too.
    const auto second = AnswerTable::open(folder.file(), {std::uint64_t{8} << 20});
    REQUIRE(!second.ok());
    CHECK(second.error().message.find("another process has it open") != std::string::npos);
    const auto nowhere = AnswerTable::open(folder.file() + "/x", {std::uint64_t{8} << 20});
    REQUIRE(!nowhere.ok());
    CHECK(nowhere.error().message.find("Not a directory") != std::string::npos);
}

TEST_CASE("a disk that takes nothing is told of, and forgotten when it takes something again") {
    const Folder folder;
    const auto table = open(folder);
    put(*table, 1);
    table->commit(start);
    CHECK(table->trouble().empty());
    rlimit whole{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &whole) == 0);
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit none = whole;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &none) == 0);
    for (std::uint64_t i = 2; i < 5; ++i) {
        put(*table, i);
        table->commit(start);
    }
    const std::string trouble = table->trouble();
    const std::uint64_t failures = table->counters().failures;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &whole) == 0);
    CHECK(!trouble.empty());
    CHECK(failures > 0);
    CHECK(has(*table, 1));
    CHECK(!has(*table, 2));
    put(*table, 9);
    table->commit(start);
    CHECK(table->trouble().empty());
    CHECK(has(*table, 9));
    CHECK(table->counters().failures == failures);
}

TEST_CASE("what is too large for the file takes the place of what was there, and nothing does") {
    const Folder folder;
    const auto table = open(folder, std::uint64_t{4} << 20);
    put(*table, 1);
    CHECK(has(*table, 1));
    const auto large = cache::Answer::make({}, std::string(table->answer_bytes_max() + 1, 'x'));
    table->put(key_of(1), *large, start, Duration::seconds(60), start);
    CHECK(table->counters().refused == 1);
    CHECK(table->find(key_of(1), start).answer == nullptr);
    CHECK(table->entries() == 0);
}
