#include "sluice/io/ring.h"

#include "loopback.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <deque>
#include <string>
#include <thread>
#include <vector>

using namespace sluice;
using namespace sluice::test;

TEST_SUITE("kernel") {
    TEST_CASE("one accept takes connection after connection, and is told once that it ended") {
        Rig rig;
        const PlainListener listener;
        Recorded accept;
        rig.ring->accept(accept.operation, listener.fd.get());
        std::vector<Fd> clients;
        for (int i = 0; i < 5; ++i) {
            clients.push_back(plain_client(listener.address));
            rig.turn_until([&] { return accept.seen.size() == clients.size(); });
            CHECK(accept.seen.back().more);
            write_all(Fd(accept.last()), "hello");
            CHECK(read_all(clients.back()) == "hello");
        }
        CHECK(rig.ring->in_flight() == 1);
        rig.end(accept);
        CHECK(accept.last() == -ECANCELED);
        CHECK(accept.finals() == 1);
        CHECK(rig.ring->in_flight() == 0);
    }

    TEST_CASE("an accepted descriptor does not block and is closed on exec") {
        Rig rig;
        const PlainListener listener;
        Recorded accept;
        rig.ring->accept(accept.operation, listener.fd.get());
        const Fd client = plain_client(listener.address);
        rig.turn_until([&] { return !accept.seen.empty(); });
        const Fd accepted(accept.last());
        char byte = 0;
        CHECK(::recv(accepted.get(), &byte, 1, 0) == -1);
        CHECK(errno == EAGAIN);
        rig.end(accept);
    }

    TEST_CASE("one receive brings what comes, in order, until the end of the stream") {
        Rig rig;
        auto [tested, peer] = connected();
        Recorded receive;
        rig.ring->receive(receive.operation, tested.get());
        std::string sent;
        for (int i = 0; i < 20; ++i) {
            const std::string part = "part " + std::to_string(i) + '\n';
            write_all(peer, part);
            sent += part;
            rig.turn_until([&] { return receive.text().size() == sent.size(); });
        }
        CHECK(receive.finals() == 0);
        peer.close();
        rig.turn_until([&] { return receive.done(); });
        CHECK(receive.last() == 0);
        CHECK(receive.finals() == 1);
        CHECK(receive.text() == sent);
    }

    TEST_CASE("much data at once is cut into buffers and none of it is lost") {
        Rig rig(512, 4096);
        auto [tested, peer] = connected();
        Recorded receive;
        rig.ring->receive(receive.operation, tested.get());
        const std::string text = numbered_text(1'000'000);
        std::jthread writer([&text, fd = std::move(peer)] { write_all(fd, text); });
        rig.turn_until([&] { return receive.done() || receive.text().size() == text.size(); });
        rig.turn_until([&] { return receive.done(); });
        CHECK(receive.text() == text);
        CHECK(receive.last() == 0);
    }

    TEST_CASE("a gathered send larger than the socket's buffer arrives whole, in order") {
        Rig rig;
        auto [tested, peer] = connected();
        const std::string text = numbered_text(8'000'000);
        std::vector<iovec> parts;
        for (std::size_t at = 0; at < text.size(); at += 125'000)
            parts.push_back({const_cast<char*>(text.data()) + at, 125'000});
        Recorded send;
        rig.ring->send(send.operation, tested.get(), parts);
        parts.clear();  // the vector is copied, only the bytes must stay
        rig.turn();
        REQUIRE_FALSE(send.done());
        std::string got;
        rig.turn_until([&] {
            got += read_now(peer);
            return send.done();
        });
        CHECK(send.last() == static_cast<int>(text.size()));
        CHECK(send.seen.size() == 1);
        tested.close();
        got += read_all(peer);
        CHECK(got == text);
    }

    TEST_CASE("more sends than one turn has room for all leave, each with its own parts") {
        // 100 times 64 parts: the arrays of one turn are full in between.
        Rig rig;
        const std::string text = numbered_text(6400);
        std::vector<std::pair<Fd, Fd>> pairs;
        std::deque<Recorded> sends(100);
        for (Recorded& send : sends) {
            pairs.push_back(connected());
            std::vector<iovec> parts;
            for (std::size_t at = 0; at < text.size(); at += 100)
                parts.push_back({const_cast<char*>(text.data()) + at, 100});
            rig.ring->send(send.operation, pairs.back().first.get(), parts);
        }
        CHECK(rig.ring->counters().extra_submits > 0);
        CHECK(rig.ring->in_flight() == 100);
        rig.turn_until([&] { return rig.ring->in_flight() == 0; });
        for (std::size_t i = 0; i < sends.size(); ++i) {
            CHECK(sends[i].last() == static_cast<int>(text.size()));
            pairs[i].first.close();
            CHECK(read_all(pairs[i].second) == text);
        }
    }

    TEST_CASE("a connection is made, and a refused one says so") {
        Rig rig;
        sockaddr_in address{};
        {
            const PlainListener listener;
            address = listener.address;
            Recorded connect;
            const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
            rig.ring->connect(connect.operation, fd.get(), listener.raw(), sizeof(address));
            rig.turn_until([&] { return connect.done(); });
            CHECK(connect.last() == 0);
        }
        Recorded refused;
        const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        rig.ring->connect(refused.operation, fd.get(), reinterpret_cast<sockaddr*>(&address),
                          sizeof(address));
        rig.turn_until([&] { return refused.done(); });
        CHECK(refused.last() == -ECONNREFUSED);
    }

    TEST_CASE("a turn with nothing to do waits for its deadline") {
        Rig rig;
        const Instant now = monotonic_now();
        const Instant deadline = now + Duration::millis(5);
        rig.ring->turn(now, deadline);
        CHECK(monotonic_now() >= deadline);
    }

    TEST_CASE("an operation can be used anew at once, a thousand times, on ever other sockets") {
        Rig rig;
        Recorded receive;
        for (int i = 0; i < 1000; ++i) {
            auto [tested, peer] = connected();
            rig.ring->receive(receive.operation, tested.get());
            const std::string text = "this is " + std::to_string(i);
            write_all(peer, text);
            rig.turn_until([&] { return receive.text().size() == text.size(); });
            REQUIRE(receive.text() == text);
            if (i % 2 == 0) {
                rig.end(receive);
            } else {
                peer.close();
                rig.turn_until([&] { return receive.done(); });
            }
            REQUIRE(receive.finals() == 1);
            receive.seen.clear();
        }
        CHECK(rig.ring->counters().stale == 0);
        CHECK(rig.ring->in_flight() == 0);
    }
}

namespace {

struct Mailbox {
    static void receive(void* self, std::uint64_t payload) {
        static_cast<Mailbox*>(self)->payloads.push_back(payload);
    }
    bool in_order() const {
        for (std::size_t i = 0; i < payloads.size(); ++i)
            if (payloads[i] != i) return false;
        return true;
    }
    std::vector<std::uint64_t> payloads;
};

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("messages between the rings of two threads arrive, all and in order") {
        constexpr std::size_t count = 5000;
        Rig rig;
        Mailbox mailbox;
        rig.ring->on_message(&mailbox, Mailbox::receive);
        std::jthread other([fd = rig.ring->fd()] {
            Rig sender;
            for (std::uint64_t i = 0; i < count; ++i)
                sender.ring->post(fd, i);
            sender.turn();
        });
        rig.turn_until([&] { return mailbox.payloads.size() >= count; });
        CHECK(mailbox.payloads.size() == count);
        CHECK(mailbox.in_order());
    }

    TEST_CASE("a message wakes a ring that waits without a deadline") {
        Rig rig;
        Mailbox mailbox;
        rig.ring->on_message(&mailbox, Mailbox::receive);
        std::jthread other([fd = rig.ring->fd()] {
            Rig sender;
            sender.ring->post(fd, 0);
            sender.turn();
        });
        while (mailbox.payloads.empty())
            rig.ring->turn(monotonic_now(), Instant{INT64_MAX});
        CHECK(mailbox.in_order());
    }

    TEST_CASE("a message may use all its 56 bits") {
        constexpr std::uint64_t largest = (std::uint64_t{1} << 56) - 1;
        Rig one;
        Rig other;
        Mailbox mailbox;
        other.ring->on_message(&mailbox, Mailbox::receive);
        one.ring->post(other.ring->fd(), largest);
        one.turn();
        other.turn_until([&] { return !mailbox.payloads.empty(); });
        CHECK(mailbox.payloads.front() == largest);
    }
}
