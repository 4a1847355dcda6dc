#include "sluice/io/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace sluice::io {

void TimerWheel::arm(Timer& timer, Instant deadline) {
    timer.deadline_ = deadline;
    if (timer.armed()) {
        // Later than its slot: looked at again when the slot comes up. Only a store.
        if (deadline.ns >= timer.slot_tick_ * tick.ns) return;
        take_out(timer);
    }
    ++armed_;
    place(timer);
}

void TimerWheel::disarm(Timer& timer) {
    if (!timer.armed()) return;
    take_out(timer);
}

void TimerWheel::place(Timer& timer) {
    // Rounded up: a timer never fires early.
    const std::int64_t whole = timer.deadline_.ns / tick.ns;
    const std::int64_t wanted = std::max(whole + (timer.deadline_.ns % tick.ns > 0), tick_);
    // The level is the highest group of slot bits in which `wanted` differs from now.
    const auto differs = static_cast<std::uint64_t>(wanted ^ tick_) | 1;
    const int level = std::min((63 - std::countl_zero(differs)) / slot_bits, levels - 1);
    const int shift = level * slot_bits;
    // Beyond the reach of the wheel: the furthest slot, and placed anew from there.
    const std::int64_t reach = (std::int64_t{slots} - 1) << shift;
    const std::int64_t placed = level == levels - 1 ? std::min(wanted, tick_ + reach) : wanted;

    timer.level_ = static_cast<std::uint8_t>(level);
    timer.slot_ = static_cast<std::uint8_t>((placed >> shift) & (slots - 1));
    timer.slot_tick_ = (placed >> shift) << shift;
    wheel_[timer.level_][timer.slot_].push_back(timer);
    occupied_[timer.level_] |= std::uint64_t{1} << timer.slot_;
}

void TimerWheel::take_out(Timer& timer) {
    SLUICE_ASSERT(armed_ > 0);
    timer.hook_.unlink();
    --armed_;
    if (wheel_[timer.level_][timer.slot_].empty())
        occupied_[timer.level_] &= ~(std::uint64_t{1} << timer.slot_);
}

Instant TimerWheel::next() const {
    std::int64_t earliest = INT64_MAX;
    for (int level = 0; level < levels; ++level) {
        if (occupied_[level] == 0) continue;
        const int shift = level * slot_bits;
        const std::int64_t position = tick_ >> shift;
        // Slots from the current position on, wrapping around once.
        const auto rotated =
            std::rotr(occupied_[level], static_cast<int>(position & (slots - 1)));
        const std::int64_t due = (position + std::countr_zero(rotated)) << shift;
        earliest = std::min(earliest, due);
    }
    if (earliest == INT64_MAX) return never;
    return {earliest * tick.ns};
}

void TimerWheel::advance(Instant now) {
    const std::int64_t until = now.ns / tick.ns;
    while (armed_ > 0) {
        const std::int64_t due = next().ns / tick.ns;
        if (due > until) break;
        SLUICE_ASSERT(due >= tick_);
        tick_ = due;
        // Higher levels first: their timers may belong into this very tick.
        for (int level = levels - 1; level > 0; --level) {
            const int shift = level * slot_bits;
            if ((due & ((std::int64_t{1} << shift) - 1)) != 0) continue;
            empty_slot(level, static_cast<int>((due >> shift) & (slots - 1)), due);
        }
        // What a handler arms from here on belongs behind this tick, or it would be found only
        // after the wheel has gone round.
        tick_ = due + 1;
        empty_slot(0, static_cast<int>(due & (slots - 1)), due);
    }
    tick_ = std::max(tick_, until + 1);
}

void TimerWheel::empty_slot(int level, int slot, std::int64_t due) {
    if ((occupied_[level] & (std::uint64_t{1} << slot)) == 0) return;
    Slot timers;
    timers.splice_back(wheel_[level][slot]);
    occupied_[level] &= ~(std::uint64_t{1} << slot);
    while (!timers.empty()) {
        Timer& timer = timers.pop_front();
        if (timer.deadline_.ns > due * tick.ns) {
            place(timer);  // its deadline was moved away, or it comes down a level
        } else {
            --armed_;
            timer.handler_(timer.owner_);
        }
    }
}

}  // namespace sluice::io
