// Worker: one thread of the bench: a ring, the lane that runs on it, and perhaps the origin.
#pragma once

#include "lane.h"
#include "origin.h"
#include "sluice/base/result.h"
#include "sluice/io/loop.h"

#include <memory>
#include <optional>

namespace sluice::bench {

class Worker {
public:
    // On the thread that will use it.
    static Result<std::unique_ptr<Worker>> create();
    ~Worker();

    // From now on this worker answers on `address`, too.
    Status open_origin(const net::Address& address, OriginScript script);
    Origin* origin() { return origin_.get(); }

    // A new lane begins at `now`; the one before must be closed.
    Lane& begin(const Load& load, bool with_origin, Instant now);
    Lane& lane() { return *lane_; }
    // One turn; waits until `until` at most, or not at all when it spins. Needs no lane.
    void turn(Instant until, bool spin);
    // Cuts what is still going on and waits for its end.
    void close_lane();

private:
    explicit Worker(std::unique_ptr<mem::BufferPool> buffers);

    std::unique_ptr<mem::BufferPool> buffers_;
    mem::NodePool nodes_;
    std::unique_ptr<io::Ring> ring_;
    std::optional<io::Loop> loop_;
    std::unique_ptr<Origin> origin_;
    std::unique_ptr<Lane> lane_;
};

}  // namespace sluice::bench
