// DiskPosts: brings to the shards what the thread of the cache's disk has found for them, and into
// the log what is wrong with it.
//
// Internal. Only a ring can wake a ring, and a ring is its thread's: the disk's thread makes one
// when it begins, and takes it down when it ends. A shard with a look under way is there until that
// has come back.
#pragma once

#include "sluice/base/line_sink.h"
#include "sluice/base/result.h"
#include "sluice/io/ring.h"
#include "sluice/mem/buffer_pool.h"
#include "sluice/proxy/flights.h"
#include "sluice/state/answer_disk.h"

#include <deque>
#include <latch>
#include <memory>
#include <string>
#include <vector>

namespace sluice::shard {

class DiskPosts {
public:
    // `log`: of that thread alone. `rings`: the shards', in their order.
    DiskPosts(std::string path, LineSink& log, const std::vector<int>& rings);
    std::vector<state::DiskAsker*> askers();
    // Once there is a disk: returns when its thread has begun, and says whether it can post.
    Status begun();

private:
    class Post final : public state::DiskAsker {
    public:
        Post(DiskPosts& all, int ring_fd) : all_(all), ring_fd_(ring_fd) {}
        void on_disk_answer(std::uint64_t ticket, state::KeptAnswer kept) override;
        void on_disk_purged(std::uint64_t ticket, std::uint64_t gone) override;
        void on_disk_trouble(const std::string& what) override { all_.log_trouble(what); }
        void on_disk_begin() override;
        void on_disk_end() override;

    private:
        void send(std::unique_ptr<proxy::FlightMessage> what);

        DiskPosts& all_;
        int ring_fd_;
    };

    void make_ring();
    void log_trouble(const std::string& what);

    std::string path_;
    LineSink& log_;
    std::deque<Post> posts_;
    std::latch begun_;
    // --- the disk's thread's, but for the failure once it has begun ---
    std::unique_ptr<mem::BufferPool> buffers_;
    std::unique_ptr<io::Ring> ring_;
    std::string failure_;
};

}  // namespace sluice::shard
