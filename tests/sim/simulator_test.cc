// The simulator itself: that it keeps the ring's contract, and that a seed says it all.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "network.h"
#include "peer.h"
#include "simulation.h"
#include "sluice/io/loop.h"
#include "sluice/io/socket.h"
#include "sluice/net/stream.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace sluice;

namespace {

const net::Address somewhere = net::Address::parse("127.0.0.1:9000").value();

struct Recorded {
    Recorded()
        : operation(this, [](void* self, io::Completion&& completion) {
              static_cast<Recorded*>(self)->seen.push_back(std::move(completion));
          }) {}
    bool done() const { return !operation.in_flight(); }
    std::string text() const {
        std::string text;
        for (const auto& completion : seen)
            text += completion.slice.text();
        return text;
    }
    io::Operation operation;
    std::vector<io::Completion> seen;
};

struct World {
    explicit World(std::uint64_t seed, const sim::Faults& faults = {}, std::size_t buffers = 64)
        : simulation(seed, faults),
          pool(256, buffers),
          ring(io::Ring::create(pool).value().release()),
          loop(*ring, pool, nodes) {}

    template <class Holds>
    bool run(Holds&& holds) {
        return simulation.run({&loop}, holds, Duration::seconds(60));
    }
    sim::Simulation simulation;
    mem::BufferPool pool;
    mem::NodePool nodes;
    std::unique_ptr<io::Ring> ring;
    io::Loop loop;
};

// Says a text, then finishes; keeps what it hears.
struct Talker final : sim::Peer {
    Talker(std::string t, std::string& h) : text(std::move(t)), heard(h) {}
    void on_connected() override {
        send(text);
        finish();
    }
    void on_data(std::string_view bytes) override { heard += bytes; }
    std::string text;
    std::string& heard;
};

int connect(World& world) {
    const int fd = io::open_stream(AF_INET);
    Recorded connect;
    world.ring->connect(connect.operation, fd, somewhere.raw(), somewhere.size());
    REQUIRE(world.run([&] { return connect.done(); }));
    REQUIRE(connect.seen.back().result == 0);
    return fd;
}

// What one run did, folded into a number.
std::uint64_t digest_of_a_run(std::uint64_t seed) {
    World world(seed, sim::Faults::heavy());
    world.simulation.faults().out_of_descriptors = 0;
    std::string heard;
    const std::string text(10'000, 'x');
    world.simulation.network().serve(somewhere,
                                     [&] { return std::make_unique<Talker>(text, heard); });
    const int fd = io::open_stream(AF_INET);
    Recorded connect;
    world.ring->connect(connect.operation, fd, somewhere.raw(), somewhere.size());
    world.run([&] { return connect.done(); });
    world.ring->cancel(connect.operation);
    world.run([&] { return connect.done(); });
    if (connect.seen.back().result == 0) {
        Recorded receive;
        world.ring->receive(receive.operation, fd);
        world.run([&] {
            receive.seen.resize(0);
            return receive.done();
        });
    }
    io::close_socket(fd);
    return world.simulation.digest();
}

}  // namespace

TEST_CASE("the same seed is the same run, another seed another one") {
    std::vector<std::uint64_t> digests;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        digests.push_back(digest_of_a_run(seed));
        CHECK(digest_of_a_run(seed) == digests.back());
    }
    std::sort(digests.begin(), digests.end());
    CHECK(std::unique(digests.begin(), digests.end()) == digests.end());
}

TEST_CASE("a turn with nothing to do moves the clock to its deadline, not further") {
    World world(1);
    const Instant before = monotonic_now();
    world.loop.turn(before + Duration::seconds(5));
    CHECK(monotonic_now() == before + Duration::seconds(5));
    CHECK(wall_now().us > 0);
}

TEST_CASE("a connection to nobody is refused; one that gets no answer can be cancelled") {
    World world(2);
    const int fd = io::open_stream(AF_INET);
    {
        Recorded connect;
        world.ring->connect(connect.operation, fd, somewhere.raw(), somewhere.size());
        REQUIRE(world.run([&] { return connect.done(); }));
        CHECK(connect.seen.back().result == -ECONNREFUSED);
    }
    io::close_socket(fd);
    world.simulation.faults().connect_silent = 1000;
    const int silent = io::open_stream(AF_INET);
    {
        Recorded connect;
        world.ring->connect(connect.operation, silent, somewhere.raw(), somewhere.size());
        CHECK_FALSE(world.run([&] { return connect.done(); }));
        world.ring->cancel(connect.operation);
        REQUIRE(world.run([&] { return connect.done(); }));
        CHECK(connect.seen.back().result == -ECANCELED);
    }
    io::close_socket(silent);
}

TEST_CASE("every byte arrives once and in order, whatever the kernel and the pool do") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        sim::Faults faults = sim::Faults::heavy();
        faults.connection_lost = faults.connect_refused = faults.connect_silent = 0;
        faults.out_of_descriptors = 0;
        World world(seed, faults, 4);
        std::string text;
        for (int i = 0; i < 2000; ++i)
            text += std::to_string(i) + ' ';
        std::string heard;
        world.simulation.network().serve(somewhere,
                                         [&] { return std::make_unique<Talker>(text, heard); });
        const int fd = connect(world);
        Recorded receive;
        Recorded send;
        std::string got;
        std::size_t sent = 0;
        world.ring->receive(receive.operation, fd);
        REQUIRE(world.run([&] {
            got += receive.text();
            if (!receive.seen.empty() && receive.seen.back().result == 0) got += "|end";
            receive.seen.clear();
            if (send.done() && !send.seen.empty()) {
                REQUIRE(send.seen.back().result > 0);
                sent += static_cast<std::size_t>(send.seen.back().result);
                send.seen.clear();
            }
            if (send.done() && sent < text.size()) {
                const iovec part{text.data() + sent, text.size() - sent};
                world.ring->send(send.operation, fd, {&part, 1});
            }
            return receive.done() && sent == text.size();
        }));
        CHECK(got == text + "|end");
        io::close_socket(fd);
        world.run([&] { return heard.size() == text.size(); });
        CHECK(heard == text);
        CHECK(world.ring->counters().starved > 0);
    }
}

TEST_CASE("a cancelled receive ends once, with or without last bytes, and loses none") {
    int with_bytes = 0;
    int without = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        sim::Faults faults;
        faults.target_wins = 500;
        faults.late_completions = 300;
        World world(seed, faults);
        std::string heard;
        world.simulation.network().serve(
            somewhere, [&] { return std::make_unique<Talker>("last words", heard); });
        const int fd = connect(world);
        Recorded receive;
        world.ring->receive(receive.operation, fd);
        if (seed % 2 == 0) world.loop.turn(monotonic_now() + Duration::micros(100));
        world.ring->cancel(receive.operation);
        world.ring->cancel(receive.operation);
        REQUIRE(world.run([&] { return receive.done(); }));
        int finals = 0;
        for (const auto& completion : receive.seen)
            finals += completion.more ? 0 : 1;
        CHECK(finals == 1);
        std::string got = receive.text();
        ++(got.empty() ? without : with_bytes);
        receive.seen.clear();
        world.ring->receive(receive.operation, fd);
        REQUIRE(world.run([&] { return receive.done(); }));
        CHECK(got + receive.text() == "last words");
        receive.seen.clear();
        io::close_socket(fd);
    }
    CHECK(with_bytes > 10);
    CHECK(without > 10);
}

TEST_CASE("closing with unread bytes resets, closing without finishes") {
    struct Watcher final : sim::Peer {
        explicit Watcher(std::string& l) : log(l) {}
        void on_connected() override { send("hello"); }
        void on_data(std::string_view) override { log += "data "; }
        void on_end() override { log += "end"; }
        void on_reset() override { log += "reset"; }
        std::string& log;
    };
    for (const bool read : {true, false}) {
        World world(3);
        std::string log;
        world.simulation.network().serve(somewhere, [&] { return std::make_unique<Watcher>(log); });
        const int fd = connect(world);
        world.run([] { return false; });
        if (read) {
            Recorded receive;
            world.ring->receive(receive.operation, fd);
            world.run([&] { return !receive.seen.empty(); });
            world.ring->cancel(receive.operation);
            world.run([&] { return receive.done(); });
        }
        io::close_socket(fd);
        world.run([] { return false; });
        CHECK(log == (read ? "end" : "reset"));
    }
}

TEST_CASE("a peer that does not read stops what we send") {
    struct Deaf final : sim::Peer {
        void on_connected() override { read_slowly(0, {}); }
        void on_data(std::string_view) override { CHECK(false); }
    };
    World world(4);
    world.simulation.network().serve(somewhere, [] { return std::make_unique<Deaf>(); });
    const int fd = connect(world);
    const std::string text(2'000'000, 'x');
    const iovec part{const_cast<char*>(text.data()), text.size()};
    Recorded send;
    world.ring->send(send.operation, fd, {&part, 1});
    CHECK_FALSE(world.run([&] { return send.done(); }));
    world.ring->cancel(send.operation);
    REQUIRE(world.run([&] { return send.done(); }));
    CHECK(send.seen.back().result > 0);
    CHECK(send.seen.back().result < 1'000'000);
    io::close_socket(fd);
}

TEST_CASE("messages between two simulated rings arrive in order, and time waits for both") {
    sim::Simulation simulation(5, sim::Faults::heavy());
    mem::BufferPool pool(256, 1000);
    mem::NodePool nodes;
    const auto one = io::Ring::create(pool).value();
    const auto two = io::Ring::create(pool).value();
    io::Loop first(*one, pool, nodes);
    io::Loop second(*two, pool, nodes);
    std::vector<std::uint64_t> got;
    two->on_message(&got, [](void* self, std::uint64_t payload) {
        static_cast<std::vector<std::uint64_t>*>(self)->push_back(payload);
    });
    std::uint64_t next = 0;
    const Instant start = monotonic_now();
    REQUIRE(simulation.run({&first, &second}, [&] {
        for (int i = 0; i < 3 && next < 1000; ++i)
            one->post(two->fd(), next++);
        return got.size() == 1000;
    }));
    for (std::uint64_t i = 0; i < got.size(); ++i)
        REQUIRE(got[i] == i);
    CHECK(monotonic_now() < start + Duration::seconds(3000));
}
