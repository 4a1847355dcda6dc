// net::Stream under all faults: relays between scripted clients and scripted echo servers.
//
// Each client says a random text and hears it back through a relay of two streams. At the end it
// has heard exactly its text, or a prefix of it and the connection broke: never anything else.
// Nothing may stay in flight, open or in use.
#include "driver.h"
#include "network.h"
#include "peer.h"
#include "sim_ring.h"
#include "simulation.h"
#include "sluice/io/loop.h"
#include "sluice/io/socket.h"
#include "sluice/net/listener.h"
#include "sluice/net/stream.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::sim {
namespace {

const net::Address front = net::Address::parse("127.0.0.1:8642").value();
const net::Address back = net::Address::parse("127.0.0.1:8081").value();

// What the listener says when no descriptor is left.
constexpr std::string_view turned_away =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n";

std::string random_text(Prng& prng) {
    std::string text(prng.below(std::uint64_t{1} << prng.below(17)) + 1, ' ');
    for (char& c : text)
        c = static_cast<char>(prng.between('!', '~'));
    return text;
}

class EchoServer final : public Peer {
public:
    void on_connected() override {
        if (simulation().prng().chance(1, 4)) read_slowly(500, Duration::millis(1));
    }
    void on_data(std::string_view bytes) override { send(bytes); }
    void on_end() override { finish(); }
};

struct Outcome {
    bool over = false;
    bool whole = false;
    bool left = false;  // before it had heard all
};

class Client final : public Peer {
public:
    Client(std::string text, Outcome& outcome) : text_(std::move(text)), outcome_(outcome) {}

    void on_connected() override {
        Prng& prng = simulation().prng();
        if (prng.chance(1, 4))
            read_slowly(prng.between(1, 2000),
                        Duration::micros(static_cast<std::int64_t>(prng.below(3000))));
        if (prng.chance(1, 10)) return leave_soon();
        say_some();
    }
    void on_refused() override { outcome_.over = true; }
    void on_data(std::string_view bytes) override {
        heard_ += bytes;
        expect(text_.starts_with(heard_) || turned_away.starts_with(heard_),
               "a client heard what it never said");
    }
    void on_end() override {
        outcome_.whole = heard_ == text_;
        outcome_.over = true;
        close();
    }
    void on_reset() override { outcome_.over = true; }

private:
    void say_some() {
        Prng& prng = simulation().prng();
        const std::size_t size = prng.between(1, text_.size() - said_);
        send(std::string_view(text_).substr(said_, size));
        said_ += size;
        if (said_ == text_.size()) return finish();
        after(simulation().random_delay(Duration::millis(5)), [this] { say_some(); });
    }
    void leave_soon() {
        outcome_.left = true;
        after(simulation().random_delay(Duration::millis(20)), [this] {
            outcome_.over = true;
            if (simulation().prng().chance(1, 2))
                reset();
            else
                close();
        });
        say_some();
    }

    std::string text_;
    std::size_t said_ = 0;
    std::string heard_;
    Outcome& outcome_;
};

// Two streams, each sending what the other receives, with bounded queues.
class Relay final : public io::Actor {
public:
    Relay(io::Loop& loop, int fd)
        : loop_(loop),
          down_{net::Stream(loop, *this)},
          up_{net::Stream(loop, *this)},
          connect_deadline_(this, [](void* self) {
              auto& relay = *static_cast<Relay*>(self);
              relay.timed_out_ = true;
              relay.loop_.make_ready(relay);
          }) {
        down_.stream.attach(fd);
        down_.stream.start_receiving();
        up_.stream.connect(back);
        loop_.timers().arm(connect_deadline_, loop_.now() + Duration::seconds(5));
    }

    void advance() override {
        if (up_.stream.open() && connect_deadline_.armed()) {
            loop_.timers().disarm(connect_deadline_);
            up_.stream.start_receiving();
        }
        const bool broken = down_.stream.error() != 0 || up_.stream.error() != 0 || timed_out_;
        if (!broken && down_.stream.open()) {
            carry(down_, up_);
            if (up_.stream.open()) carry(up_, down_);
        }
        if (broken || (down_.stream.finished_sending() && up_.stream.finished_sending())) {
            down_.stream.close();
            up_.stream.close();
        }
        if (!down_.stream.closed() || !up_.stream.closed()) return;
        loop_.timers().disarm(connect_deadline_);
        loop_.retire(*this);
    }
    void bury() override { buried_ = true; }
    bool buried() const { return buried_; }

private:
    static constexpr std::size_t queued_max = 8 * 1024;
    struct Side {
        net::Stream stream;
        bool finishing = false;
    };

    static void carry(Side& from, Side& to) {
        if (!to.finishing) to.stream.send(std::move(from.stream.received()));
        if (from.stream.ended() && !to.finishing) {
            to.finishing = true;
            to.stream.finish_sending();
        }
        if (to.stream.unsent() > queued_max)
            from.stream.hold_receiving();
        else
            from.stream.start_receiving();
        to.stream.flush();
    }

    io::Loop& loop_;
    Side down_;
    Side up_;
    io::Timer connect_deadline_;
    bool timed_out_ = false;
    bool buried_ = false;
};

// A loop with its pool, a listener and the relays it made.
class Box {
public:
    Box(std::size_t buffer_bytes, std::size_t buffers)
        : pool_(buffer_bytes, buffers),
          ring_(io::Ring::create(pool_).value()),
          loop_(*ring_, pool_, nodes_),
          listener_(loop_, open_listener(), this, [](void* self, int fd) {
              auto& box = *static_cast<Box*>(self);
              box.relays_.push_back(std::make_unique<Relay>(box.loop_, fd));
          }) {
        listener_.start();
    }

    io::Loop& loop() { return loop_; }
    void stop() { listener_.stop(); }
    void check() {
        std::erase_if(relays_, [](const auto& relay) { return relay->buried(); });
        const std::size_t lent = Simulation::current().ring(ring_->fd())->lent();
        expect(pool_.in_use() >= lent, "buffers that are lent count as free");
        expect(pool_.in_use() - lent <= nodes_.in_use(), "a buffer is held by nobody");
        expect(ring_->in_flight() <= 4 * relays_.size() + 1, "more in flight than there can be");
    }
    bool empty() const { return listener_.stopped() && relays_.empty(); }
    void check_empty() {
        expect(ring_->in_flight() == 0, "something is still in flight");
        expect(nodes_.in_use() == 0, "a node of a chain is left");
        expect(loop_.timers().armed() == 0, "a timer is left");
    }

private:
    static int open_listener() {
        return io::open_listener(front.raw(), front.size(), {.reuse_port = true}).value();
    }

    mem::BufferPool pool_;
    mem::NodePool nodes_;
    std::unique_ptr<io::Ring> ring_;
    io::Loop loop_;
    std::vector<std::unique_ptr<Relay>> relays_;
    net::Listener listener_;
};

std::uint64_t relay_connections(const Run& run) {
    Simulation simulation(run.seed, run.faults);
    Prng& prng = simulation.prng();
    Network& network = simulation.network();
    network.serve(back, [] { return std::make_unique<EchoServer>(); });
    const std::size_t clients = prng.between(1, 12);
    std::vector<Outcome> outcomes(clients);
    {
        std::vector<std::unique_ptr<Box>> boxes;
        std::vector<io::Loop*> loops;
        const std::size_t count = prng.between(1, 2);
        for (std::size_t i = 0; i < count; ++i) {
            boxes.push_back(
                std::make_unique<Box>(std::size_t{256} << prng.below(5), prng.between(32, 2000)));
            loops.push_back(&boxes.back()->loop());
        }
        simulation.on_turn([&] {
            for (const auto& box : boxes)
                box->check();
        });
        for (Outcome& outcome : outcomes)
            simulation.after(simulation.random_delay(Duration::millis(50)), [&] {
                network.dial(front, std::make_unique<Client>(random_text(prng), outcome));
            });
        expect(simulation.run(loops,
                              [&] {
                                  for (const Outcome& outcome : outcomes)
                                      if (!outcome.over) return false;
                                  return true;
                              }),
               "a client waits for ever");
        for (const auto& box : boxes)
            box->stop();
        expect(simulation.run(loops,
                              [&] {
                                  for (const auto& box : boxes)
                                      if (!box->empty()) return false;
                                  return true;
                              }),
               "a relay does not end");
        for (const auto& box : boxes)
            box->check_empty();
    }
    expect(network.open_descriptors() == 0, "a descriptor is left open");
    return clients;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
    return sluice::sim::drive(argc, argv, "relayed connections", sluice::sim::relay_connections);
}
