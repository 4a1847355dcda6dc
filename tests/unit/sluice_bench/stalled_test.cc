// Stalled clients against a listener that the test answers by hand.
#include "stalled.h"

#include "loopback.h"
#include "sluice/io/socket.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::bench;
using namespace sluice::test;

namespace {

constexpr std::string_view good_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

struct Scene {
    PlainListener listener;
    StalledLoad load{.count = 3, .text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"};
    StalledClients clients{load};
    std::vector<Fd> peers;

    // All of them connected, and their requests read.
    Scene() {
        REQUIRE(clients.open(address()).ok());
        for (std::uint32_t i = 0; i < load.count; ++i)
            peers.push_back(listener.accept());
        // Those that were still connecting send now.
        clients.send();
        for (const Fd& peer : peers) {
            std::string text(load.text.size(), '\0');
            REQUIRE(::recv(peer.get(), text.data(), text.size(), MSG_WAITALL) ==
                    static_cast<std::ptrdiff_t>(text.size()));
            CHECK(text == load.text);
        }
    }

    net::Address address() const {
        sockaddr_storage name{};
        socklen_t size = 0;
        REQUIRE(io::local_name(listener.fd.get(), name, size) == 0);
        return {name, size};
    }

    // Sends until nothing more is taken.
    static std::size_t fill(const Fd& peer) {
        const std::string text(16 * 1024, 'x');
        std::size_t sum = 0;
        while (true) {
            const auto n =
                ::send(peer.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n <= 0) return sum;
            sum += static_cast<std::size_t>(n);
        }
    }

    const StalledCount& end() {
        clients.probe();
        const Instant latest = monotonic_now() + patience;
        while (!clients.settled() && monotonic_now() < latest) {
        }
        clients.count_end();
        return clients.count();
    }
};

}  // namespace

TEST_CASE("stalled clients that nobody answers are open, and not answered") {
    Scene scene;
    scene.clients.count_begin();
    CHECK(scene.clients.count().asked == 3);
    CHECK(scene.clients.count().at_begin == 3);
    const auto& count = scene.end();
    CHECK(count.at_end == 3);
    CHECK(count.answered == 0);
    CHECK(count.refused == 0);
    CHECK(count.unread == 0);
}

TEST_CASE("a peer of stalled clients can send little") {
    Scene scene;
    for (const Fd& peer : scene.peers) {
        write_all(peer, good_head);
        // A kernel with segments of the loopback takes megabytes.
        CHECK(Scene::fill(peer) < 1024 * 1024);
    }
    scene.clients.count_begin();
    const auto& count = scene.end();
    CHECK(count.at_begin == 3);
    CHECK(count.at_end == 3);
    CHECK(count.answered == 3);
    CHECK(count.unread > 0);
    CHECK(count.unread <= 3 * 8192);
}

TEST_CASE("another status than 2xx is a refusal, and the first one is kept") {
    Scene scene;
    write_all(scene.peers[0], "HTTP/1.1 103 Early Hints\r\n\r\n");
    write_all(scene.peers[1], "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n");
    scene.clients.count_begin();
    write_all(scene.peers[2], "no HTTP at all\r\n");
    const auto& count = scene.end();
    CHECK(count.answered == 1);
    CHECK(count.refused == 2);
    CHECK(count.first_refusal == "HTTP/1.1 429 Too Many Requests");
    CHECK(count.at_end == 3);
}

TEST_CASE("one that its gateway gave up is not open at the end, however it was closed") {
    Scene scene;
    for (const Fd& peer : scene.peers) {
        write_all(peer, good_head);
        Scene::fill(peer);
    }
    scene.clients.count_begin();
    CHECK(scene.clients.count().at_begin == 3);
    scene.peers[0].reset();
    // Its FIN waits behind bytes that nobody reads.
    scene.peers[1].close();
    const auto& count = scene.end();
    CHECK(count.at_end == 1);
    CHECK(count.answered == 3);
}

TEST_CASE("stalled clients that find nobody are not open") {
    const StalledLoad load{.count = 2, .text = "GET / HTTP/1.1\r\n\r\n"};
    StalledClients clients(load);
    net::Address address;
    {
        const Scene gone;
        address = gone.address();
    }
    REQUIRE(clients.open(address).ok());
    clients.send();
    clients.count_begin();
    clients.probe();
    CHECK(clients.settled());
    clients.count_end();
    CHECK(clients.count().asked == 2);
    CHECK(clients.count().at_begin == 0);
    CHECK(clients.count().at_end == 0);
}
