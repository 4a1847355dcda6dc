#include "sluice/state/answer_disk.h"

#include "database.h"
#include "sluice/base/assert.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::state {

namespace {

// Of one channel, before the next one's turn.
constexpr int jobs_a_turn = 32;
// A disk that fails fails at each answer.
constexpr Duration trouble_gap = Duration::seconds(60);

// SQLite's file format, section 1.3: the head of a database, and where its application stands.
constexpr std::string_view head_begin{"SQLite format 3\0", 16};
constexpr std::size_t head_bytes = 100;
constexpr std::size_t application_at = 68;

bool is_cache_head(std::string_view head) {
    if (head.size() < head_bytes || !head.starts_with(head_begin)) return false;
    std::uint32_t application = 0;
    for (const char c : head.substr(application_at, 4))
        application = application << 8 | static_cast<unsigned char>(c);
    return application == Database::application;
}

}  // namespace

// --- the shard's side ---

bool AnswerDisk::Channel::add(Job&& job) {
    const std::uint64_t added = added_.load(std::memory_order_relaxed);
    if (added - done_.load(std::memory_order_acquire) == jobs_max) return false;
    jobs_[added % jobs_max] = std::move(job);
    added_.store(added + 1, std::memory_order_release);
    disk_.wake();
    return true;
}

bool AnswerDisk::Channel::put(const cache::Key& key, std::shared_ptr<const cache::Answer> answer,
                              WallTime since, Duration ttl) {
    SLUICE_ASSERT(answer != nullptr);
    const std::size_t bytes = answer->bytes();
    const bool fits = bytes_.load(std::memory_order_relaxed) + bytes <= bytes_max;
    if (fits) bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (fits && add({.kind = Kind::put, .key = key, .answer = answer, .since = since, .ttl = ttl}))
        return true;
    if (fits) bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
}

bool AnswerDisk::Channel::find(const cache::Key& key, std::uint64_t ticket) {
    if (add({.kind = Kind::find, .key = key, .ticket = ticket})) return true;
    unasked_.fetch_add(1, std::memory_order_relaxed);
    return false;
}

bool AnswerDisk::Channel::purge(Purge purge, std::uint64_t ticket) {
    return add({.kind = Kind::purge, .ticket = ticket, .purge = std::move(purge)});
}

void AnswerDisk::wake() {
    calls_.fetch_add(1, std::memory_order_release);
    calls_.notify_one();
}

// --- start and end ---

Status AnswerDisk::check(const std::string& path) {
    const auto refuse = [&path](const std::string& why) {
        return Error::gateway("'" + path + "' cannot keep answers: " + why);
    };
    struct ::stat found{};
    if (::stat(path.c_str(), &found) != 0) {
        if (errno != ENOENT) return refuse(std::strerror(errno));
        const std::size_t slash = path.rfind('/');
        const std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
        if (::access(folder.c_str(), F_OK) != 0)
            return refuse("there is no folder " + folder + ": make it, or name another one");
        if (::access(folder.c_str(), W_OK | X_OK) != 0)
            return refuse("the folder " + folder + ": " + std::strerror(errno));
        return Done{};
    }
    if (S_ISDIR(found.st_mode)) return refuse("it is a folder: name a file in it");
    if (!S_ISREG(found.st_mode)) return refuse("it is no file");
    if (::access(path.c_str(), R_OK | W_OK) != 0) return refuse(std::strerror(errno));
    if (found.st_size == 0) return Done{};
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return refuse(std::strerror(errno));
    std::array<char, head_bytes> head{};
    const ssize_t got = ::pread(fd, head.data(), head.size(), 0);
    ::close(fd);
    if (got < 0) return refuse("it cannot be read");
    if (!is_cache_head({head.data(), static_cast<std::size_t>(got)}))
        return refuse(
            "there is a file that is no cache of answers: name another one, or remove it");
    return Done{};
}

Result<std::unique_ptr<AnswerDisk>> AnswerDisk::open(const std::string& path, DiskBounds bounds,
                                                     const std::vector<DiskAsker*>& askers) {
    if (const auto usable = check(path); !usable) return usable.error();
    auto table = AnswerTable::open(path, bounds);
    if (!table) return table.error();
    return std::unique_ptr<AnswerDisk>(new AnswerDisk(std::move(table).value(), askers));
}

AnswerDisk::AnswerDisk(std::unique_ptr<AnswerTable> table, const std::vector<DiskAsker*>& askers)
    : table_(std::move(table)), answer_bytes_max_(table_->answer_bytes_max()) {
    for (DiskAsker* const asker : askers)
        channels_.push_back(std::unique_ptr<Channel>(new Channel(*this, *asker)));
    publish();
    thread_ = std::thread([this] { run(); });
}

AnswerDisk::~AnswerDisk() {
    stopping_.store(true, std::memory_order_release);
    wake();
    thread_.join();
}

// --- the thread ---

void AnswerDisk::run() {
    for (const auto& channel : channels_)
        channel->asker_.on_disk_begin();
    for (;;) {
        // Before the look at the channels, so that a job that comes behind it ends the wait.
        const int calls = calls_.load(std::memory_order_acquire);
        const bool stopping = stopping_.load(std::memory_order_acquire);
        bool worked = false;
        for (const auto& channel : channels_)
            worked |= do_some(*channel);
        publish();
        tell_trouble();
        if (worked) continue;
        if (stopping) break;
        calls_.wait(calls, std::memory_order_acquire);
    }
    for (const auto& channel : channels_)
        channel->asker_.on_disk_end();
}

bool AnswerDisk::do_some(Channel& channel) {
    const std::uint64_t added = channel.added_.load(std::memory_order_acquire);
    std::uint64_t done = channel.done_.load(std::memory_order_relaxed);
    const std::uint64_t last = std::min(added, done + jobs_a_turn);
    if (done == last) return false;
    for (; done != last; ++done) {
        Channel::Job job = std::move(channel.jobs_[done % Channel::jobs_max]);
        channel.done_.store(done + 1, std::memory_order_release);
        do_job(channel, job);
    }
    table_->commit(wall_now());
    return true;
}

void AnswerDisk::do_job(Channel& channel, Channel::Job& job) {
    const WallTime now = wall_now();
    switch (job.kind) {
        case Channel::Kind::put:
            table_->put(job.key, *job.answer, job.since, job.ttl, now);
            channel.bytes_.fetch_sub(job.answer->bytes(), std::memory_order_relaxed);
            break;
        case Channel::Kind::find:
            channel.asker_.on_disk_answer(job.ticket, table_->find(job.key, now));
            break;
        case Channel::Kind::purge:
            channel.asker_.on_disk_purged(job.ticket, table_->purge(job.purge));
            break;
    }
}

void AnswerDisk::tell_trouble() {
    if (channels_.empty()) return;
    DiskAsker& first = channels_.front()->asker_;
    const std::uint64_t replaced = table_->counters().replaced;
    if (replaced != std::exchange(replaced_told_, replaced))
        first.on_disk_trouble("the file was damaged or too large; an empty one took its place");
    if (table_->trouble().empty()) return;
    const Instant now = monotonic_now();
    if (trouble_told_ != Instant{} && now - trouble_told_ < trouble_gap) return;
    trouble_told_ = now;
    first.on_disk_trouble(table_->trouble());
}

void AnswerDisk::publish() {
    const TableCounters& table = table_->counters();
    const std::array<std::uint64_t, published_numbers> numbers{
        table.hits,     table.misses,   table.stored,    table.refused,
        table.evicted,  table.expired,  table.purged,    table.unfit,
        table.replaced, table.failures, table_->bytes(), table_->entries()};
    for (std::size_t i = 0; i < numbers.size(); ++i)
        published_[i].store(numbers[i], std::memory_order_relaxed);
}

DiskCounters AnswerDisk::counters() const {
    const auto at = [this](std::size_t i) { return published_[i].load(std::memory_order_relaxed); };
    DiskCounters counters{
        .table = {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9)},
        .bytes = at(10),
        .entries = at(11)};
    for (const auto& channel : channels_) {
        counters.dropped += channel->dropped_.load(std::memory_order_relaxed);
        counters.unasked += channel->unasked_.load(std::memory_order_relaxed);
    }
    return counters;
}

}  // namespace sluice::state
