#include "simulation.h"

#include "network.h"
#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::sim {
namespace {

Simulation* the_simulation = nullptr;

// Turns without time passing: actors that keep each other busy for ever.
constexpr int idle_rounds_max = 100'000;

// Descriptors of rings: told from those of sockets, and not of the kernel.
constexpr int first_ring_fd = 1'000'000;

constexpr std::int64_t wall_start_us = 1'750'000'000'000'000;  // a day in June 2025

}  // namespace

Simulation::Simulation(std::uint64_t seed, const Faults& faults)
    : prng_(seed),
      faults_(faults),
      now_{static_cast<std::int64_t>(prng_.below(1'000'000'000'000'000))},
      network_(std::make_unique<Network>(*this)) {
    SLUICE_ASSERT(the_simulation == nullptr);
    the_simulation = this;
}

Simulation::~Simulation() {
    for (const Seat& seat : seats_)
        SLUICE_ASSERT(seat.ring == nullptr);
    events_.clear();
    network_.reset();
    the_simulation = nullptr;
}

Simulation& Simulation::current() {
    SLUICE_ASSERT(the_simulation != nullptr);
    return *the_simulation;
}

Duration Simulation::random_delay(Duration most) {
    return {static_cast<std::int64_t>(prng_.below(static_cast<std::uint64_t>(most.ns) + 1))};
}

// --- time -----------------------------------------------------------------------------------

WallTime Simulation::wall() const {
    return {wall_start_us + (now_.ns + wall_offset_.ns) / 1'000};
}

void Simulation::after(Duration delay, std::function<void()> event) {
    SLUICE_ASSERT(delay.ns >= 0);
    events_.push_back({now_ + delay, sequence_++, std::move(event)});
    std::push_heap(events_.begin(), events_.end(), later);
}

void Simulation::run_first() {
    SLUICE_ASSERT(!events_.empty());
    std::pop_heap(events_.begin(), events_.end(), later);
    const Event event = std::move(events_.back());
    events_.pop_back();
    now_ = std::max(now_, event.when);
    event.action();
}

void Simulation::pass(Duration time) {
    const Instant until = now_ + time;
    while (!events_.empty() && events_.front().when <= until) {
        run_first();
        wake_all();
    }
    now_ = until;
}

void Simulation::note(std::uint64_t what) {
    digest_ = (digest_ ^ what ^ static_cast<std::uint64_t>(now_.ns)) * 0x9e3779b97f4a7c15;
    digest_ ^= digest_ >> 29;
}

// --- rings ----------------------------------------------------------------------------------

int Simulation::add(io::RingCore& ring) {
    seats_.push_back({&ring, false, {}});
    return first_ring_fd + static_cast<int>(seats_.size()) - 1;
}

void Simulation::remove(io::RingCore& ring) {
    for (Seat& seat : seats_)
        if (seat.ring == &ring) seat.ring = nullptr;
}

io::RingCore* Simulation::ring(int fd) const {
    SLUICE_ASSERT(fd >= first_ring_fd);
    const auto index = static_cast<std::size_t>(fd - first_ring_fd);
    SLUICE_ASSERT(index < seats_.size());
    return seats_[index].ring;
}

void Simulation::wake_all() {
    for (Seat& seat : seats_)
        seat.idle = false;
}

bool Simulation::wait(const io::RingCore& ring, Instant deadline) {
    Instant limit{INT64_MAX};
    bool all_idle = true;
    for (Seat& seat : seats_) {
        if (seat.ring == nullptr) continue;
        if (seat.ring == &ring) {
            seat.idle = true;
            seat.deadline = deadline;
        }
        all_idle = all_idle && seat.idle;
        limit = std::min(limit, seat.deadline);
    }
    if (!all_idle) return false;
    if (!events_.empty() && events_.front().when <= limit) {
        run_first();
    } else {
        if (limit == Instant{INT64_MAX}) return false;
        now_ = std::max(now_, limit);
    }
    wake_all();
    return true;
}

// --- driving --------------------------------------------------------------------------------

bool Simulation::run(std::vector<io::Loop*> loops, const std::function<bool()>& holds,
                     Duration limit) {
    const Instant end = now_ + limit;
    Instant before = now_;
    int rounds = 0;
    while (!holds()) {
        if (now_ >= end) return false;
        rounds = now_ == before ? rounds + 1 : 0;
        before = now_;
        SLUICE_ASSERT(rounds < idle_rounds_max);
        for (io::Loop* loop : loops) {
            loop->turn(end);
            if (check_) check_();
        }
    }
    return true;
}

}  // namespace sluice::sim

// --- base/clock.h, on virtual time ------------------------------------------------------------

namespace sluice {

Instant monotonic_now() {
    return sim::Simulation::current().now();
}

WallTime wall_now() {
    return sim::Simulation::current().wall();
}

}  // namespace sluice
