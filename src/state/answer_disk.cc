#include "sluice/state/answer_disk.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::state {

namespace {

// Of one channel, before the next one's turn.
constexpr int jobs_a_turn = 32;

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

bool AnswerDisk::Channel::purge(Purge purge) {
    return add({.kind = Kind::purge, .purge = std::move(purge)});
}

void AnswerDisk::wake() {
    calls_.fetch_add(1, std::memory_order_release);
    calls_.notify_one();
}

// --- start and end ---

Result<std::unique_ptr<AnswerDisk>> AnswerDisk::open(const std::string& path, DiskBounds bounds,
                                                     const std::vector<DiskAsker*>& askers) {
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
            table_->purge(job.purge);
            break;
    }
}

void AnswerDisk::publish() {
    const TableCounters& table = table_->counters();
    const std::array<std::uint64_t, published_numbers> numbers{
        table.hits,     table.misses,    table.stored,     table.refused,
        table.evicted,  table.expired,   table.purged,     table.unfit,
        table.replaced, table_->bytes(), table_->entries()};
    for (std::size_t i = 0; i < numbers.size(); ++i)
        published_[i].store(numbers[i], std::memory_order_relaxed);
}

DiskCounters AnswerDisk::counters() const {
    const auto at = [this](std::size_t i) { return published_[i].load(std::memory_order_relaxed); };
    DiskCounters counters{.table = {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8)},
                          .bytes = at(9),
                          .entries = at(10)};
    for (const auto& channel : channels_) {
        counters.dropped += channel->dropped_.load(std::memory_order_relaxed);
        counters.unasked += channel->unasked_.load(std::memory_order_relaxed);
    }
    return counters;
}

}  // namespace sluice::state
