// AnswerDisk: the cache's answers on a disk, behind the shards: a thread with an AnswerTable.
//
// Each shard has a channel of its own (one producer, one consumer, no lock). Nothing that a shard
// asks for waits: a channel takes a bounded number of jobs and bytes, and says no beyond that. An
// answer that is not taken is not on disk, a look-up that is not taken is a miss; both are counted.
// The jobs of a channel are done in their order, so what was put is found, and what was purged is
// not; between channels there is no order: a purge is asked for on each.
//
// What was put is on disk a moment later, and all of it when this is destroyed; a process that is
// killed loses what was in the channels and the last commit that was not done.
#pragma once

#include "sluice/base/result.h"
#include "sluice/state/answer_table.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace sluice::state {

// Who is told what was found; outlives the disk. Called on the disk's thread, so it posts: what it
// does there holds up everybody's look-ups.
class DiskAsker {
public:
    // `ticket` is the look-up's. No answer: a miss.
    virtual void on_disk_answer(std::uint64_t ticket, KeptAnswer kept) = 0;
    // How many answers a purge has taken; it has a ticket as a look-up has one.
    virtual void on_disk_purged(std::uint64_t /*ticket*/, std::uint64_t /*gone*/) {}
    // The disk does not take answers, and why; or the file was no good, and an empty one took its
    // place. Seldom, however often it happens; said to the first asker only.
    virtual void on_disk_trouble(const std::string& /*what*/) {}
    // Each at most once, and both on the thread on which the other is called: what it takes to post
    // from there may be made and taken down (a ring wakes a ring).
    virtual void on_disk_begin() {}
    virtual void on_disk_end() {}

protected:
    ~DiskAsker() = default;
};

// Since the start; by any thread.
struct DiskCounters {
    TableCounters table;
    std::uint64_t dropped = 0;  // answers that no channel took
    std::uint64_t unasked = 0;  // look-ups that none took
    std::uint64_t bytes = 0;    // now, of the file
    std::uint64_t entries = 0;  // now
};

class AnswerDisk {
public:
    class Channel {
    public:
        // Each is false where it is not taken. `since`: when the time to live began.
        bool put(const cache::Key& key, std::shared_ptr<const cache::Answer> answer, WallTime since,
                 Duration ttl);
        bool find(const cache::Key& key, std::uint64_t ticket);
        // To be asked for again where it is not taken.
        [[nodiscard]] bool purge(Purge purge, std::uint64_t ticket = 0);

    private:
        friend class AnswerDisk;
        enum class Kind : std::uint8_t { put, find, purge };
        struct Job {
            Kind kind = Kind::find;
            cache::Key key;
            std::shared_ptr<const cache::Answer> answer;  // shared with the store and deliveries
            WallTime since;
            Duration ttl;
            std::uint64_t ticket = 0;
            Purge purge;
        };
        static constexpr std::size_t jobs_max = 256;
        // Of answers that wait, which no other bound counts.
        static constexpr std::size_t bytes_max = std::size_t{8} << 20;

        Channel(AnswerDisk& disk, DiskAsker& asker) : disk_(disk), asker_(asker) {}
        bool add(Job&& job);

        AnswerDisk& disk_;
        DiskAsker& asker_;
        std::array<Job, jobs_max> jobs_;       // positions run on and are masked
        std::atomic<std::uint64_t> added_{0};  // by the shard
        std::atomic<std::uint64_t> done_{0};   // by the disk
        std::atomic<std::size_t> bytes_{0};    // of answers in `jobs_`
        std::atomic<std::uint64_t> dropped_{0};
        std::atomic<std::uint64_t> unasked_{0};
    };

    // Whether there could be one now; nothing is made. A file that is there and not a cache's is
    // another one's, and stays.
    static Status check(const std::string& path);
    // A channel for each asker.
    static Result<std::unique_ptr<AnswerDisk>> open(const std::string& path, DiskBounds bounds,
                                                    const std::vector<DiskAsker*>& askers);
    ~AnswerDisk();  // does what was taken

    Channel& channel(std::size_t asker) { return *channels_[asker]; }
    std::size_t answer_bytes_max() const { return answer_bytes_max_; }
    DiskCounters counters() const;

private:
    AnswerDisk(std::unique_ptr<AnswerTable> table, const std::vector<DiskAsker*>& askers);
    void run();
    bool do_some(Channel& channel);
    void do_job(Channel& channel, Channel::Job& job);
    void publish();
    void tell_trouble();
    void wake();

    std::unique_ptr<AnswerTable> table_;  // the thread's
    std::size_t answer_bytes_max_;
    std::vector<std::unique_ptr<Channel>> channels_;
    std::atomic<int> calls_{0};  // changes with each job; the thread waits for that
    std::atomic<bool> stopping_{false};
    // What the thread has counted, number by number.
    static constexpr std::size_t published_numbers = 12;
    std::array<std::atomic<std::uint64_t>, published_numbers> published_{};
    std::uint64_t replaced_told_ = 0;  // the thread's, as the next
    Instant trouble_told_;             // 0: never
    std::thread thread_;
};

}  // namespace sluice::state
