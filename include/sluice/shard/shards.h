// Shards: starts a thread a shard, wires them together, and stops them.
//
// Used by one controlling thread, which waits for signals meanwhile.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/net/address.h"
#include "sluice/shard/log_writer.h"
#include "sluice/shard/name_watch.h"
#include "sluice/shard/shard.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice::shard {

// What the first look at the backends found, as far as they have answered.
struct Findings {
    struct ModelAt {
        std::string name;
        std::vector<std::string> urls;
    };
    std::vector<ModelAt> models;
    std::vector<std::string> asked;       // where the lists of configured servers are
    std::vector<std::string> complaints;  // who did not answer
    std::vector<std::string> hints;       // who answers and tells of no model, and what to write
    std::vector<std::string> refusals;    // who wants a key, or another one
    std::vector<std::string> idle_names;  // what names come to nothing; known when all are heard
    std::string awaited;                  // who has not answered yet
};

class DiskPosts;

class Shards {
public:
    // `settings` must outlive the object. `log`: with the channels that log_channels() says.
    Shards(const config::Settings& settings, LogWriter& log, MetricsWriter metrics);
    static std::size_t log_channels(const config::Settings& settings);
    ~Shards();  // joins; drain() must have been called if start() succeeded

    // Binds the addresses and makes the rings. Nothing is accepted yet. This, start() and drain()
    // are called by one thread.
    Status prepare();
    // Where it is really listening, one per setting.
    const std::vector<net::Address>& addresses() const { return addresses_; }

    // Begins to serve; returns when every shard does and the backends have answered, or have had a
    // moment to.
    Findings start(upstream::WatchPlan plan);
    // Asks all shards to drain.
    void drain();
    // Waits until all shards are done.
    void join();

private:
    struct Worker {
        std::thread thread;
        struct Listening {
            int fd;
            std::size_t number;  // of the listener in the settings
        };
        std::vector<Listening> listening;
        int ring_fd = -1;
        std::string failure;
    };

    Status bind_addresses();
    Status make_caller();
    Status open_disk();
    Result<int> open_first(const net::Address& address);
    Result<int> bind(const net::Address& address, std::size_t number);
    void run(std::size_t index);
    void serve(std::size_t index, io::Ring& ring, mem::BufferPool& buffers, mem::NodePool& nodes);
    void found(const upstream::Catalog& catalog, const upstream::Watch& watch);

    const config::Settings& settings_;
    LogWriter& log_;
    // Only a ring can wake a ring: the one of the thread that starts and ends all. Made early, for
    // there may be no descriptor left when it is needed.
    std::unique_ptr<mem::BufferPool> caller_buffers_;
    std::unique_ptr<io::Ring> caller_;
    MetricsWriter metrics_;
    std::vector<net::Address> addresses_;
    std::vector<Worker> workers_;
    const std::uint64_t prefix_seed_;
    std::latch rings_ready_;
    std::latch may_serve_;
    std::latch all_done_;
    std::atomic<bool> serve_{false};
    upstream::WatchPlan plan_;
    NameWatch names_;
    std::string hop_;
    std::unique_ptr<DiskPosts> disk_posts_;    // with the disk
    std::unique_ptr<state::AnswerDisk> disk_;  // null: answers are kept in memory only
    std::mutex mutex_;                         // start only: guards the findings
    std::condition_variable found_;
    std::unique_ptr<Findings> findings_;
    std::size_t serving_ = 0;  // shards that have a catalog
    bool joined_ = false;
};

}  // namespace sluice::shard
