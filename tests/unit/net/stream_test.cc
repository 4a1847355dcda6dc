#include "sluice/net/stream.h"

#include "loopback.h"
#include "sluice/base/limits.h"
#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <thread>

using namespace sluice;
using namespace sluice::test;
using sluice::mem::Slice;

namespace {

// One stream, its owner and a plain peer.
struct StreamRig : Rig {
    explicit StreamRig(std::size_t buffer_bytes = 4096, std::size_t buffers = 1024)
        : Rig(buffer_bytes, buffers), loop(*ring, pool, nodes), owner(*this), stream(loop, owner) {}
    ~StreamRig() { shut(); }

    void join() {
        auto [tested, other] = connected();
        stream.attach(tested.release());
        peer.emplace(std::move(other));
    }
    void shut() {
        stream.close();
        loop_until([&] { return stream.closed(); });
        loop.turn(loop.now());  // the owner hears of it
        CHECK(ring->in_flight() == 0);
        CHECK(nodes.in_use() == 0);
    }

    template <class Condition>
    void loop_until(Condition&& holds) {
        const Instant limit = monotonic_now() + patience;
        while (!holds()) {
            REQUIRE(monotonic_now() < limit);
            loop.turn(loop.now() + Duration::millis(50));
        }
    }

    struct Owner final : io::Actor {
        explicit Owner(StreamRig& r) : rig(r) {}
        void advance() override {
            ++advanced;
            if (echo) rig.stream.send(std::move(rig.stream.received()));
            if (rig.stream.open()) rig.stream.flush();
        }
        void bury() override {}
        StreamRig& rig;
        int advanced = 0;
        bool echo = false;
    };

    mem::NodePool nodes;
    io::Loop loop;
    Owner owner;
    net::Stream stream;
    std::optional<Fd> peer;
};

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("what a stream receives it can send back, byte by byte the same") {
        StreamRig rig;
        rig.join();
        rig.owner.echo = true;
        rig.stream.start_receiving();
        const std::string text = numbered_text(3'000'000);
        std::jthread writer([&] {
            write_all(*rig.peer, text);
            ::shutdown(rig.peer->get(), SHUT_WR);
        });
        std::string got;
        rig.loop_until([&] {
            got += read_now(*rig.peer);
            return got.size() >= text.size();
        });
        CHECK(got == text);
        rig.loop_until([&] { return rig.stream.ended(); });
        CHECK(rig.stream.bytes_received() == text.size());
        CHECK(rig.stream.bytes_sent() == text.size());
        CHECK(rig.stream.error() == 0);
    }

    TEST_CASE("the peer's end is told, and the other direction still works") {
        StreamRig rig;
        rig.join();
        rig.stream.start_receiving();
        write_all(*rig.peer, "question");
        ::shutdown(rig.peer->get(), SHUT_WR);
        rig.loop_until([&] { return rig.stream.ended(); });
        CHECK(rig.stream.received().to_string() == "question");
        rig.stream.send(Slice::of_static("answer"));
        rig.stream.finish_sending();
        rig.loop.make_ready(rig.owner);
        rig.loop_until([&] { return rig.stream.finished_sending(); });
        CHECK(read_all(*rig.peer) == "answer");
        CHECK(rig.stream.unsent() == 0);
    }

    TEST_CASE("what was queued while a send is in flight leaves in order behind it") {
        StreamRig rig;
        rig.join();
        // More than the peer's window and our own send buffer can take together.
        const int window = 64 * 1024;
        ::setsockopt(rig.peer->get(), SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
        std::string expected;
        const std::string big = numbered_text(24'000'000);
        rig.stream.send(Slice::of_static(big));
        expected += big;
        rig.stream.flush();
        rig.loop.turn(rig.loop.now());
        for (int i = 0; i < 200; ++i) {
            rig.stream.send(Slice::of_static("small "));
            expected += "small ";
            rig.stream.flush();
        }
        CHECK(rig.stream.unsent_slices() == 201);
        rig.stream.finish_sending();
        std::string got;
        rig.loop_until([&] {
            got += read_now(*rig.peer);
            return rig.stream.finished_sending();
        });
        CHECK(got + read_all(*rig.peer) == expected);
    }

    TEST_CASE("held receiving stops what comes, and starting again loses nothing") {
        StreamRig rig(256, 64);
        Prng prng(3);
        rig.join();
        std::string sent;
        std::string got;
        const auto take = [&] {
            got += rig.stream.received().to_string();
            rig.stream.received().clear();
        };
        for (int i = 0; i < 1000; ++i) {
            const std::string part = std::to_string(i) + ' ';
            write_all(*rig.peer, part);
            sent += part;
            if (prng.chance(1, 2)) rig.stream.start_receiving();
            if (prng.chance(1, 2)) rig.loop.turn(rig.loop.now());
            if (prng.chance(1, 2)) rig.stream.hold_receiving();
            if (prng.chance(1, 2)) rig.loop.turn(rig.loop.now());
            take();
        }
        rig.stream.hold_receiving();
        rig.loop_until([&] { return rig.ring->in_flight() == 0; });
        take();
        const std::string held = got;
        write_all(*rig.peer, "more");
        sent += "more";
        rig.loop.turn(rig.loop.now());
        take();
        CHECK(got == held);  // nothing is armed: nothing comes
        rig.stream.start_receiving();
        rig.loop_until([&] {
            take();
            return got.size() >= sent.size();
        });
        CHECK(got == sent);
        CHECK(rig.stream.error() == 0);
    }

    TEST_CASE("a stream closes with a send and a receive in flight, and frees all it held") {
        StreamRig rig;
        for (int i = 0; i < 50; ++i) {
            rig.join();
            rig.stream.start_receiving();
            write_all(*rig.peer, "unread");
            const std::string big = numbered_text(4'000'000);
            mem::Chain copied(rig.nodes);
            REQUIRE(copied.append_copy(rig.pool, numbered_text(100'000)));
            rig.stream.send(std::move(copied));
            rig.stream.send(Slice::of_static(big));
            rig.stream.flush();
            if (i % 2 == 0) rig.loop.turn(rig.loop.now());
            rig.shut();
        }
        // What the ring has lent to the kernel, and the buffer that write() keeps.
        CHECK(rig.pool.in_use() <= limits::buffers_provided + 1);
    }

    TEST_CASE("a peer that sends byte by byte does not hold a buffer for each while nobody reads") {
        StreamRig rig(4096, 300);
        rig.join();
        rig.stream.start_receiving();
        const std::string text = numbered_text(2000);
        for (std::size_t i = 0; i < text.size(); ++i) {
            write_all(*rig.peer, text.substr(i, 1));
            rig.loop_until([&] { return rig.stream.bytes_received() == i + 1; });
        }
        CHECK(rig.stream.received().to_string() == text);
        CHECK(rig.pool.in_use() < limits::buffers_provided + 10);
    }

    TEST_CASE("held receiving leaves a peer's end unnoticed, but it can be looked for") {
        StreamRig rig;
        rig.join();
        CHECK(rig.stream.deaf());
        rig.stream.start_receiving();
        CHECK_FALSE(rig.stream.deaf());
        rig.stream.hold_receiving();
        rig.loop_until([&] { return rig.ring->in_flight() == 0; });
        CHECK(rig.stream.deaf());
        CHECK(rig.stream.hangup() == io::Hangup::none);
        rig.peer->close();
        CHECK(rig.stream.hangup() != io::Hangup::none);
        CHECK_FALSE(rig.stream.ended());
    }

    TEST_CASE("closing twice and closing a closed stream do nothing") {
        StreamRig rig;
        rig.stream.close();
        CHECK(rig.stream.closed());
        rig.join();
        rig.stream.start_receiving();
        rig.stream.close();
        rig.stream.close();
        rig.shut();
        rig.stream.close();
        CHECK(rig.stream.closed());
    }

    TEST_CASE("a peer that resets is an error, told once, and the stream closes") {
        StreamRig rig;
        rig.join();
        rig.stream.start_receiving();
        rig.loop.turn(rig.loop.now());
        rig.peer->reset();
        rig.loop_until([&] { return rig.stream.error() != 0; });
        CHECK(rig.stream.error() == ECONNRESET);
        CHECK_FALSE(rig.stream.ended());
    }

    TEST_CASE("sending to a peer that is gone is an error") {
        StreamRig rig;
        rig.join();
        rig.peer->reset();
        rig.stream.send(Slice::of_static("anybody?"));
        rig.stream.flush();
        rig.loop_until([&] { return rig.stream.error() != 0; });
        CHECK((rig.stream.error() == EPIPE || rig.stream.error() == ECONNRESET));
    }

    TEST_CASE("a stream connects, is refused, and can be used anew") {
        StreamRig rig;
        net::Address address;
        {
            const PlainListener listener;
            sockaddr_storage storage{};
            std::memcpy(&storage, &listener.address, sizeof(listener.address));
            address = net::Address(storage, sizeof(listener.address));
            rig.stream.connect(address);
            CHECK(rig.stream.connecting());
            rig.stream.send(Slice::of_static("sent before it is connected"));
            rig.loop_until([&] { return rig.stream.open(); });
            rig.stream.finish_sending();
            rig.stream.flush();
            const Fd accepted = listener.accept();
            rig.loop_until([&] { return rig.stream.finished_sending(); });
            CHECK(read_all(accepted) == "sent before it is connected");
            rig.shut();
        }
        rig.stream.connect(address);
        rig.loop_until([&] { return rig.stream.error() != 0; });
        CHECK(rig.stream.error() == ECONNREFUSED);
        CHECK_FALSE(rig.stream.open());
        rig.shut();
        rig.stream.connect(address);
        rig.stream.close();  // at once
        rig.shut();
    }
}
