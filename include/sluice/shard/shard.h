// Shard: one thread's whole gateway: listeners, connections, pools; nothing mutable is shared.
//
// Runs on any Ring, the kernel's or the simulator's. Its owner calls turn() until done(). What
// other shards have to say comes as messages through the ring.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/io/loop.h"
#include "sluice/net/listener.h"
#include "sluice/policy/lesson.h"
#include "sluice/proxy/service.h"
#include "sluice/shard/totals.h"
#include "sluice/upstream/health.h"
#include "sluice/upstream/watch.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::shard {

// What a shard tells another one; allocated by the sender, freed by the receiver.
struct Message {
    enum class Kind : std::uint8_t {
        drain,
        catalog,
        statistics,
        health,
        sign,
        slots,
        placed,
        lesson,
        flight
    };
    Kind kind = Kind::drain;
    bool seen_by_traffic = false;  // health, sign: not by the watch
    upstream::Health health = upstream::Health::up;
    std::uint32_t number = 0;  // of a pool of slots; sign: of an endpoint
    upstream::Sign sign;
    policy::SlotMessage slots;
    policy::Lesson lesson;
    std::shared_ptr<const upstream::Endpoint> endpoint;  // shared with the catalogs that name it
    std::string cause;
    // Set by post(), seen by the receiver: the kernel carries only the address, and this is what
    // makes the rest of the message visible with it.
    std::atomic<bool> posted{false};
    std::shared_ptr<const upstream::Catalog> catalog;      // shared: one for all shards
    std::shared_ptr<const Snapshot> snapshot;              // shared: one for all peers
    std::shared_ptr<const upstream::DispatchNews> placed;  // shared: one for all peers
    std::unique_ptr<proxy::FlightMessage> flight;
};

// Hands a message over to the ring behind `ring_fd`.
void post(io::Ring& from, int ring_fd, std::unique_ptr<Message> message);

// Writes what /metrics says: what is counted for that consumer; for an empty one everything.
using MetricsWriter = void (*)(const Totals& totals, std::string_view consumer, std::string& out);

class Shard final : public proxy::Reporter,
                    public upstream::Dispatch::Peers,
                    public policy::Teacher,
                    public proxy::Flights::Peers {
public:
    // Everything outlives the shard. `seed` is for ids and jitter.
    Shard(io::Ring& ring, mem::BufferPool& buffers, mem::NodePool& nodes,
          const config::Settings& settings, LineSink& access_log, std::uint64_t seed);
    ~Shard();

    // There are other shards: this one's number, the rings of the others, and a number drawn for
    // all of them, by which they hash prompts alike.
    void join_peers(std::size_t index, std::vector<int> peer_rings, std::uint64_t prefix_seed);
    void set_metrics_writer(MetricsWriter writer) { metrics_writer_ = writer; }

    // Called once, on this thread, when the shard has its first catalog.
    using Serving = void (*)(void* owner);
    void on_serving(void* owner, Serving serving) {
        serving_owner_ = owner;
        serving_ = serving;
    }

    // What is kept is kept there, too: this shard's channel is the one of that number.
    void keep_on_disk(state::AnswerDisk& disk, std::size_t channel);

    // Takes over a listening socket, and accepts from it once there is a catalog: until then
    // clients wait for some microseconds, and none is told that nothing is known.
    // `number` is its place in the settings.
    void listen(int listen_fd, std::size_t number = 0);
    // Routes by this catalog from now on.
    void use(std::shared_ptr<const upstream::Catalog> catalog);

    // What requests say that went through here: see proxy/stages/hops.cc.
    void set_hop(std::string hop) { service_.hop = std::move(hop); }

    // This shard asks the backends for their models, and tells its peers. `told` is called, on this
    // thread, with each catalog up to the first that awaits no server.
    using Told = void (*)(void* owner, const upstream::Catalog& catalog,
                          const upstream::Watch& watch);
    void watch(upstream::WatchPlan plan, void* owner, Told told);

    // No new connections; open ones end after their answer, or at the drain deadline.
    void drain();

    void turn(Instant deadline = io::TimerWheel::never) {
        loop_.turn(deadline);
        service_.watch_buffers();
        if (!peer_rings_.empty()) tell_placed();
        // Before this shard is done: others may wait for what it has borrowed.
        if (draining_ && service_.empty()) service_.dispatch.drain();
    }
    // Drained: nothing is open and nothing is in flight.
    bool done() const;
    // Behind that: other shards may still have something to say.
    void close() { service_.flights.close(); }

    void statistics_changed() override;
    void saw_health(const std::shared_ptr<const upstream::Endpoint>& endpoint,
                    upstream::Health health, const std::string& cause) override;
    void send_slots(std::uint32_t slot_pool, const policy::SlotMessage& message) override;
    void breaker_changed(const upstream::Target& target,
                         const policy::BreakerChange& change) override;
    void traffic_changed() override { statistics_changed(); }
    void left_running(std::uint32_t endpoint) override;
    void write_metrics(std::string_view consumer, std::string& out) override;
    void tell(const policy::Lesson& lesson) override;
    void send(std::uint16_t shard, std::unique_ptr<proxy::FlightMessage> flight) override;

    proxy::Service& service() { return service_; }
    io::Loop& loop() { return loop_; }

private:
    void on_message(std::uint64_t payload);
    void on_catalog(std::shared_ptr<const upstream::Catalog> catalog);
    void on_health(const std::shared_ptr<const upstream::Endpoint>& endpoint,
                   upstream::Health health, const std::string& cause);
    void on_sign(std::uint32_t endpoint, const upstream::Sign& sign);
    upstream::Traffic traffic_of(std::uint32_t endpoint) const;
    int ring_of(std::size_t shard) const;
    void tell_placed();
    void reconcile();
    std::shared_ptr<const Snapshot> take_snapshot() const;
    template <class Fill>
    void tell_peers(Fill&& fill);

    io::Loop loop_;
    const config::Settings& settings_;
    proxy::Service service_;
    // What a listener knows of itself when it hands a connection over.
    struct Entrance {
        Shard* shard;
        std::size_t number;
    };
    std::deque<Entrance> entrances_;  // where they are they stay
    std::vector<std::unique_ptr<net::Listener>> listeners_;
    std::optional<upstream::Watch> watch_;
    std::optional<upstream::HealthWatch> health_watch_;
    std::size_t index_ = 0;
    std::vector<int> peer_rings_;
    Totals totals_;
    const state::AnswerDisk* disk_ = nullptr;  // null: there is none
    io::Timer reconcile_;  // armed while something was counted that the peers do not know
    MetricsWriter metrics_writer_ = nullptr;
    void* told_owner_ = nullptr;
    Told told_ = nullptr;
    void* serving_owner_ = nullptr;
    Serving serving_ = nullptr;
    io::Timer drain_deadline_;
    bool draining_ = false;
};

}  // namespace sluice::shard
