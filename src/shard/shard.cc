#include "sluice/shard/shard.h"

#include <algorithm>
#include <utility>

namespace sluice::shard {

void post(io::Ring& from, int ring_fd, std::unique_ptr<Message> message) {
    from.post(ring_fd, reinterpret_cast<std::uintptr_t>(message.release()));
}

Shard::Shard(io::Ring& ring, mem::BufferPool& buffers, mem::NodePool& nodes,
             const config::Settings& settings, LineSink& access_log, std::uint64_t seed)
    : loop_(ring, buffers, nodes),
      settings_(settings),
      service_(loop_, settings, access_log, seed),
      drain_deadline_(this, [](void* self) { static_cast<Shard*>(self)->service_.cut_off(); }) {
    ring.on_message(this, [](void* self, std::uint64_t payload) {
        static_cast<Shard*>(self)->on_message(payload);
    });
}

Shard::~Shard() { loop_.timers().disarm(drain_deadline_); }

void Shard::listen(int listen_fd) {
    listeners_.push_back(std::make_unique<net::Listener>(
        loop_, listen_fd, this,
        [](void* self, int fd) { static_cast<Shard*>(self)->service_.accept(fd); }));
    listeners_.back()->start();
}

void Shard::use(std::shared_ptr<const upstream::Catalog> catalog) {
    service_.catalog.replace(std::move(catalog));
}

void Shard::watch(upstream::WatchPlan plan, std::vector<int> peer_rings, void* owner, Told told) {
    SLUICE_ASSERT(!watch_.has_value());
    peer_rings_ = std::move(peer_rings);
    told_owner_ = owner;
    told_ = told;
    watch_.emplace(loop_, std::move(plan), this,
                   [](void* self, std::shared_ptr<const upstream::Catalog> catalog) {
                       static_cast<Shard*>(self)->on_catalog(std::move(catalog));
                   });
    watch_->start();
}

void Shard::on_catalog(std::shared_ptr<const upstream::Catalog> catalog) {
    for (const int ring_fd : peer_rings_) {
        auto message = std::make_unique<Message>();
        message->kind = Message::Kind::catalog;
        message->catalog = catalog;
        post(loop_.ring(), ring_fd, std::move(message));
    }
    use(catalog);
    if (const auto told = std::exchange(told_, nullptr); told != nullptr)
        told(told_owner_, *catalog, watch_->complaints());
}

void Shard::on_message(std::uint64_t payload) {
    const std::unique_ptr<Message> message(
        reinterpret_cast<Message*>(static_cast<std::uintptr_t>(payload)));
    switch (message->kind) {
        case Message::Kind::drain: return drain();
        case Message::Kind::catalog: return use(std::move(message->catalog));
    }
}

void Shard::drain() {
    if (std::exchange(draining_, true)) return;
    for (auto& listener : listeners_) listener->stop();
    if (watch_.has_value()) watch_->stop();
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
