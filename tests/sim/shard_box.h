// ShardBox: one shard of the gateway with all that it runs on, listening at `front`; check() holds
// after every turn, check_empty() at the end.
#pragma once

#include "driver.h"
#include "sim_ring.h"
#include "simulation.h"
#include "sluice/io/socket.h"
#include "sluice/net/address.h"
#include "sluice/shard/shard.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice::sim {

inline const net::Address front = net::Address::parse("127.0.0.1:8642").value();

class ShardBox {
public:
    ShardBox(const config::Settings& settings, LineSink& log, std::size_t buffers,
             std::uint64_t seed)
        : pool_(limits::buffer_bytes, buffers),
          ring_(io::Ring::create(pool_).value()),
          shard_(std::make_unique<shard::Shard>(*ring_, pool_, nodes_, settings, log, seed)) {
        auto fd = io::open_listener(front.raw(), front.size(), {.reuse_port = true});
        shard_->listen(fd.value());
    }

    shard::Shard& shard() { return *shard_; }
    io::Ring& ring() { return *ring_; }
    const proxy::Statistics& statistics() { return shard_->service().statistics; }
    // True when an operation of it is counted by the ring.
    std::size_t in_flight() const { return ring_->in_flight(); }

    void check() {
        const std::size_t lent = Simulation::current().ring(ring_->fd())->lent();
        expect(pool_.in_use() >= lent, "buffers that are lent count as free");
        // Every buffer in use is held by a chain, or by the one that write() fills.
        expect(pool_.in_use() - lent <= nodes_.in_use() + 1, "a buffer is held by nobody");
        auto& service = shard_->service();
        expect(service.statistics.exchanges_begun - service.statistics.settled() ==
                   service.exchanges.in_use(),
               "an exchange is neither under way nor settled once");
        expect(service.forwards.in_use() <= service.exchanges.in_use(),
               "a request is forwarded for nobody");
        expect(service.dispatch.placed() <= service.forwards.in_use(), "a place is held by nobody");
        expect(service.dispatch.waiting() <= service.forwards.in_use(), "nobody waits in a line");
        expect(service.retries.in_flight() <= service.exchanges.in_use(),
               "a request that is settled counts for the retry budget");
        expect(service.requests.in_use() <= service.exchanges.in_use(),
               "a request's state outlives it");
    }

    void check_empty() {
        auto& service = shard_->service();
        expect(ring_->in_flight() == 0, "something is still in flight");
        expect(service.connections.in_use() == 0, "a connection is left");
        expect(service.exchanges.in_use() == 0, "an exchange is left");
        expect(service.dispatch.placed() == 0, "a place is left");
        expect(service.dispatch.waiting() == 0, "somebody is left waiting");
        expect(service.retries.in_flight() == 0 && service.retries.under_way() == 0,
               "a token of the retry budget is left");
        expect(nodes_.in_use() == 0, "a node of a chain is left");
        const std::size_t lent = Simulation::current().ring(ring_->fd())->lent();
        expect(pool_.in_use() <= lent + 1, "a buffer is left");
        shard_.reset();
    }

private:
    mem::BufferPool pool_;
    mem::NodePool nodes_;
    std::unique_ptr<io::Ring> ring_;
    std::unique_ptr<shard::Shard> shard_;
};

}  // namespace sluice::sim
