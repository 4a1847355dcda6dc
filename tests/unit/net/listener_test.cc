#include "sluice/net/listener.h"

#include "loopback.h"
#include "sluice/io/socket.h"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::test;

namespace {

struct ListenerRig : Rig {
    ListenerRig()
        : loop(*ring, pool, nodes), listener(loop, open(), this, [](void* self, int fd) {
              static_cast<ListenerRig*>(self)->accepted.emplace_back(fd);
          }) {}
    ~ListenerRig() {
        listener.stop();
        loop_until([&] { return listener.stopped(); });
    }

    int open() {
        address = loopback(0);
        auto* raw = reinterpret_cast<sockaddr*>(&address);
        const auto fd = io::open_listener(raw, sizeof(address), {});
        REQUIRE(fd.ok());
        socklen_t size = sizeof(address);
        REQUIRE(::getsockname(fd.value(), raw, &size) == 0);
        return fd.value();
    }

    template <class Condition>
    void loop_until(Condition&& holds) {
        const Instant limit = monotonic_now() + patience;
        while (!holds()) {
            REQUIRE(monotonic_now() < limit);
            loop.turn(loop.now() + Duration::millis(50));
        }
    }

    mem::NodePool nodes;
    io::Loop loop;
    sockaddr_in address{};
    std::vector<Fd> accepted;
    net::Listener listener;
};

// No descriptor is left, until it goes.
class NoDescriptors {
public:
    NoDescriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const Fd lowest(::dup(0));
        const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest.get()),
                          .rlim_max = before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("a listener hands over every connection") {
        ListenerRig rig;
        rig.listener.start();
        std::vector<Fd> clients;
        for (int i = 0; i < 20; ++i)
            clients.push_back(plain_client(rig.address));
        rig.loop_until([&] { return rig.accepted.size() == clients.size(); });
        CHECK(rig.listener.accepted() == 20);
    }

    TEST_CASE("connections that wait when a listener stops are still taken") {
        ListenerRig rig;
        rig.listener.start();
        rig.loop.turn(rig.loop.now());
        std::vector<Fd> clients;
        for (int i = 0; i < 5; ++i)
            clients.push_back(plain_client(rig.address));
        rig.listener.stop();
        rig.loop_until([&] { return rig.listener.stopped(); });
        CHECK(rig.accepted.size() == 5);
    }

    TEST_CASE("a listener that never started stops") {
        ListenerRig rig;
        rig.listener.stop();
        rig.loop_until([&] { return rig.listener.stopped(); });
        CHECK(rig.accepted.empty());
    }

    TEST_CASE("hazard 22: without descriptors a client is told 503, and accepting resumes") {
        ListenerRig rig;
        const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const Fd second(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const auto* address = reinterpret_cast<const sockaddr*>(&rig.address);
        {
            const NoDescriptors none;  // the kernel looks at the limit when the accept is submitted
            rig.listener.start();
            REQUIRE(::connect(client.get(), address, sizeof(rig.address)) == 0);
            const auto turns = rig.ring->counters().turns;
            rig.loop_until([&] { return rig.listener.paused() == 1; });
            const std::string answer = read_all(client);
            CHECK(answer.starts_with("HTTP/1.1 503 "));
            CHECK(answer.ends_with("\r\n\r\n"));
            CHECK(rig.ring->counters().turns < turns + 10);  // it does not spin
        }
        REQUIRE(::connect(second.get(), address, sizeof(rig.address)) == 0);
        rig.loop_until([&] { return rig.accepted.size() == 1; });
    }

    TEST_CASE("a listener can stop while it pauses for want of descriptors") {
        ListenerRig rig;
        const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const NoDescriptors none;
        rig.listener.start();
        REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&rig.address),
                          sizeof(rig.address)) == 0);
        rig.loop_until([&] { return rig.listener.paused() == 1; });
        rig.listener.stop();
        rig.loop_until([&] { return rig.listener.stopped(); });
    }
}
