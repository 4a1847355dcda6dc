// TimerWheel: thousands of deadlines for the price of a store.
//
// Hierarchical (Varghese and Lauck): five levels of 64 slots, one tick a millisecond, reaching some
// twelve days. Timers are members of their owners. Moving a deadline further away only stores it;
// the timer is put where it belongs when its old slot comes up. A timer never fires early, and at
// most a tick late.
#pragma once

#include <array>
#include <cstdint>

#include "sluice/base/clock.h"
#include "sluice/base/list.h"

namespace sluice::io {

class Timer {
public:
    using Handler = void (*)(void* owner);

    Timer(void* owner, Handler handler) : owner_(owner), handler_(handler) {}

    bool armed() const { return hook_.linked(); }
    Instant deadline() const { return deadline_; }

private:
    friend class TimerWheel;
    void* owner_;
    Handler handler_;
    ListHook hook_;
    Instant deadline_;
    std::int64_t slot_tick_ = 0;  // when the slot it is in comes up
    std::uint8_t level_ = 0;
    std::uint8_t slot_ = 0;
};

class TimerWheel {
public:
    static constexpr Duration tick = Duration::millis(1);
    static constexpr Instant never{INT64_MAX};

    explicit TimerWheel(Instant now) : tick_(now.ns / tick.ns) {}

    // (Re)arms the timer; a deadline in the past fires with the next tick.
    void arm(Timer& timer, Instant deadline);
    void disarm(Timer& timer);

    // When advance() has something to do; `never` when no timer is armed.
    Instant next() const;
    // Runs the handlers of all timers whose deadline has passed. Handlers may arm and disarm.
    void advance(Instant now);

    std::size_t armed() const { return armed_; }

private:
    static constexpr int levels = 5;
    static constexpr int slot_bits = 6;
    static constexpr int slots = 1 << slot_bits;
    using Slot = List<Timer, &Timer::hook_>;

    void place(Timer& timer);
    void take_out(Timer& timer);
    void empty_slot(int level, int slot, std::int64_t due);

    std::int64_t tick_;  // all slots before this tick are done
    std::size_t armed_ = 0;
    std::array<std::uint64_t, levels> occupied_{};  // a bit a slot
    std::array<std::array<Slot, slots>, levels> wheel_;
};

}  // namespace sluice::io
