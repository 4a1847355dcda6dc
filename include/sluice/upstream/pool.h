// Pool: the connections of one shard to one endpoint; Link: one of them.
//
// A link is leased to one exchange at a time, which then owns its stream's events. Idle links watch
// themselves: a server that closes one (llama-server does after 5 s, and after 100 requests) is
// noticed at once, and idle time stays below the server's own. Share-nothing: no shard sees another
// one's links.
//
// While demand for new links is steady (see demand.h; llama-server ends each one behind a streamed
// answer) one is opened ahead, so that a request does not pay for the connect. One and no more: a
// link that waits keeps one of llama-server's few HTTP threads, which are as many as its slots and
// two. It is opened behind what the turn sends, falls to the idle time when nobody comes, and one
// that could not connect or was not used ends the expectation: nothing is opened ahead until demand
// has been steady anew.
#pragma once

#include "sluice/http/parser.h"
#include "sluice/io/loop.h"
#include "sluice/mem/slab.h"
#include "sluice/net/stream.h"
#include "sluice/upstream/demand.h"
#include "sluice/upstream/endpoint.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace sluice::upstream {

class Pool;
class Pools;

class Link final : public io::Actor {
public:
    explicit Link(Pool& pool);
    ~Link() = default;

    net::Stream stream;
    http::Parser parser{http::Parser::Side::response};
    // It stood idle before: a failure without a byte of answer may be the keep-alive race.
    bool reused() const { return exchanges_ > 1 || stood_ready_; }
    const Endpoint& endpoint() const;

    void advance() override;  // idle or closing: nobody holds the lease
    void bury() override;

private:
    friend class Pool;
    bool spoiled() const;

    Pool& pool_;
    io::Timer idle_timer_;
    ListHook idle_hook_;
    std::uint32_t exchanges_ = 0;
    bool stood_ready_ = false;  // opened ahead, and connected when it was leased
};

struct PoolCounters {
    std::uint64_t connects = 0;
    std::uint64_t reuses = 0;
    std::uint64_t idle_closed_by_peer = 0;
    std::uint64_t preconnects = 0;  // of the connects: those that were made ahead
    std::uint64_t preconnects_used = 0;
};

class Pool final : public io::Actor {
public:
    // Shared: catalogs come and go, and the endpoint's links outlive those that name it.
    Pool(Pools& pools, std::shared_ptr<const Endpoint> endpoint);
    ~Pool();  // asserts that no link is left

    const Endpoint& endpoint() const { return *endpoint_; }

    // sound: one that stood idle is asked for a sign of its end first, where it must not fail.
    enum class Freshness : std::uint8_t { any, sound, fresh };
    // A link whose events go to `user`: an idle one, or one that begins to connect. Null: the
    // shard has no room for another link.
    Link* lease(io::Actor& user, Freshness freshness);
    // The exchange is done with it. `reusable`: it stands between two messages.
    void give_back(Link& link, bool reusable);
    // Whether the last answer was too large to be received into buffers: then so may be the next,
    // and only its head should be.
    bool expects_large() const { return expects_large_; }
    void expect_large(bool large) { expects_large_ = large; }
    // The server refuses requests for what the gateway adds to them.
    bool takes_additions() const { return takes_additions_; }
    void add_nothing() { takes_additions_ = false; }
    // Closes all idle links.
    void close_idle();

    void advance() override;  // opens a link ahead, where that is due
    void bury() override {}

    // Those that wait for a request, one that was opened ahead among them.
    std::size_t idle() const { return idle_count_; }
    std::size_t links() const { return links_; }
    const PoolCounters& counters() const { return counters_; }

private:
    friend class Link;
    using Idle = List<Link, &Link::idle_hook_>;

    Duration window() const;
    Link* connect();
    void listen(Link& link);
    void wait_for_request(Link& link);
    void need_new_link();
    void look_ahead();
    void retire_idle(Link& link);

    Pools& pools_;
    std::shared_ptr<const Endpoint> endpoint_;  // shared with catalogs
    Idle idle_;                                 // most recently used last
    Link* ahead_ = nullptr;                     // one of the idle: opened ahead, perhaps connecting
    Demand demand_;
    std::size_t idle_count_ = 0;
    std::size_t links_ = 0;
    PoolCounters counters_;
    bool expects_large_ = false;
    bool takes_additions_ = true;
};

// All pools of a shard.
class Pools {
public:
    Pools(io::Loop& loop, Duration idle_max, std::size_t links_max);

    Pool& of(const std::shared_ptr<const Endpoint>& endpoint);
    // Closes all idle links, and from now on every link that is given back.
    void drain();
    std::size_t links() const { return slab_.in_use(); }
    // f(const Pool&) for each.
    template <class F>
    void for_each(F&& f) const {
        for (const auto& pool : pools_)
            if (pool != nullptr) f(std::as_const(*pool));
    }

private:
    friend class Pool;
    friend class Link;
    io::Loop& loop_;
    Duration idle_max_;  // zero: links are not kept
    mem::Slab<Link> slab_;
    std::vector<std::unique_ptr<Pool>> pools_;  // by endpoint id
};

}  // namespace sluice::upstream
