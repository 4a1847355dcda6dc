// Links that are opened ahead of demand, on virtual time: when one is, who gets it, and what ends
// the expectation.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "network.h"
#include "peer.h"
#include "simulation.h"
#include "sluice/io/loop.h"
#include "sluice/upstream/pool.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>

using namespace sluice;
using sluice::upstream::Link;
using sluice::upstream::Pool;
using Freshness = sluice::upstream::Pool::Freshness;

namespace {

constexpr Duration idle_max = Duration::seconds(4);
constexpr Duration window = idle_max / 2;

struct Server final : sim::Peer {
    explicit Server(int& count) : open(count) { ++open; }
    void on_data(std::string_view) override {}
    void on_end() override { leave(); }
    void on_reset() override { --open; }
    void leave() {
        --open;
        close();
    }
    int& open;
};

struct User final : io::Actor {
    void advance() override { ++told; }
    void bury() override {}
    int told = 0;
};

struct World {
    explicit World(Duration idle = idle_max, std::size_t links_max = 8)
        : simulation(1, sim::Faults::none()),
          buffers(256, 64),
          ring(io::Ring::create(buffers).value()),
          loop(*ring, buffers, nodes),
          pools(loop, idle, links_max) {
        auto made = std::make_shared<upstream::Endpoint>();  // shared: pools keep it
        made->url = "http://127.0.0.1:9000";
        made->target = net::parse_url(made->url).value();
        endpoint = made;
        serve();
    }
    ~World() {
        pools.drain();
        CHECK(run([&] { return pools.links() == 0; }));
        CHECK(pool().idle() == 0);
        wait(Duration::millis(10));
        CHECK(ring->in_flight() == 0);
        CHECK(loop.timers().armed() == 0);
    }

    void serve() {
        simulation.network().serve(endpoint->target.address, [this] {
            auto peer = std::make_unique<Server>(open);
            last = peer.get();
            return peer;
        });
    }
    void stop_serving() { simulation.network().stop_serving(endpoint->target.address); }

    template <class Holds>
    bool run(Holds&& holds) {
        return simulation.run({&loop}, holds, Duration::seconds(60));
    }
    void wait(Duration time) {
        simulation.run({&loop}, [] { return false; }, time);
    }

    Pool& pool() { return pools.of(endpoint); }
    const upstream::PoolCounters& counters() { return pool().counters(); }
    Link& lease(Freshness freshness = Freshness::any) {
        Link* link = pool().lease(user, freshness);
        REQUIRE(link != nullptr);
        return *link;
    }
    void connected(Link& link) {
        REQUIRE(run([&] { return link.stream.open(); }));
    }
    // A request whose answer ends the link, as llama-server does behind a stream.
    void request() {
        Link& link = lease();
        connected(link);
        pool().give_back(link, false);
    }
    // Such requests until demand is steady: the next one will open a link ahead.
    void make_steady() {
        for (unsigned i = 0; i < upstream::Demand::windows; ++i) {
            request();
            CHECK(counters().preconnects == before);
            wait(window);
        }
    }
    // And one more, so that a link stands ready.
    void make_ready() {
        make_steady();
        request();
        REQUIRE(run([&] { return counters().preconnects == before + 1; }));
        REQUIRE(run([&] { return open == 1; }));
        wait(Duration::millis(1));
        REQUIRE(pool().idle() == 1);
    }

    sim::Simulation simulation;
    mem::BufferPool buffers;
    mem::NodePool nodes;
    std::unique_ptr<io::Ring> ring;
    io::Loop loop;
    upstream::Pools pools;
    std::shared_ptr<const upstream::Endpoint> endpoint;
    User user;
    int open = 0;            // connections, as the server sees them
    Server* last = nullptr;  // the newest
    std::uint64_t before = 0;
};

}  // namespace

TEST_CASE("while demand is steady a link stands ready, and the next request gets it at once") {
    World world;
    world.make_ready();
    Link& link = world.lease();
    CHECK(link.stream.open());
    CHECK(world.counters().preconnects_used == 1);
    CHECK(world.counters().reuses == 0);
    // The server may have closed it just now, as one that had carried a request.
    CHECK(link.reused());
    CHECK(world.pool().idle() == 0);
    // Its place is taken again: behind the turn, not in it.
    CHECK(world.counters().preconnects == 1);
    REQUIRE(world.run([&] { return world.counters().preconnects == 2; }));
    CHECK(world.pool().idle() == 1);
    CHECK(world.pool().links() == 2);
    world.pool().give_back(link, false);
}

TEST_CASE("no more than one stands ready, however many requests there are") {
    World world;
    world.make_ready();
    Link* links[4];
    for (Link*& link : links)
        link = &world.lease();
    world.wait(Duration::millis(100));
    CHECK(world.counters().preconnects == 2);
    CHECK(world.counters().preconnects_used == 1);
    CHECK(world.pool().idle() == 1);
    for (Link* link : links)
        world.pool().give_back(*link, false);
    world.wait(Duration::millis(100));
    CHECK(world.counters().preconnects == 2);
    CHECK(world.pool().links() == 1);
}

TEST_CASE("a request that finds it still connecting waits for that connect") {
    World world;
    world.make_steady();
    Link& first = world.lease();
    REQUIRE(world.run([&] { return world.counters().preconnects == 1; }));
    Link& second = world.lease();
    CHECK(&first != &second);
    CHECK(second.stream.connecting());
    CHECK_FALSE(second.reused());
    CHECK(world.counters().preconnects_used == 1);
    const int told = world.user.told;
    world.connected(second);
    CHECK(world.user.told > told);
    world.pool().give_back(first, false);
    world.pool().give_back(second, false);
}

TEST_CASE("a link that carried a request goes before one that did not") {
    World world;
    world.make_ready();
    Link& used = world.lease(Freshness::fresh);
    world.connected(used);
    world.pool().give_back(used, true);
    REQUIRE(world.pool().idle() == 2);
    Link& again = world.lease();
    CHECK(&again == &used);
    CHECK(world.counters().preconnects_used == 0);
    world.pool().give_back(again, false);
}

TEST_CASE("where links are used again none is opened ahead") {
    World world;
    Link& first = world.lease();
    world.connected(first);
    world.pool().give_back(first, true);
    for (int i = 0; i < 20; ++i) {
        Link& link = world.lease();
        CHECK(&link == &first);
        world.wait(Duration::millis(300));
        world.pool().give_back(link, true);
        world.wait(Duration::millis(300));
    }
    CHECK(world.counters().connects == 1);
    CHECK(world.counters().preconnects == 0);
}

TEST_CASE("requests now and then open none ahead") {
    World world;
    for (int i = 0; i < 10; ++i) {
        world.request();
        world.wait(window * 2);
    }
    CHECK(world.counters().connects == 10);
    CHECK(world.counters().preconnects == 0);
}

TEST_CASE("one that nobody needs leaves after the idle time, and is not replaced") {
    World world;
    world.make_ready();
    world.wait(idle_max + Duration::millis(100));
    CHECK(world.pool().links() == 0);
    CHECK(world.open == 0);
    CHECK(world.counters().preconnects == 1);
    CHECK(world.counters().idle_closed_by_peer == 0);
    // Demand has to be steady anew.
    world.before = 1;
    world.make_steady();
    world.request();
    CHECK(world.run([&] { return world.counters().preconnects == 2; }));
}

TEST_CASE("a server that closes it is not asked to hold another one at once") {
    World world;
    world.make_ready();
    world.last->leave();
    REQUIRE(world.run([&] { return world.pool().links() == 0; }));
    CHECK(world.counters().idle_closed_by_peer == 1);
    world.request();
    world.wait(Duration::millis(10));
    CHECK(world.counters().preconnects == 1);
}

TEST_CASE("a backend that cannot be reached is not called ahead") {
    World world;
    world.make_steady();
    world.stop_serving();
    for (int i = 0; i < 20; ++i) {
        Link& link = world.lease();
        REQUIRE(world.run([&] { return link.stream.receive_error() != 0; }));
        world.pool().give_back(link, false);
        world.wait(Duration::millis(500));
    }
    // The first of them was expected to work; what was opened beside it failed with it.
    CHECK(world.counters().preconnects <= 1);
    CHECK(world.counters().idle_closed_by_peer == 0);
    CHECK(world.pool().links() == 0);
    // When it is back, so is the expectation, in its time.
    world.serve();
    world.before = world.counters().preconnects;
    world.make_steady();
    world.request();
    CHECK(world.run([&] { return world.counters().preconnects == world.before + 1; }));
}

TEST_CASE("a connect ahead that gets no answer ends with the idle time") {
    World world;
    world.make_steady();
    Link& link = world.lease();
    world.connected(link);
    REQUIRE(world.run([&] { return world.counters().preconnects == 1; }));
    world.pool().give_back(link, false);
    world.simulation.faults().connect_silent = 1000;
    Link& taken = world.lease();
    REQUIRE(world.run([&] { return world.counters().preconnects == 2; }));
    world.pool().give_back(taken, false);
    world.wait(idle_max + Duration::millis(100));
    CHECK(world.pool().links() == 0);
    CHECK(world.counters().preconnects == 2);
    world.simulation.faults().connect_silent = 0;
}

TEST_CASE("none is opened while the shard drains") {
    World draining;
    draining.make_ready();
    Link& link = draining.lease();
    draining.pools.drain();
    draining.pool().give_back(link, false);
    draining.wait(Duration::seconds(1));
    CHECK(draining.counters().preconnects == 1);
    CHECK(draining.pool().links() == 0);
}

TEST_CASE("none is opened where no link is kept") {
    World world(Duration{});
    for (int i = 0; i < 20; ++i) {
        world.request();
        world.wait(Duration::millis(500));
    }
    CHECK(world.counters().preconnects == 0);
}

TEST_CASE("a shard that has no room for another link opens none ahead") {
    World world(idle_max, 1);
    world.make_steady();
    Link& link = world.lease();
    world.wait(Duration::millis(10));
    CHECK(world.counters().preconnects == 0);
    world.pool().give_back(link, false);
    world.wait(Duration::millis(10));
}
