// The ring's answers to what goes wrong; the rows of the table of io_uring hazards are named.
#include "loopback.h"
#include "sluice/base/prng.h"
#include "sluice/io/ring.h"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <string>
#include <thread>
#include <vector>

using namespace sluice;
using namespace sluice::test;

namespace {

// Lowers the limit of descriptors to what is open, and puts it back.
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
    TEST_CASE(
        "hazard 3: without a buffer a receive waits, goes on when one is back, loses nothing") {
        Rig rig(64, 4);
        auto [tested, peer] = connected();
        const std::string text = numbered_text(10'000);
        write_all(peer, text);
        peer.close();
        Recorded receive;
        rig.ring->receive(receive.operation, tested.get());
        std::string got;
        rig.turn_until([&] {
            // Held until no buffer is left, then all given back.
            if (rig.pool.available() == 0 && receive.seen.size() == 4) {
                rig.turn();
                got += receive.text();
                receive.seen.clear();
            }
            return receive.done();
        });
        got += receive.text();
        CHECK(got == text);
        CHECK(receive.last() == 0);
        CHECK(rig.ring->counters().starved > 10);
    }

    TEST_CASE("hazard 3: receives that starve together all go on, whoever gives a buffer back") {
        Rig rig(64, 2);
        constexpr std::size_t count = 20;
        std::vector<std::pair<Fd, Fd>> pairs;
        std::deque<Recorded> receives(count);
        for (std::size_t i = 0; i < count; ++i) {
            pairs.push_back(connected());
            write_all(pairs.back().second, "message " + std::to_string(i));
            rig.ring->receive(receives[i].operation, pairs.back().first.get());
        }
        std::vector<std::string> got(count);
        std::size_t complete = 0;
        rig.turn_until([&] {
            for (std::size_t i = 0; i < count; ++i) {
                if (receives[i].seen.empty()) continue;
                got[i] += receives[i].text();
                receives[i].seen.clear();
                if (got[i] == "message " + std::to_string(i)) ++complete;
            }
            return complete == count;
        });
        CHECK(rig.ring->counters().starved > 0);
        CHECK(rig.ring->in_flight() == count);
        for (Recorded& receive : receives)
            rig.ring->cancel(receive.operation);
        rig.turn_until([&] { return rig.ring->in_flight() == 0; });
    }

    TEST_CASE(
        "hazard 3: where buffers are short each has its turn, and a new receive waits for its") {
        Rig rig(64, 16);
        constexpr std::size_t count = 24;
        constexpr std::size_t greedy = 8;  // they begin anew whenever something came
        std::vector<std::pair<Fd, Fd>> pairs;
        std::deque<Recorded> receives(count);
        for (std::size_t i = 0; i < count; ++i) {
            pairs.push_back(connected());
            write_all(pairs.back().second, std::string(40'000, 'x'));
            rig.ring->receive(receives[i].operation, pairs.back().first.get());
        }
        std::vector<std::size_t> got(count);
        for (int turn = 0; turn < 400; ++turn) {
            rig.turn();
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t came = receives[i].text().size();
                got[i] += came;
                if (receives[i].done())
                    rig.ring->receive(receives[i].operation, pairs[i].first.get());
                receives[i].seen.clear();
                if (came > 0 && i < greedy) rig.ring->cancel(receives[i].operation);
            }
        }
        CHECK(rig.ring->counters().starved > 0);
        const auto [least, most] = std::ranges::minmax(got);
        CHECK(least > 0);
        CHECK(most <= 4 * least);
        for (Recorded& receive : receives)
            rig.ring->cancel(receive.operation);
        rig.turn_until([&] { return rig.ring->in_flight() == 0; });
    }

    TEST_CASE("hazard 3: a receive that waits for a buffer can be cancelled") {
        Rig rig(64, 1);
        auto [tested, peer] = connected();
        write_all(peer, std::string(1000, 'x'));
        Recorded receive;
        rig.ring->receive(receive.operation, tested.get());
        rig.turn_until([&] { return rig.ring->counters().starved == 1; });
        REQUIRE(receive.seen.size() == 1);
        rig.ring->cancel(receive.operation);
        rig.ring->cancel(receive.operation);
        CHECK_FALSE(receive.done());
        rig.ring->turn(monotonic_now(), Instant{INT64_MAX});  // does not wait
        CHECK(receive.done());
        CHECK(receive.last() == -ECANCELED);
        CHECK(receive.finals() == 1);
    }

    TEST_CASE("hazard 8: whoever wins a race with cancel, there is one end and no byte is lost") {
        Rig rig;
        Prng prng(8);
        auto [tested, peer] = connected();
        Recorded receive;
        std::string sent;
        std::string got;
        for (int i = 0; i < 2000; ++i) {
            rig.ring->receive(receive.operation, tested.get());
            if (prng.chance(1, 2)) rig.turn();
            const std::string part = std::to_string(i) + ' ';
            const bool before = prng.chance(1, 2);
            if (before) write_all(peer, part);
            if (prng.chance(1, 2)) rig.turn();
            rig.ring->cancel(receive.operation);
            if (!before) write_all(peer, part);
            sent += part;
            rig.turn_until([&] { return receive.done(); });
            REQUIRE(receive.finals() == 1);
            REQUIRE((receive.last() == -ECANCELED || receive.last() > 0));
            got += receive.text();
            receive.seen.clear();
        }
        peer.close();
        rig.ring->receive(receive.operation, tested.get());
        rig.turn_until([&] { return receive.done(); });
        CHECK(got + receive.text() == sent);
        CHECK(rig.ring->counters().stale == 0);
    }

    TEST_CASE("hazard 8: a cancelled send says how much of it left") {
        Rig rig;
        auto [tested, peer] = connected();
        const std::string text = numbered_text(8'000'000);
        const std::vector<iovec> parts{{const_cast<char*>(text.data()), text.size()}};
        Recorded send;
        rig.ring->send(send.operation, tested.get(), parts);
        rig.turn();
        REQUIRE_FALSE(send.done());
        rig.end(send);
        const int sent = send.last();
        CHECK(sent > 0);
        CHECK(sent < static_cast<int>(text.size()));
        tested.close();
        CHECK(read_all(peer) == text.substr(0, static_cast<std::size_t>(sent)));
    }

    TEST_CASE("a connect that gets no answer can be cancelled") {
        Rig rig;
        const PlainListener listener(0);
        std::vector<Fd> queued;
        std::deque<Recorded> connects;
        // A queue of connections that is full makes the kernel drop further ones without an answer.
        for (int i = 0; i < 8; ++i) {
            queued.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
            connects.emplace_back();
            rig.ring->connect(connects.back().operation, queued.back().get(), listener.raw(),
                              sizeof(listener.address));
        }
        rig.turn();
        REQUIRE_FALSE(connects.back().done());
        rig.end(connects.back());
        CHECK(connects.back().last() == -ECANCELED);
        for (Recorded& connect : connects)
            rig.end(connect);
    }

    TEST_CASE("a peer that resets ends a receive with that error, and a send too") {
        Rig rig;
        auto [tested, peer] = connected();
        Recorded receive;
        rig.ring->receive(receive.operation, tested.get());
        rig.turn();
        peer.reset();
        rig.turn_until([&] { return receive.done(); });
        CHECK(receive.last() == -ECONNRESET);
        Recorded send;
        const std::string text = "too late";
        const std::vector<iovec> parts{{const_cast<char*>(text.data()), text.size()}};
        rig.ring->send(send.operation, tested.get(), parts);
        rig.turn_until([&] { return send.done(); });
        CHECK(send.last() == -EPIPE);
    }

    TEST_CASE("hazard 9: a shut down socket completes what is in flight on it") {
        Rig rig;
        auto [tested, peer] = connected();
        Recorded receive;
        rig.ring->receive(receive.operation, tested.get());
        rig.turn();
        ::shutdown(tested.get(), SHUT_RDWR);
        rig.turn_until([&] { return receive.done(); });
        CHECK(receive.last() == 0);
        CHECK(read_all(peer).empty());
    }

    TEST_CASE("hazard 12: more submissions than the queue holds all reach the kernel") {
        Rig rig;
        constexpr std::size_t count = 400;
        std::vector<std::pair<Fd, Fd>> pairs;
        std::deque<Recorded> receives(count);
        for (std::size_t i = 0; i < count; ++i)
            pairs.push_back(connected());
        // Armed, cancelled and armed anew within one turn.
        for (std::size_t i = 0; i < count; ++i) {
            rig.ring->receive(receives[i].operation, pairs[i].first.get());
            rig.ring->cancel(receives[i].operation);
        }
        rig.turn_until([&] { return rig.ring->in_flight() == 0; });
        for (int round = 0; round < 4; ++round) {
            for (std::size_t i = 0; i < count; ++i) {
                rig.ring->receive(receives[i].operation, pairs[i].first.get());
                rig.ring->cancel(receives[i].operation);
            }
            rig.turn_until([&] { return rig.ring->in_flight() == 0; });
        }
        for (const Recorded& receive : receives)
            CHECK(receive.finals() == 5);
    }

    TEST_CASE("hazard 22: without a descriptor an accept ends and says so") {
        Rig rig;
        const PlainListener listener;
        Recorded accept;
        const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        {
            const NoDescriptors none;  // the kernel looks at the limit when the accept is submitted
            rig.ring->accept(accept.operation, listener.fd.get());
            REQUIRE(::connect(client.get(), listener.raw(), sizeof(listener.address)) == 0);
            rig.turn_until([&] { return accept.done(); });
            CHECK(accept.last() == -EMFILE);
            CHECK(accept.seen.size() == 1);
        }
        rig.ring->accept(accept.operation, listener.fd.get());
        rig.turn_until([&] { return accept.seen.size() == 2; });
        const Fd accepted(accept.last());
        rig.end(accept);
    }

    TEST_CASE("no buffer is gone after many connections that ended in every way") {
        Rig rig(256, 512);
        Prng prng(5);
        {
            Recorded receive;
            for (int i = 0; i < 300; ++i) {
                auto [tested, peer] = connected();
                rig.ring->receive(receive.operation, tested.get());
                if (prng.chance(1, 2)) rig.turn();
                write_all(peer, numbered_text(prng.below(5000)));
                if (prng.chance(1, 3))
                    peer.reset();
                else if (prng.chance(1, 2))
                    peer.close();
                if (prng.chance(1, 2)) rig.turn();
                rig.end(receive);
                REQUIRE(receive.finals() == 1);
                receive.seen.clear();
            }
        }
        CHECK(rig.ring->in_flight() == 0);
        rig.ring.reset();
        CHECK(rig.pool.in_use() == 0);
    }
}
