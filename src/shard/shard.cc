#include "sluice/shard/shard.h"

#include "sluice/proxy/event_log.h"

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
    service_.dispatch.set_peers(this);
    ring.on_message(this, [](void* self, std::uint64_t payload) {
        static_cast<Shard*>(self)->on_message(payload);
    });
}

Shard::~Shard() {
    loop_.timers().disarm(drain_deadline_);
    loop_.timers().disarm(reconcile_);
}

void Shard::join_peers(std::size_t index, std::vector<int> peer_rings, std::uint64_t prefix_seed) {
    index_ = index;
    peer_rings_ = std::move(peer_rings);
    service_.join(static_cast<std::uint16_t>(index),
                  static_cast<std::uint16_t>(peer_rings_.size() + 1), prefix_seed, *this, *this);
}

void Shard::keep_on_disk(state::AnswerDisk& disk, std::size_t channel) {
    disk_ = &disk;
    service_.flights.keep_on_disk(disk.channel(channel));
}

void Shard::listen(int listen_fd, std::size_t number) {
    entrances_.push_back({this, number});
    listeners_.push_back(std::make_unique<net::Listener>(
        loop_, listen_fd, &entrances_.back(), [](void* owner, int fd) {
            const auto& entrance = *static_cast<const Entrance*>(owner);
            entrance.shard->service_.accept(fd, entrance.number);
        }));
    if (service_.catalog_known) listeners_.back()->start();
}

void Shard::use(std::shared_ptr<const upstream::Catalog> catalog) {
    service_.dispatch.learn(*catalog);
    service_.catalog.replace(std::move(catalog));
    if (std::exchange(service_.catalog_known, true)) return;
    if (!draining_)
        for (auto& listener : listeners_)
            listener->start();
    if (serving_ != nullptr) serving_(serving_owner_);
}

void Shard::watch(upstream::WatchPlan plan, void* owner, Told told) {
    SLUICE_ASSERT(!watch_.has_value());
    told_owner_ = owner;
    told_ = told;
    std::vector<upstream::WatchedServer> servers;
    for (const auto& server : plan.servers)
        servers.push_back({server.endpoint, server.health, server.key, server.generic()});
    health_watch_.emplace(
        loop_, std::move(servers), service_.prng.next(), this,
        [](void* self, const std::shared_ptr<const upstream::Endpoint>& endpoint,
           upstream::Health health, const std::string& cause) {
            static_cast<Shard*>(self)->on_health(endpoint, health, cause);
        },
        [](void* self, std::uint32_t endpoint) {
            return static_cast<Shard*>(self)->traffic_of(endpoint);
        },
        [](void* self, std::uint32_t endpoint, const upstream::Sign& sign) {
            static_cast<Shard*>(self)->on_sign(endpoint, sign);
        });
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
    if (!draining_) health_watch_->follow(*catalog);
    if (told_ == nullptr) return;
    told_(told_owner_, *catalog, *watch_);
    if (!catalog->awaits_any()) told_ = nullptr;
}

void Shard::on_message(std::uint64_t payload) {
    const std::unique_ptr<Message> message(
        reinterpret_cast<Message*>(static_cast<std::uintptr_t>(payload)));
    SLUICE_ASSERT(message->posted.load(std::memory_order_acquire));
    switch (message->kind) {
        case Message::Kind::drain:
            return drain();
        case Message::Kind::catalog:
            return use(std::move(message->catalog));
        case Message::Kind::statistics:
            return totals_.learn(std::move(message->snapshot));
        case Message::Kind::slots:
            return service_.dispatch.receive(message->number, message->slots);
        case Message::Kind::placed:
            return service_.dispatch.receive(*message->placed);
        case Message::Kind::lesson:
            return service_.learn(message->lesson);
        case Message::Kind::flight:
            return service_.flights.receive(std::move(*message->flight));
        case Message::Kind::sign:
            if (message->seen_by_traffic) {
                // Told to all, and only the watch's to heed.
                if (health_watch_.has_value()) health_watch_->note_left(message->number);
                return;
            }
            return service_.dispatch.see_sign(message->number, message->sign);
        case Message::Kind::health:
            // What another shard's traffic has seen is the watch's to judge; what the watch has
            // seen is so.
            if (message->seen_by_traffic && health_watch_.has_value())
                return health_watch_->suspect(message->endpoint->id, message->health,
                                              message->cause);
            return service_.dispatch.see_health(*message->endpoint, message->health);
    }
}

int Shard::ring_of(std::size_t shard) const {
    SLUICE_ASSERT(shard != index_ && shard <= peer_rings_.size());
    return peer_rings_[shard < index_ ? shard : shard - 1];
}

// --- what is known of backends --------------------------------------------------------------

void Shard::saw_health(const std::shared_ptr<const upstream::Endpoint>& endpoint,
                       upstream::Health health, const std::string& cause) {
    if (service_.dispatch.health_of(*endpoint) == health || draining_) return;
    service_.dispatch.see_health(*endpoint, health);
    if (health_watch_.has_value()) return health_watch_->suspect(endpoint->id, health, cause);
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::health;
        message.seen_by_traffic = true;
        message.endpoint = endpoint;
        message.health = health;
        message.cause = cause;
    });
}

void Shard::on_health(const std::shared_ptr<const upstream::Endpoint>& endpoint,
                      upstream::Health health, const std::string& cause) {
    proxy::write_event(
        service_.access_log, "health",
        {{"backend", endpoint->url}, {"state", upstream::health_name(health)}, {"cause", cause}});
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::health;
        message.endpoint = endpoint;
        message.health = health;
    });
    service_.dispatch.see_health(*endpoint, health);
}

void Shard::on_sign(std::uint32_t endpoint, const upstream::Sign& sign) {
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::sign;
        message.number = endpoint;
        message.sign = sign;
    });
    service_.dispatch.see_sign(endpoint, sign);
}

// The shard that watches the backends asks this one how long.
void Shard::left_running(std::uint32_t endpoint) {
    if (health_watch_.has_value()) return health_watch_->note_left(endpoint);
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::sign;
        message.seen_by_traffic = true;
        message.number = endpoint;
    });
}

upstream::Traffic Shard::traffic_of(std::uint32_t endpoint) const {
    auto traffic = totals_.traffic_of_peers(index_, endpoint);
    const auto& own = service_.dispatch.traffic();
    if (endpoint < own.size()) traffic += own[endpoint];
    return traffic;
}

void Shard::breaker_changed(const upstream::Target& target, const policy::BreakerChange& change) {
    if (change.to == policy::BreakerState::open) ++service_.statistics.breaker_openings;
    proxy::write_event(service_.access_log, "breaker",
                       {{"backend", target.endpoint->url},
                        {"model", target.upstream_name},
                        {"from", policy::name_of(change.from)},
                        {"state", policy::name_of(change.to)},
                        {"cause", policy::text_of(change.cause)}});
}

void Shard::send_slots(std::uint32_t slot_pool, const policy::SlotMessage& slots) {
    const std::size_t home = slot_pool % (peer_rings_.size() + 1);
    auto message = std::make_unique<Message>();
    message->kind = Message::Kind::slots;
    message->number = slot_pool;
    message->slots = slots;
    post(loop_.ring(), ring_of(home == index_ ? slots.shard : home), std::move(message));
}

void Shard::send(std::uint16_t shard, std::unique_ptr<proxy::FlightMessage> flight) {
    auto message = std::make_unique<Message>();
    message->kind = Message::Kind::flight;
    message->flight = std::move(flight);
    post(loop_.ring(), ring_of(shard), std::move(message));
}

void Shard::tell_placed() {
    const auto news = service_.dispatch.take_news();
    if (news == nullptr) return;
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::placed;
        message.placed = news;
    });
}

// At once, so that they know of it before the client that sees what it came of does. A shard that
// ends has nothing more to teach, and its peers may be gone.
void Shard::tell(const policy::Lesson& lesson) {
    if (draining_) return;
    tell_peers([&](Message& message) {
        message.kind = Message::Kind::lesson;
        message.lesson = lesson;
    });
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

void Shard::write_metrics(std::string_view consumer, std::string& out) {
    if (metrics_writer_ == nullptr) return;
    totals_.learn(take_snapshot());
    if (disk_ != nullptr) totals_.see_disk(disk_->counters());
    metrics_writer_(totals_, consumer, out);
}

std::shared_ptr<const Snapshot> Shard::take_snapshot() const {
    auto snapshot = std::make_shared<Snapshot>();  // shared: all peers keep this one
    snapshot->shard = index_;
    snapshot->statistics = service_.statistics;
    snapshot->ring = loop_.ring().counters();
    service_.pools.for_each([&](const upstream::Pool& pool) {
        const auto& counters = pool.counters();
        snapshot->pools.push_back({pool.endpoint().url, pool.links(), pool.idle(),
                                   counters.connects, counters.reuses, counters.idle_closed_by_peer,
                                   counters.preconnects, counters.preconnects_used});
    });
    for (const auto& model : service_.catalog->models()) {
        for (const auto& target : model->targets) {
            const auto view = service_.dispatch.view(target);
            snapshot->targets.push_back(
                {.model = model->name,
                 .backend = target.endpoint->url,
                 .labels = target.setting.labels,
                 .up = view.health == upstream::Health::up,
                 .breaker_open = view.breaker != policy::BreakerState::closed,
                 .in_flight = view.in_flight,
                 .slots = target.slots});
        }
    }
    snapshot->traffic = service_.dispatch.traffic();
    if (const auto* counters = service_.dispatch.prefix_counters(); counters != nullptr)
        snapshot->prefixes = *counters;
    snapshot->requests_waiting = service_.dispatch.waiting();
    snapshot->connections_open = service_.connections.in_use();
    snapshot->exchanges_in_flight = service_.exchanges.in_use() - service_.flights.under_way();
    snapshot->flights = service_.flights.under_way();
    if (const auto* store = service_.flights.store(); store != nullptr) {
        snapshot->cache_bytes = store->bytes();
        snapshot->cache_entries = store->entries();
        snapshot->cache_evictions = store->counters().evictions;
    }
    snapshot->buffers_in_use = loop_.buffers().in_use();
    snapshot->buffers_total = loop_.buffers().count();
    return snapshot;
}

// --- the end --------------------------------------------------------------------------------

void Shard::drain() {
    if (std::exchange(draining_, true)) return;
    for (auto& listener : listeners_)
        listener->stop();
    if (watch_.has_value()) watch_->stop();
    if (health_watch_.has_value()) health_watch_->stop();
    loop_.timers().disarm(reconcile_);  // nobody asks for counters any more
    service_.drain();
    service_.dispatch.forget_left();
    loop_.timers().arm(drain_deadline_, loop_.now() + settings_.timeouts.drain);
}

bool Shard::done() const {
    if (!draining_ || !service_.empty() || service_.pools.links() > 0) return false;
    if (service_.flights.under_way() > 0 || service_.flights.on_disk() > 0) return false;
    if (watch_.has_value() && !watch_->stopped()) return false;
    if (health_watch_.has_value() && !health_watch_->stopped()) return false;
    return std::ranges::all_of(listeners_,
                               [](const auto& listener) { return listener->stopped(); }) &&
           loop_.ring().in_flight() == 0;
}

}  // namespace sluice::shard
