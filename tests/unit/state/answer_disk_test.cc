// The disk's thread: nothing waits for it, and all that was taken is done in its order.
#include "sluice/state/answer_disk.h"

#include "folder.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::state;
using namespace sluice::state::test;

namespace {

constexpr Duration hour = Duration::seconds(3600);

// Keeps what it is told; a test waits for how much it was.
class Asker final : public DiskAsker {
public:
    void on_disk_answer(std::uint64_t ticket, KeptAnswer kept) override {
        CHECK(begun == 1);
        answers[ticket] = std::move(kept);
        told_.fetch_add(1);
        told_.notify_all();
    }
    void on_disk_purged(std::uint64_t ticket, std::uint64_t gone) override {
        purged[ticket] = gone;
    }
    void on_disk_trouble(const std::string& what) override { troubles.push_back(what); }
    void on_disk_begin() override { ++begun; }
    void on_disk_end() override { ++ended; }
    void wait_for(int count) const {
        for (int told = told_.load(); told < count; told = told_.load())
            told_.wait(told);
    }

    std::map<std::uint64_t, KeptAnswer> answers;
    std::map<std::uint64_t, std::uint64_t> purged;
    std::vector<std::string> troubles;
    int begun = 0;
    int ended = 0;

private:
    std::atomic<int> told_{0};
};

std::unique_ptr<AnswerDisk> open(const Folder& folder, const std::vector<DiskAsker*>& askers) {
    auto disk = AnswerDisk::open(folder.file(), {std::uint64_t{16} << 20}, askers);
    REQUIRE(disk.ok());
    return std::move(disk).value();
}

}  // namespace

TEST_CASE("the jobs of a channel are done in their order") {
    const Folder folder;
    Asker first;
    Asker second;
    {
        const auto disk = open(folder, {&first, &second});
        auto& channel = disk->channel(0);
        CHECK(channel.find(key_of(1), 1));
        CHECK(channel.put(key_of(1), answer_of(1, 3), wall_now(), hour));
        CHECK(channel.find(key_of(1), 2));
        CHECK(channel.purge({.by = Purge::By::model, .name = "m"}, 77));
        CHECK(channel.find(key_of(1), 3));
        CHECK(channel.put(key_of(1), answer_of(1, 4), wall_now(), hour));
        first.wait_for(3);
        CHECK(first.answers[1].answer == nullptr);
        REQUIRE(first.answers[2].answer != nullptr);
        CHECK(first.answers[2].answer->body() == body_of(1, 3));
        CHECK(first.answers[2].ttl == hour);
        CHECK(first.answers[3].answer == nullptr);
        CHECK(first.purged[77] == 1);
        CHECK(disk->channel(1).find(key_of(2), 9));
        second.wait_for(1);
        CHECK(second.answers[9].answer == nullptr);
        CHECK(first.answers.size() == 3);
    }
    CHECK(first.ended == 1);
    CHECK(second.ended == 1);
    // And what was taken is there after a restart.
    Asker later;
    const auto disk = open(folder, {&later});
    CHECK(disk->counters().entries == 1);
    CHECK(disk->channel(0).find(key_of(1), 10));
    later.wait_for(1);
    REQUIRE(later.answers[10].answer != nullptr);
    CHECK(later.answers[10].answer->body() == body_of(1, 4));
}

TEST_CASE("what a channel does not take is counted, and what it takes is done") {
    const Folder folder;
    Asker asker;
    constexpr std::uint64_t puts = 5000;
    std::uint64_t taken = 0;
    {
        const auto disk = open(folder, {&asker});
        const auto answer = cache::Answer::make({}, std::string(100'000, 'x'));
        for (std::uint64_t i = 0; i < puts; ++i)
            taken += disk->channel(0).put(key_of(i), answer, wall_now(), hour) ? 1 : 0;
        // More than 8 MiB waits at no time, so not all were taken; unless the disk is a fast one.
        CHECK(disk->counters().dropped == puts - taken);
        while (!disk->channel(0).find(key_of(puts), 1)) {
        }
        asker.wait_for(1);
        CHECK(disk->counters().table.stored + disk->counters().table.refused <= taken);
    }
    Asker later;
    const auto disk = open(folder, {&later});
    CHECK(disk->counters().entries > 50);
    CHECK(disk->counters().entries <= taken);
    CHECK(disk->counters().bytes <= std::uint64_t{16} << 20);
}

TEST_CASE("a file that is another one's is refused, and stays as it is") {
    const Folder folder;
    const auto refused = [&folder](const std::string& text) {
        std::FILE* const file = std::fopen(folder.file().c_str(), "wb");
        REQUIRE(file != nullptr);
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
        Asker asker;
        const auto disk = AnswerDisk::open(folder.file(), {std::uint64_t{16} << 20}, {&asker});
        if (disk.ok()) return std::string("taken");
        struct stat facts{};
        CHECK(::stat(folder.file().c_str(), &facts) == 0);
        CHECK(static_cast<std::size_t>(facts.st_size) == text.size());
        return disk.error().message;
    };
    const std::string no_cache = "no cache of answers";
    CHECK(refused("notes").find(no_cache) != std::string::npos);
    CHECK(refused(std::string(10'000, 'x')).find(no_cache) != std::string::npos);
    // A database of somebody else.
    const std::string head("SQLite format 3\0", 16);
    CHECK(refused(head + std::string(8000, '\0')).find(no_cache) != std::string::npos);
    CHECK(refused("") == "taken");
    // What it has made is its own, from the first moment on.
    CHECK(AnswerDisk::check(folder.file()).ok());
    CHECK(!AnswerDisk::check(folder.file() + "/x").ok());
    CHECK(!AnswerDisk::check("/nowhere/at/all").ok());
    CHECK(!AnswerDisk::check("/tmp").ok());
}

TEST_CASE("a file of ours that was damaged is told of, once, and replaced") {
    const Folder folder;
    {
        Asker asker;
        const auto disk = open(folder, {&asker});
        for (std::uint64_t i = 0; i < 20; ++i)
            CHECK(disk->channel(0).put(key_of(i), answer_of(i, 1), wall_now(), hour));
    }
    struct stat facts{};
    REQUIRE(::stat(folder.file().c_str(), &facts) == 0);
    const int fd = ::open(folder.file().c_str(), O_WRONLY);
    REQUIRE(fd >= 0);
    const std::string garbage(4096, '\x5A');
    for (off_t at = 4096; at < facts.st_size; at += 4096)
        CHECK(::pwrite(fd, garbage.data(), garbage.size(), at) == 4096);
    ::close(fd);
    Asker asker;
    {
        const auto disk = open(folder, {&asker});
        for (std::uint64_t i = 0; i < 20; ++i)
            CHECK(disk->channel(0).find(key_of(i), i));
        asker.wait_for(20);
        for (const auto& [ticket, kept] : asker.answers)
            CHECK(kept.answer == nullptr);
    }
    REQUIRE(asker.troubles.size() == 1);
    CHECK(asker.troubles[0].find("damaged") != std::string::npos);
}
