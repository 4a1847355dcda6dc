// ShardBox: one shard of the gateway with all that it runs on, listening at `front`; check() holds
// after every turn, check_empty() at the end.
#pragma once

#include "driver.h"
#include "sim_ring.h"
#include "simulation.h"
#include "sluice/io/socket.h"
#include "sluice/net/address.h"
#include "sluice/shard/shard.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

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
                   service.exchanges.in_use() - service.flight_slots.in_use(),
               "an exchange is neither under way nor settled once");
        expect(service.forwards.in_use() <= service.exchanges.in_use(),
               "a request is forwarded for nobody");
        const std::size_t asking = service.forwards.in_use() + service.flight_slots.in_use();
        expect(service.dispatch.placed() <= asking, "a place is held by nobody");
        expect(service.dispatch.waiting() <= asking, "nobody waits in a line");
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
        expect(service.flights.under_way() == 0 && service.flight_slots.in_use() == 0,
               "a flight is left");
        expect(service.replays.in_use() == 0, "a listener is left");
        expect(service.dispatch.placed() == 0, "a place is left");
        expect(service.dispatch.waiting() == 0, "somebody is left waiting");
        expect(service.dispatch.left_running() == 0, "a slot is taken by what was left");
        expect(service.retries.in_flight() == 0 && service.retries.under_way() == 0,
               "a token of the retry budget is left");
        expect(service.pipes.lent() == 0, "a pipe is left");
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

using ShardBoxes = std::vector<std::unique_ptr<ShardBox>>;

// Makes them one gateway, of which the first looks after the backends; returns their loops.
inline std::vector<io::Loop*> join(const ShardBoxes& boxes, const config::Settings& settings) {
    std::vector<io::Loop*> loops;
    for (std::size_t i = 0; i < boxes.size(); ++i) {
        std::vector<int> peers;
        for (std::size_t j = 0; j < boxes.size(); ++j)
            if (j != i) peers.push_back(boxes[j]->ring().fd());
        boxes[i]->shard().join_peers(i, std::move(peers), 1);
        loops.push_back(&boxes[i]->shard().loop());
    }
    auto plan = upstream::WatchPlan::create(settings, {});
    expect(plan.ok(), "the settings are refused");
    boxes[0]->shard().watch(std::move(plan).value(), nullptr, nullptr);
    return loops;
}

// Whether each of them routes by what the backends have told.
inline bool have_catalogs(const ShardBoxes& boxes) {
    return std::ranges::none_of(boxes, [](const auto& box) {
        const upstream::Catalog& catalog = *box->shard().service().catalog;
        return catalog.empty() || catalog.awaits_any();
    });
}

// What holds of all of them after every turn.
inline void check(const ShardBoxes& boxes, std::size_t operations) {
    std::size_t in_flight = 0;
    for (const auto& box : boxes) {
        box->check();
        in_flight += box->in_flight();
    }
    expect(in_flight == operations, "the rings and the sockets differ about what is in flight");
}

}  // namespace sluice::sim
