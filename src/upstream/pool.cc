#include "sluice/upstream/pool.h"

#include <utility>

namespace sluice::upstream {

// --- Link -----------------------------------------------------------------------------------

Link::Link(Pool& pool)
    : stream(pool.pools_.loop_, *this), pool_(pool), idle_timer_(this, [](void* self) {
          auto& link = *static_cast<Link*>(self);
          link.pool_.retire_idle(link);
      }) {}

const Endpoint& Link::endpoint() const {
    return pool_.endpoint();
}

// Between two messages a server has nothing to say: whatever comes, the link is of no use.
bool Link::spoiled() const {
    return stream.ended() || stream.error() != 0 || !stream.received().empty();
}

void Link::advance() {
    if (stream.closed()) {
        // Nobody closes an idle one but who takes it off the list.
        SLUICE_ASSERT(!idle_hook_.linked() && !idle_timer_.armed());
        return pool_.pools_.loop_.retire(*this);
    }
    if (!idle_hook_.linked()) return;  // closing
    if (!spoiled()) {
        if (exchanges_ == 0 && stream.open()) {  // opened ahead, connected now
            SLUICE_ASSERT(this == pool_.ahead_);
            pool_.listen(*this);
        }
        return;
    }
    if (!stream.connecting()) ++pool_.counters_.idle_closed_by_peer;
    pool_.retire_idle(*this);
}

void Link::bury() {
    SLUICE_ASSERT(stream.closed());
    SLUICE_ASSERT(pool_.links_ > 0);
    --pool_.links_;
    pool_.pools_.slab_.destroy(*this);
}

// --- Pool -----------------------------------------------------------------------------------

Pool::Pool(Pools& pools, std::shared_ptr<const Endpoint> endpoint)
    : pools_(pools), endpoint_(std::move(endpoint)) {
    SLUICE_ASSERT(endpoint_ != nullptr);
}

Pool::~Pool() {
    SLUICE_ASSERT(links_ == 0);
    SLUICE_ASSERT(idle_count_ == 0 && ahead_ == nullptr);
}

Link* Pool::lease(io::Actor& user, Freshness freshness) {
    // A server may have closed one in this very turn, or a moment ago.
    const auto useless = [freshness](const Link& link) {
        return link.spoiled() || (freshness == Freshness::sound && link.stream.open() &&
                                  link.stream.hangup() != io::Hangup::none);
    };
    while (!idle_.empty() && useless(idle_.back()))
        retire_idle(idle_.back());
    if (freshness != Freshness::fresh && !idle_.empty()) {
        // The most recently used one: the others may grow old and leave.
        Link& link = idle_.back();
        SLUICE_ASSERT(idle_count_ > 0);
        SLUICE_ASSERT(!link.stream.closed());
        // One that carried nothing yet is the one that was opened ahead.
        SLUICE_ASSERT(link.exchanges_ > 0 || &link == ahead_);
        link.idle_hook_.unlink();
        --idle_count_;
        pools_.loop_.timers().disarm(link.idle_timer_);
        link.stream.set_owner(user);
        if (&link == ahead_) {
            ahead_ = nullptr;
            link.stood_ready_ = link.stream.open();
            ++counters_.preconnects_used;
            need_new_link();
        } else {
            ++counters_.reuses;
        }
        ++link.exchanges_;
        return &link;
    }
    Link* link = connect();
    if (link == nullptr) return nullptr;
    ++link->exchanges_;
    link->stream.set_owner(user);
    need_new_link();
    return link;
}

// Null: there is no room for one.
Link* Pool::connect() {
    Link* link = pools_.slab_.create(*this);
    if (link == nullptr) return nullptr;
    ++links_;
    ++counters_.connects;
    link->stream.connect(endpoint_->address());
    SLUICE_ASSERT(link->stream.connecting());  // also where that has failed: its error() tells
    return link;
}

void Pool::give_back(Link& link, bool reusable) {
    SLUICE_ASSERT(!link.idle_hook_.linked());
    SLUICE_ASSERT(&link.pool_ == this);
    SLUICE_ASSERT(link.exchanges_ > 0 && &link != ahead_);  // it was leased
    link.stream.set_owner(link);
    const bool usable = reusable && link.stream.open() && !link.spoiled() &&
                        link.stream.unsent() == 0 && pools_.idle_max_.ns > 0;
    if (usable) {
        idle_.push_back(link);
        listen(link);
        return wait_for_request(link);
    }
    // Nothing is opened ahead to where nothing can be reached.
    if (link.stream.connecting())
        demand_.forget();
    else
        look_ahead();
    link.stream.close();
    pools_.loop_.make_ready(link);
}

void Pool::listen(Link& link) {
    if (expects_large_)
        link.stream.receive_once();
    else
        link.stream.start_receiving();
}

void Pool::wait_for_request(Link& link) {
    SLUICE_ASSERT(link.idle_hook_.linked());
    SLUICE_ASSERT(pools_.idle_max_.ns > 0);  // else links are not kept
    SLUICE_ASSERT(idle_count_ < links_);
    ++idle_count_;
    pools_.loop_.timers().arm(link.idle_timer_, pools_.loop_.now() + pools_.idle_max_);
}

void Pool::retire_idle(Link& link) {
    SLUICE_ASSERT(link.idle_hook_.linked());
    SLUICE_ASSERT(idle_count_ > 0);
    if (&link == ahead_) {
        ahead_ = nullptr;
        demand_.forget();
    }
    pools_.loop_.timers().disarm(link.idle_timer_);
    link.idle_hook_.unlink();
    --idle_count_;
    link.stream.close();
    pools_.loop_.make_ready(link);
}

// --- ahead of demand ------------------------------------------------------------------------

Duration Pool::window() const {
    return pools_.idle_max_ / 2;
}

void Pool::need_new_link() {
    if (window().ns == 0) return;
    demand_.note(pools_.loop_.now(), window());
    look_ahead();
}

// Not at once: what the turn has to send to a backend goes first.
void Pool::look_ahead() {
    if (window().ns == 0 || !idle_.empty()) return;
    if (demand_.steady(pools_.loop_.now(), window())) pools_.loop_.make_ready(*this);
}

void Pool::advance() {
    if (window().ns == 0 || !idle_.empty()) return;
    if (!demand_.steady(pools_.loop_.now(), window())) return;
    Link* link = connect();
    if (link == nullptr) return;
    SLUICE_ASSERT(ahead_ == nullptr);  // it would be one of the idle, of which there are none
    ++counters_.preconnects;
    ahead_ = link;
    // Behind those that are known to work.
    idle_.push_front(*link);
    wait_for_request(*link);
}

void Pool::close_idle() {
    while (!idle_.empty())
        retire_idle(idle_.front());
    SLUICE_ASSERT(idle_count_ == 0 && ahead_ == nullptr);
}

// --- Pools ----------------------------------------------------------------------------------

Pools::Pools(io::Loop& loop, Duration idle_max, std::size_t links_max)
    : loop_(loop), idle_max_(idle_max), slab_(links_max) {}

Pool& Pools::of(const std::shared_ptr<const Endpoint>& endpoint) {
    SLUICE_ASSERT(endpoint != nullptr);
    if (endpoint->id >= pools_.size()) pools_.resize(endpoint->id + 1);
    auto& pool = pools_[endpoint->id];
    if (pool == nullptr) pool = std::make_unique<Pool>(*this, endpoint);
    SLUICE_ASSERT(&pool->endpoint() == endpoint.get());
    return *pool;
}

void Pools::drain() {
    idle_max_ = {};
    for (auto& pool : pools_)
        if (pool != nullptr) pool->close_idle();
}

}  // namespace sluice::upstream
