#include "sluice/shard/shard.h"

#include <algorithm>
#include <utility>

namespace sluice::shard {
namespace {

// How old another shard's counters may be while there is traffic.
constexpr Duration reconcile_tick = Duration::millis(100);

}  // namespace

void post(io::Ring& from, int ring_fd, std::unique_ptr<Message> message) {
    message->posted.store(true, std::memory_order_release);
    from.post(ring_fd, reinterpret_cast<std::uintptr_t>(message.release()));
}

Shard::Shard(io::Ring& ring, mem::BufferPool& buffers, mem::NodePool& nodes,
             const config::Settings& settings, LineSink& access_log, std::uint64_t seed)
    : loop_(ring, buffers, nodes),
      settings_(settings),
      service_(loop_, settings, access_log, seed),
      reconcile_(this, [](void* self) { static_cast<Shard*>(self)->reconcile(); }),
      drain_deadline_(this, [](void* self) { static_cast<Shard*>(self)->service_.cut_off(); }) {
    service_.reporter = this;
    ring.on_message(this, [](void* self, std::uint64_t payload) {
        static_cast<Shard*>(self)->on_message(payload);
    });
}

Shard::~Shard() {
    loop_.timers().disarm(drain_deadline_);
    loop_.timers().disarm(reconcile_);
}

void Shard::join_peers(std::size_t index, std::vector<int> peer_rings) {
    index_ = index;
    peer_rings_ = std::move(peer_rings);
}

void Shard::listen(int listen_fd) {
    listeners_.push_back(std::make_unique<net::Listener>(
        loop_, listen_fd, this,
        [](void* self, int fd) { static_cast<Shard*>(self)->service_.accept(fd); }));
    listeners_.back()->start();
}

void Shard::use(std::shared_ptr<const upstream::Catalog> catalog) {
    service_.catalog.replace(std::move(catalog));
    if (std::exchange(service_.catalog_known, true)) return;
    if (serving_ != nullptr) serving_(serving_owner_);
}

void Shard::watch(upstream::WatchPlan plan, void* owner, Told told) {
    SLUICE_ASSERT(!watch_.has_value());
    told_owner_ = owner;
    told_ = told;
    watch_.emplace(loop_, std::move(plan), this,
                   [](void* self, std::shared_ptr<const upstream::Catalog> catalog) {
                       static_cast<Shard*>(self)->on_catalog(std::move(catalog));
                   });
    watch_->start();
}

void Shard::on_catalog(std::shared_ptr<const upstream::Catalog> catalog) {
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::catalog;
        message.catalog = catalog;
    });
    use(catalog);
    if (const auto told = std::exchange(told_, nullptr); told != nullptr)
        told(told_owner_, *catalog, watch_->complaints());
}

void Shard::on_message(std::uint64_t payload) {
    const std::unique_ptr<Message> message(
        reinterpret_cast<Message*>(static_cast<std::uintptr_t>(payload)));
    SLUICE_ASSERT(message->posted.load(std::memory_order_acquire));
    switch (message->kind) {
        case Message::Kind::drain: return drain();
        case Message::Kind::catalog: return use(std::move(message->catalog));
        case Message::Kind::statistics: return totals_.learn(std::move(message->snapshot));
    }
}

template <class Fill>
void Shard::tell_peers(Fill&& fill) {
    for (const int ring_fd : peer_rings_) {
        auto message = std::make_unique<Message>();
        fill(*message);
        post(loop_.ring(), ring_fd, std::move(message));
    }
}

// --- counters -------------------------------------------------------------------------------

void Shard::statistics_changed() {
    if (!peer_rings_.empty() && !draining_ && !reconcile_.armed())
        loop_.timers().arm(reconcile_, loop_.now() + reconcile_tick);
}

void Shard::reconcile() {
    const auto snapshot = take_snapshot();
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::statistics;
        message.snapshot = snapshot;
    });
}

void Shard::write_metrics(std::string& out) {
    if (metrics_writer_ == nullptr) return;
    totals_.learn(take_snapshot());
    metrics_writer_(totals_, out);
}

std::shared_ptr<const Snapshot> Shard::take_snapshot() const {
    auto snapshot = std::make_shared<Snapshot>();  // shared: all peers keep this one
    snapshot->shard = index_;
    snapshot->statistics = service_.statistics;
    snapshot->ring = loop_.ring().counters();
    service_.pools.for_each([&](const upstream::Pool& pool) {
        const auto& counters = pool.counters();
        snapshot->pools.push_back({pool.endpoint().url, pool.links(), pool.idle(),
                                   counters.connects, counters.reuses,
                                   counters.idle_closed_by_peer});
    });
    snapshot->connections_open = service_.connections.in_use();
    snapshot->exchanges_in_flight = service_.exchanges.in_use();
    snapshot->buffers_in_use = loop_.buffers().in_use();
    snapshot->buffers_total = loop_.buffers().count();
    return snapshot;
}

// --- the end --------------------------------------------------------------------------------

void Shard::drain() {
    if (std::exchange(draining_, true)) return;
    for (auto& listener : listeners_) listener->stop();
    if (watch_.has_value()) watch_->stop();
    loop_.timers().disarm(reconcile_);  // nobody asks for counters any more
    service_.drain();
    loop_.timers().arm(drain_deadline_, loop_.now() + settings_.timeouts.drain);
}

bool Shard::done() const {
    if (!draining_ || !service_.empty() || service_.pools.links() > 0) return false;
    if (watch_.has_value() && !watch_->stopped()) return false;
    return std::ranges::all_of(listeners_,
                               [](const auto& listener) { return listener->stopped(); }) &&
           loop_.ring().in_flight() == 0;
}

}  // namespace sluice::shard
