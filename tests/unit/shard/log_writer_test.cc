#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "sluice/shard/log_writer.h"

#include "sluice/base/clock.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace sluice;
using sluice::shard::LogWriter;

namespace {

// A folder that is removed with the files in it.
struct Folder {
    Folder() {
        std::string text = "/tmp/sluice-log-XXXXXX";
        REQUIRE(::mkdtemp(text.data()) != nullptr);
        path = text;
    }
    ~Folder() {
        ::unlink(file().c_str());
        ::rmdir(path.c_str());
    }
    std::string file() const { return path + "/log"; }

    std::string path;
};

std::string read_file(const std::string& path) {
    std::string text;
    std::FILE* in = std::fopen(path.c_str(), "rb");
    REQUIRE(in != nullptr);
    char part[65536];
    for (std::size_t n = 0; (n = std::fread(part, 1, sizeof(part), in)) > 0;)
        text.append(part, n);
    std::fclose(in);
    return text;
}

std::unique_ptr<LogWriter> open_log(const std::string& target, std::size_t channels = 1) {
    auto log = LogWriter::open(target, channels);
    REQUIRE(log.ok());
    return std::move(log).value();
}

// A line that says who wrote it, which one it is, and is of a length of its own.
std::string line_of(std::size_t channel, std::size_t number) {
    return std::to_string(channel) + " " + std::to_string(number) + " " +
           std::string(number * 7 % 401, static_cast<char>('a' + number % 26)) + "\n";
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        REQUIRE(end != std::string::npos);
        lines.push_back(text.substr(at, end - at + 1));
        at = end + 1;
    }
    return lines;
}

// A pipe with a name; reading it is up to the test.
struct Fifo : Folder {
    Fifo() {
        REQUIRE(::mkfifo(file().c_str(), 0600) == 0);
        reader = ::open(file().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        REQUIRE(reader >= 0);
    }
    ~Fifo() { stop_reading(); }
    void stop_reading() {
        if (reader >= 0) ::close(reader);
        reader = -1;
    }
    std::string read_some() const {
        char part[65536];
        const ssize_t n = ::read(reader, part, sizeof(part));
        return n > 0 ? std::string(part, static_cast<std::size_t>(n)) : std::string{};
    }

    int reader = -1;
};

// Writes until a line is dropped; returns the lines that were taken.
std::string fill(LogWriter::Channel& channel) {
    std::string taken;
    for (std::size_t i = 0;; ++i) {
        const std::uint64_t before = channel.dropped();
        channel.write(line_of(0, i));
        if (channel.dropped() > before) return taken;
        taken += line_of(0, i);
    }
}

}  // namespace

TEST_CASE("R15e: behind a rotation lines go to the new file; none is lost, torn or twice") {
    constexpr std::size_t lines = 3000;
    constexpr std::size_t rotations = 5;
    const Folder folder;
    std::vector<std::string> moved;
    {
        const auto log = open_log(folder.file());
        for (std::size_t n = 0; n < lines; ++n) {
            log->channel(0).write(line_of(0, n));
            if (n % (lines / rotations) != lines / rotations / 2) continue;
            moved.push_back(folder.file() + "." + std::to_string(n));
            REQUIRE(::rename(folder.file().c_str(), moved.back().c_str()) == 0);
            log->reopen();
            const Instant begun = monotonic_now();
            while (::access(folder.file().c_str(), F_OK) != 0)
                REQUIRE(monotonic_now() < begun + Duration::seconds(30));
        }
        CHECK(log->channel(0).dropped() == 0);
    }
    std::string all;
    for (const auto& path : moved)
        all += read_file(path);
    all += read_file(folder.file());
    const auto found = lines_of(all);
    REQUIRE(found.size() == lines);
    for (std::size_t n = 0; n < lines; ++n)
        CHECK(found[n] == line_of(0, n));
    for (const auto& path : moved)
        ::unlink(path.c_str());
}

TEST_CASE("what was written is in the file when the writer is gone, behind what was there") {
    Folder folder;
    std::FILE* out = std::fopen(folder.file().c_str(), "w");
    REQUIRE(out != nullptr);
    std::fputs("old\n", out);
    std::fclose(out);
    {
        const auto log = open_log(folder.file());
        log->channel(0).write("one\n");
        log->channel(0).write("two\n");
    }
    CHECK(read_file(folder.file()) == "old\none\ntwo\n");
}

TEST_CASE("a log that is off takes nothing and drops nothing") {
    const auto log = open_log("off", 2);
    log->channel(0).write("one\n");
    log->channel(1).write("two\n");
    CHECK(log->channel(0).dropped() == 0);
}

TEST_CASE("a log that cannot be opened is an error that names the flag and the file") {
    for (const std::string target : {"/nonexistent/folder/log", "/tmp", ""}) {
        CAPTURE(target);
        const auto log = LogWriter::open(target, 1);
        REQUIRE_FALSE(log.ok());
        CHECK(log.error().message.starts_with("--access-log " + target + ": "));
    }
}

TEST_CASE("fault 117: lines of several shards are whole and in order, several times around") {
    constexpr std::size_t channels = 3;
    constexpr std::size_t count = 4000;  // some 800 KiB a channel
    Folder folder;
    {
        const auto log = open_log(folder.file(), channels);
        std::vector<std::thread> shards;
        for (std::size_t shard = 0; shard < channels; ++shard) {
            shards.emplace_back([&log, shard] {
                auto& channel = log->channel(shard);
                for (std::size_t i = 0; i < count;) {
                    const std::uint64_t before = channel.dropped();
                    channel.write(line_of(shard, i));
                    if (channel.dropped() == before)
                        ++i;
                    else
                        std::this_thread::yield();
                }
            });
        }
        for (auto& shard : shards)
            shard.join();
    }
    std::size_t next[channels] = {};
    for (const std::string& line : lines_of(read_file(folder.file()))) {
        const auto shard = static_cast<std::size_t>(line.front() - '0');
        REQUIRE(shard < channels);
        REQUIRE(line == line_of(shard, next[shard]++));
    }
    for (const std::size_t n : next)
        CHECK(n == count);
}

TEST_CASE("fault 116: a reader that is too slow costs whole lines, which are counted") {
    Fifo fifo;
    auto log = open_log(fifo.file());
    const std::string expected = fill(log->channel(0));
    CHECK(log->channel(0).dropped() == 1);
    std::atomic<bool> gone{false};
    std::string got;
    std::thread destroyer([&] {
        log.reset();
        gone.store(true);
    });
    while (!gone.load())
        got += fifo.read_some();
    destroyer.join();
    for (std::string part; !(part = fifo.read_some()).empty();)
        got += part;
    CHECK(got == expected);
}

TEST_CASE("fault 116: a line longer than all there is room for is dropped") {
    Folder folder;
    {
        const auto log = open_log(folder.file());
        log->channel(0).write(std::string(4'000'000, 'x') + "\n");
        log->channel(0).write("short\n");
        CHECK(log->channel(0).dropped() == 1);
    }
    CHECK(read_file(folder.file()) == "short\n");
}

TEST_CASE("fault 116: a reader that reads nothing does not keep the writer from ending") {
    Fifo fifo;
    {
        const auto log = open_log(fifo.file());
        fill(log->channel(0));
    }
    // What did get out begins with whole lines.
    std::string got;
    for (std::string part; !(part = fifo.read_some()).empty();)
        got += part;
    CHECK(got.starts_with(line_of(0, 0)));
}

TEST_CASE("fault 116: a reader that is gone costs the lines and nothing else") {
    std::signal(SIGPIPE, SIG_IGN);
    Fifo fifo;
    const auto log = open_log(fifo.file());
    fifo.stop_reading();
    log->channel(0).write("lost\n");
    while (log->channel(0).dropped() == 0)
        std::this_thread::yield();
    CHECK(log->channel(0).dropped() == 1);
}

TEST_CASE("fault 116: a full disk costs the lines and nothing else") {
    const auto log = open_log("/dev/full");
    log->channel(0).write("one\n");
    while (log->channel(0).dropped() == 0)
        std::this_thread::yield();
    log->channel(0).write("two\n");
    while (log->channel(0).dropped() == 1)
        std::this_thread::yield();
    CHECK(log->channel(0).dropped() == 2);
}

TEST_CASE("faults 116, 117: a line that was cut does not spoil the one behind it") {
    std::signal(SIGXFSZ, SIG_IGN);
    Folder folder;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const rlimit tiny{100, before.rlim_max};
    {
        const auto log = open_log(folder.file());
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &tiny) == 0);
        log->channel(0).write(std::string(59, 'a') + "\n");
        log->channel(0).write(std::string(59, 'b') + "\n");
        while (log->channel(0).dropped() == 0)
            std::this_thread::yield();
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
        log->channel(0).write("next\n");
        CHECK(log->channel(0).dropped() == 1);
    }
    CHECK(read_file(folder.file()) ==
          std::string(59, 'a') + "\n" + std::string(40, 'b') + "\nnext\n");
}

TEST_CASE("a terminal or pipe that does not block loses nothing to it") {
    int ends[2] = {};
    REQUIRE(::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    const int kept = ::dup(STDERR_FILENO);
    REQUIRE(::dup2(ends[1], STDERR_FILENO) >= 0);
    ::close(ends[1]);
    auto log = open_log("stderr");
    std::string expected;
    for (std::size_t i = 0; i < 700; ++i) {  // more than a pipe holds, less than a channel
        log->channel(0).write(line_of(0, i));
        expected += line_of(0, i);
    }
    CHECK(log->channel(0).dropped() == 0);
    std::string got;
    char part[1024];
    const Instant limit = monotonic_now() + Duration::seconds(20);
    while (got.size() < expected.size() && monotonic_now() < limit) {
        const ssize_t n = ::read(ends[0], part, sizeof(part));
        if (n > 0) got.append(part, static_cast<std::size_t>(n));
    }
    log.reset();
    ::dup2(kept, STDERR_FILENO);
    ::close(kept);
    ::close(ends[0]);
    CHECK(got == expected);
}
