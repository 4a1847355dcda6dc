// Simulation: one seeded world: virtual clock, randomness, events to come, the network, the rings.
//
// Everything that is random comes from one generator and everything that happens later is an event
// with a time and a number, so the same seed gives the same run. One simulation exists at a time;
// it is what the functions of base/clock.h, io/socket.h and io/ring.h act on when they are linked
// from here. Time passes only in turn() of a simulated ring that has nothing else to do.
#pragma once

#include "faults.h"
#include "sluice/base/clock.h"
#include "sluice/base/prng.h"
#include "sluice/io/loop.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace sluice::io {
struct RingCore;
}

namespace sluice::sim {

class Network;

class Simulation {
public:
    Simulation(std::uint64_t seed, const Faults& faults);
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;
    ~Simulation();

    static Simulation& current();

    Prng& prng() { return prng_; }
    const Faults& faults() const { return faults_; }
    Faults& faults() { return faults_; }
    Network& network() { return *network_; }
    // True that often out of a thousand.
    bool happens(unsigned per_mille) { return per_mille > 0 && prng_.chance(per_mille, 1000); }
    Duration random_delay(Duration most);

    // --- time ---
    Instant now() const { return now_; }
    WallTime wall() const;
    // The wall clock is set: it jumps, the monotonic clock does not.
    void set_wall_clock(Duration by) { wall_offset_ = wall_offset_ + by; }
    void after(Duration delay, std::function<void()> event);
    // The process stands still for so long; the rest of the world goes on.
    void pass(Duration time);

    // --- rings ---
    int add(io::RingCore& ring);  // its number, from which its fd() is made
    void remove(io::RingCore& ring);
    io::RingCore* ring(int fd) const;
    // For a ring that has nothing to do: moves time on to the next event or to `deadline`,
    // whichever is first. False: there is another ring whose turn must come before time may pass.
    bool wait(const io::RingCore& ring, Instant deadline);

    // --- driving ---
    // Turns the loops one after the other until it holds. False: it did not within `limit`.
    bool run(std::vector<io::Loop*> loops, const std::function<bool()>& holds,
             Duration limit = Duration::seconds(3600));
    // Called after each turn of each loop in run().
    void on_turn(std::function<void()> check) { check_ = std::move(check); }
    // What happened, folded into one number: the same seed gives the same.
    void note(std::uint64_t what);
    std::uint64_t digest() const { return digest_; }

private:
    struct Event {
        Instant when;
        std::uint64_t number;
        std::function<void()> action;
    };
    static bool later(const Event& a, const Event& b) {
        return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
    struct Seat {
        io::RingCore* ring;
        bool idle;
        Instant deadline;
    };

    void run_first();
    void wake_all();

    Prng prng_;
    Faults faults_;
    Instant now_;
    Duration wall_offset_{};
    std::vector<Event> events_;  // a heap, the earliest first
    std::uint64_t sequence_ = 0;
    std::uint64_t digest_ = 0;
    std::vector<Seat> seats_;
    std::function<void()> check_;
    std::unique_ptr<Network> network_;
};

}  // namespace sluice::sim
