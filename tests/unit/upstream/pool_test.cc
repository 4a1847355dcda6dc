#include "sluice/upstream/pool.h"

#include "loop_rig.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <utility>

using namespace sluice;
using namespace sluice::test;
using sluice::upstream::Link;
using sluice::upstream::Pool;
using sluice::upstream::Pools;
using Freshness = sluice::upstream::Pool::Freshness;

namespace {

struct User final : io::Actor {
    void advance() override {
        ++told;
        if (on_advance) std::exchange(on_advance, nullptr)();
    }
    void bury() override {}
    std::function<void()> on_advance;
    int told = 0;
};

struct PoolRig : LoopRig {
    explicit PoolRig(Duration idle_max = patience, std::size_t links_max = 8)
        : server(*this), pools(loop, idle_max, links_max), endpoint(endpoint_of(server.url())) {}
    ~PoolRig() {
        pools.drain();
        loop_until([&] { return pools.links() == 0; });
        CHECK(pool().links() == 0);
        CHECK(pool().idle() == 0);
        settle();
        CHECK(ring->in_flight() == 0);
        CHECK(loop.timers().armed() == 0);
    }

    Pool& pool() { return pools.of(endpoint); }
    Link& lease(Freshness freshness = Freshness::any) {
        Link* link = pool().lease(user, freshness);
        REQUIRE(link != nullptr);
        return *link;
    }
    // A link that is connected, as both sides see it, and listens.
    Link& connected_link() {
        const std::size_t before = server.connections.size();
        Link& link = lease(Freshness::fresh);
        loop_until([&] { return link.stream.open() && server.connections.size() > before; });
        link.stream.start_receiving();
        return link;
    }

    ScriptedServer server;
    Pools pools;
    std::shared_ptr<const upstream::Endpoint> endpoint;
    User user;
};

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("a link that is given back is leased again") {
        PoolRig rig;
        Link& link = rig.connected_link();
        CHECK_FALSE(link.reused());
        CHECK(&link.endpoint() == rig.endpoint.get());
        CHECK(rig.pool().idle() == 0);
        rig.pool().give_back(link, true);
        CHECK(rig.pool().idle() == 1);
        Link& again = rig.lease();
        CHECK(&again == &link);
        CHECK(again.reused());
        CHECK(again.stream.open());
        CHECK(rig.pool().idle() == 0);
        CHECK(rig.pool().links() == 1);
        CHECK(rig.pool().counters().connects == 1);
        CHECK(rig.pool().counters().reuses == 1);
        // Its events go to the user now.
        const int before = rig.user.told;
        write_all(rig.server.connections[0]->fd, "answer");
        rig.loop_until([&] { return !again.stream.received().empty(); });
        CHECK(rig.user.told > before);
        rig.pool().give_back(again, false);
    }

    TEST_CASE("the link that was used last is leased first") {
        PoolRig rig;
        Link& first = rig.connected_link();
        Link& second = rig.connected_link();
        rig.pool().give_back(second, true);
        rig.pool().give_back(first, true);
        CHECK(&rig.lease() == &first);
        CHECK(&rig.lease() == &second);
        CHECK(rig.pool().idle() == 0);
        rig.pool().give_back(first, false);
        rig.pool().give_back(second, false);
    }

    TEST_CASE("a fresh link is asked for past idle ones") {
        PoolRig rig;
        Link& link = rig.connected_link();
        rig.pool().give_back(link, true);
        Link& fresh = rig.lease(Freshness::fresh);
        CHECK(&fresh != &link);
        CHECK_FALSE(fresh.reused());
        CHECK(rig.pool().idle() == 1);
        CHECK(rig.pool().links() == 2);
        rig.pool().give_back(fresh, false);
    }

    TEST_CASE("fault 66: an idle link that the server closes is gone at once") {
        for (const bool by_reset : {false, true}) {
            PoolRig rig;
            rig.pool().give_back(rig.connected_link(), true);
            auto& peer = rig.server.connections[0]->fd;
            by_reset ? peer.reset() : peer.close();
            rig.loop_until([&] { return rig.pools.links() == 0; });
            CHECK(rig.pool().idle() == 0);
            CHECK(rig.pool().counters().idle_closed_by_peer == 1);
            CHECK(rig.user.told <= 1);  // of its connecting, and of nothing behind it
        }
    }

    TEST_CASE("fault 72: an idle link on which something comes is never used again") {
        PoolRig rig;
        rig.pool().give_back(rig.connected_link(), true);
        write_all(rig.server.connections[0]->fd, "HTTP/1.1 200 OK\r\n\r\n");
        rig.loop_until([&] { return rig.pools.links() == 0; });
        CHECK(rig.pool().counters().idle_closed_by_peer == 1);
    }

    TEST_CASE("a link that is found closed in this very turn is not leased") {
        PoolRig rig;
        Link& good = rig.connected_link();
        Link& bad = rig.connected_link();
        rig.pool().give_back(good, true);
        rig.pool().give_back(bad, true);
        rig.settle();
        rig.server.connections[1]->fd.close();
        Link* leased = nullptr;
        bool looked = false;
        // The user is ready before the link hears of its end, in the same turn.
        rig.user.on_advance = [&] {
            looked = true;
            CHECK(bad.stream.ended());
            leased = rig.pool().lease(rig.user, Freshness::any);
        };
        rig.loop.make_ready(rig.user);
        rig.loop.turn(rig.loop.now());
        REQUIRE(looked);
        CHECK(leased == &good);
        rig.pool().give_back(good, false);
        rig.loop_until([&] { return rig.pools.links() == 0; });
    }

    TEST_CASE("a link is kept only between two whole messages") {
        PoolRig rig;
        Link& unread = rig.connected_link();
        write_all(rig.server.connections[0]->fd, "more");
        rig.loop_until([&] { return !unread.stream.received().empty(); });
        rig.pool().give_back(unread, true);
        CHECK(rig.pool().idle() == 0);

        Link& unsent = rig.connected_link();
        unsent.stream.send(mem::Slice::of_static("request"));
        rig.pool().give_back(unsent, true);
        CHECK(rig.pool().idle() == 0);

        Link& ended = rig.connected_link();
        rig.server.connections[2]->fd.close();
        rig.loop_until([&] { return ended.stream.ended(); });
        rig.pool().give_back(ended, true);
        CHECK(rig.pool().idle() == 0);

        Link& broken = rig.connected_link();
        rig.pool().give_back(broken, false);
        CHECK(rig.pool().idle() == 0);
        rig.loop_until([&] { return rig.pools.links() == 0; });
        for (const auto& connection : rig.server.connections)
            if (connection->fd.get() >= 0) rig.loop_until([&] { return connection->ended; });
    }

    TEST_CASE("a link that is given back while it connects is closed") {
        PoolRig rig;
        rig.pool().give_back(rig.lease(), true);
        CHECK(rig.pool().idle() == 0);
        rig.loop_until([&] { return rig.pools.links() == 0; });
    }

    TEST_CASE("fault 63: a link that cannot connect tells its user") {
        PoolRig rig;
        rig.server.stop_listening();
        Link& link = rig.lease();
        rig.loop_until([&] { return link.stream.receive_error() != 0; });
        CHECK(link.stream.receive_error() == ECONNREFUSED);
        CHECK(link.stream.connecting());
        rig.pool().give_back(link, false);
    }

    TEST_CASE("an idle link is closed before the server would") {
        PoolRig rig(Duration::millis(20));
        rig.pool().give_back(rig.connected_link(), true);
        CHECK(rig.pool().idle() == 1);
        rig.loop_until([&] { return rig.pools.links() == 0; });
        CHECK(rig.pool().counters().idle_closed_by_peer == 0);
        rig.loop_until([&] { return rig.server.connections[0]->ended; });
    }

    TEST_CASE("a lease stops the idle time, and giving back starts it anew") {
        PoolRig rig(Duration::millis(20));
        Link& link = rig.connected_link();
        rig.pool().give_back(link, true);
        CHECK(&rig.lease() == &link);
        CHECK(rig.loop.timers().armed() == 0);
        rig.pool().give_back(link, true);
        CHECK(rig.loop.timers().armed() == 1);
        rig.loop_until([&] { return rig.pools.links() == 0; });
    }

    TEST_CASE("an idle time of zero keeps no link") {
        PoolRig rig(Duration{});
        rig.pool().give_back(rig.connected_link(), true);
        CHECK(rig.pool().idle() == 0);
        rig.loop_until([&] { return rig.pools.links() == 0; });
    }

    TEST_CASE("a shard has so many links and no more") {
        PoolRig rig(patience, 2);
        Link& first = rig.connected_link();
        Link& second = rig.connected_link();
        CHECK(rig.pool().lease(rig.user, Freshness::any) == nullptr);
        // One that is given back can be leased, though there is no room for another one.
        rig.pool().give_back(first, true);
        CHECK(rig.pool().lease(rig.user, Freshness::any) == &first);
        rig.pool().give_back(first, false);
        rig.loop_until([&] { return rig.pools.links() == 1; });
        rig.pool().give_back(rig.lease(), false);
        rig.pool().give_back(second, false);
    }

    TEST_CASE("a drained pool closes what is idle, and later what is given back") {
        PoolRig rig;
        Link& leased = rig.connected_link();
        rig.pool().give_back(rig.connected_link(), true);
        rig.pools.drain();
        CHECK(rig.pool().idle() == 0);
        rig.loop_until([&] { return rig.pools.links() == 1; });
        rig.pool().give_back(leased, true);
        CHECK(rig.pool().idle() == 0);
    }

    TEST_CASE("each endpoint has its own links") {
        PoolRig rig;
        ScriptedServer other(rig);
        const auto second = endpoint_of(other.url(), 5);
        CHECK(&rig.pools.of(second) != &rig.pool());
        rig.pool().give_back(rig.connected_link(), true);
        Link* link = rig.pools.of(second).lease(rig.user, Freshness::any);
        REQUIRE(link != nullptr);
        CHECK_FALSE(link->reused());
        std::size_t seen = 0;
        rig.pools.for_each([&](const Pool& pool) { seen += pool.links(); });
        CHECK(seen == 2);
        rig.pools.of(second).give_back(*link, false);
        rig.loop_until([&] { return rig.pools.links() == 1; });
    }
}
