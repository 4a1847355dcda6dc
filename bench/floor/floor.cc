// sluice-floor: a bare relay of bytes between two sockets on the project's own ring: no HTTP, no
// pool, no log. It is what any proxy on these layers pays, so the gateway is measured against it.
//
//     sluice-floor LISTEN UPSTREAM        (host:port or unix:/path each)
//
// One upstream connection a client connection. What one side sent is sent on from the buffer it was
// received in. When either side has ended and all is passed on, both are closed.
#include "sluice/base/limits.h"
#include "sluice/io/loop.h"
#include "sluice/io/socket.h"
#include "sluice/mem/slab.h"
#include "sluice/net/listener.h"
#include "sluice/net/stream.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace {

using namespace sluice;

constexpr std::size_t buffers_count = 16 * 1024;
constexpr std::size_t pairs_max = 20'000;
// A side that does not take what it is sent holds the other back at so many buffers.
constexpr std::size_t unsent_slices_max = 16;

class Relay;

// One client connection and the upstream connection that belongs to it.
class Pair final : public io::Actor {
public:
    Pair(io::Loop& loop, Relay& relay) : loop_(loop), relay_(relay) {}

    void begin(int fd, const net::Address& upstream) {
        client_.attach(fd);
        client_.start_receiving();
        upstream_.connect(upstream);
    }

    void advance() override {
        if (client_.closed() && upstream_.closed()) {
            loop_.retire(*this);
            return;
        }
        if (client_.open()) pass(client_, upstream_);
        if (upstream_.open()) pass(upstream_, client_);
        if (over(client_, upstream_) || over(upstream_, client_)) {
            client_.close();
            upstream_.close();
        }
    }

    void bury() override;

private:
    static void pass(net::Stream& from, net::Stream& to) {
        const bool held_back = to.unsent_slices() >= unsent_slices_max;
        if (!from.received().empty())
            to.send(std::exchange(from.received(), from.received().empty_like()));
        to.flush();
        if (held_back)
            from.hold_receiving();
        else
            from.start_receiving();
    }

    // Nothing more can reach `to` from here.
    static bool over(net::Stream& from, net::Stream& to) {
        if (from.error() != 0) return true;
        return from.ended() && to.unsent() == 0;
    }

    io::Loop& loop_;
    Relay& relay_;
    net::Stream client_{loop_, *this};
    net::Stream upstream_{loop_, *this};
};

class Relay {
public:
    Relay(io::Loop& loop, net::Address upstream)
        : loop_(loop), upstream_(std::move(upstream)), pairs_(pairs_max) {}

    void accept(int fd) {
        Pair* pair = pairs_.create(loop_, *this);
        if (pair == nullptr) return io::close_socket(fd);
        if (!upstream_.is_unix()) io::set_no_delay(fd);
        pair->begin(fd, upstream_);
    }
    void bury(Pair& pair) { pairs_.destroy(pair); }

private:
    io::Loop& loop_;
    net::Address upstream_;
    mem::Slab<Pair> pairs_;
};

void Pair::bury() {
    relay_.bury(*this);
}

int fail(std::string_view message) {
    fmt::print(stderr, "sluice-floor: {}\n", message);
    return 1;
}

int serve(const net::Address& listen, const net::Address& upstream) {
    mem::BufferPool buffers(limits::buffer_bytes, buffers_count);
    mem::NodePool nodes;
    auto ring = io::Ring::create(buffers);
    if (!ring) return fail(ring.error().message);
    io::Loop loop(**ring, buffers, nodes);
    const auto listen_fd = io::open_listener(listen.raw(), listen.size(), {});
    if (!listen_fd) return fail(listen_fd.error().message);

    Relay relay(loop, upstream);
    net::Listener listener(loop, listen_fd.value(), &relay,
                           [](void* self, int fd) { static_cast<Relay*>(self)->accept(fd); });
    listener.start();
    fmt::print("sluice-floor listening on {}\n", listen.to_string());
    std::fflush(stdout);
    // It ends with its process: a signal's default is to end it.
    while (true)
        loop.turn();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return fail("usage: sluice-floor LISTEN UPSTREAM");
    std::signal(SIGPIPE, SIG_IGN);
    const auto listen = net::Address::parse(argv[1]);
    if (!listen) return fail(listen.error().message);
    const auto upstream = net::Address::parse(argv[2]);
    if (!upstream) return fail(upstream.error().message);
    return serve(listen.value(), upstream.value());
}
