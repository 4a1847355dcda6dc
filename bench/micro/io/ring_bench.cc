// What the ring costs on loopback: a turn with nothing to do, a message, and a stream of small
// chunks received and sent on, as the relay does it.
#include "sluice/io/ring.h"

#include "sluice/base/limits.h"
#include "sluice/mem/chain.h"

#include <benchmark/benchmark.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::io {

namespace {

// A pair of connected TCP sockets.
struct Pair {
    Pair() {
        const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        auto* raw = reinterpret_cast<sockaddr*>(&address);
        SLUICE_ASSERT(::bind(listener, raw, size) == 0 && ::listen(listener, 1) == 0);
        SLUICE_ASSERT(::getsockname(listener, raw, &size) == 0);
        near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        SLUICE_ASSERT(::connect(near, raw, size) == 0);
        far = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        SLUICE_ASSERT(far >= 0);
        ::close(listener);
    }
    ~Pair() {
        ::close(near);
        ::close(far);
    }
    int near = -1;
    int far = -1;
};

struct Rig {
    Rig() : ring(Ring::create(pool).value()) {}

    template <class Condition>
    void turn_until(Condition&& holds) {
        while (!holds())
            ring->turn({}, Instant{INT64_MAX});
    }

    mem::BufferPool pool{limits::buffer_bytes, 4096};
    mem::NodePool nodes;
    std::unique_ptr<Ring> ring;
};

void empty_turn(benchmark::State& state) {
    Rig rig;
    for ([[maybe_unused]] auto _ : state)
        rig.ring->turn({}, {});
}
BENCHMARK(empty_turn);

void post_to_another_ring(benchmark::State& state) {
    Rig rig;
    std::uint64_t received = 0;
    rig.ring->on_message(&received,
                         [](void* count, std::uint64_t) { ++*static_cast<std::uint64_t*>(count); });
    std::uint64_t sent = 0;
    Rig other;
    for ([[maybe_unused]] auto _ : state) {
        other.ring->post(rig.ring->fd(), ++sent);
        other.ring->turn({}, {});
        rig.turn_until([&] { return received == sent; });
    }
}
BENCHMARK(post_to_another_ring);

// One relayed stream: the received slice is the sent slice.
struct Lane {
    explicit Lane(Rig& r)
        : rig(r),
          receive(this,
                  [](void* self, Completion&& completion) {
                      auto& lane = *static_cast<Lane*>(self);
                      if (completion.result > 0) lane.queued.append(std::move(completion.slice));
                  }),
          send(this, [](void* self, Completion&& completion) {
              auto& lane = *static_cast<Lane*>(self);
              SLUICE_ASSERT(completion.result > 0);
              lane.queued.consume(static_cast<std::size_t>(completion.result));
          }) {
        rig.ring->receive(receive, in.far);
    }
    ~Lane() {
        rig.ring->cancel(receive);
        rig.turn_until([this] { return !receive.in_flight() && !send.in_flight(); });
    }

    // True once the chunk of this round is on its way out.
    bool forward() {
        if (forwarded || queued.empty()) return forwarded;
        const auto& front = queued.front();
        const iovec part{const_cast<char*>(front.data()), front.size()};
        rig.ring->send(send, out.near, {&part, 1});
        return forwarded = true;
    }

    Rig& rig;
    Pair in;
    Pair out;
    mem::Chain queued{rig.nodes};
    Operation receive;
    Operation send;
    bool forwarded = false;
};

// Time is per round: one chunk of an SSE event on each of so many streams, in and out again, the
// writes and reads of the other sides included.
void relay_a_chunk(benchmark::State& state) {
    Rig rig;
    std::vector<std::unique_ptr<Lane>> lanes;
    for (std::int64_t i = 0; i < state.range(0); ++i)
        lanes.push_back(std::make_unique<Lane>(rig));
    const std::string chunk(240, 'x');
    std::array<char, 4096> sink;
    for ([[maybe_unused]] auto _ : state) {
        for (const auto& lane : lanes) {
            [[maybe_unused]] const auto n = ::send(lane->in.near, chunk.data(), chunk.size(), 0);
        }
        rig.turn_until([&] {
            bool all = true;
            for (const auto& lane : lanes)
                all &= lane->forward();
            return all;
        });
        rig.turn_until([&] {
            bool none = true;
            for (const auto& lane : lanes)
                none &= lane->queued.empty();
            return none;
        });
        for (const auto& lane : lanes) {
            [[maybe_unused]] const auto n = ::recv(lane->out.far, sink.data(), sink.size(), 0);
            lane->forwarded = false;
        }
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(relay_a_chunk)->Arg(1)->Arg(16)->Arg(128);

}  // namespace

}  // namespace sluice::io

int main(int argc, char** argv) {
    if (const auto usable = sluice::io::Ring::probe(); !usable) return 77;
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
