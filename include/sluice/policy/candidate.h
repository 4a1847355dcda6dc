// Candidate: a backend as a choice sees it, and what the choices remember of it.
//
// A candidate is made for one choice from what the shard knows at that moment. BalanceState is the
// part that lives on: one for each backend of each model, on each shard; its owner keeps it where
// it was when the set of backends changes, or starts it anew, which costs nothing but some
// fairness.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/limits.h"

#include <cstddef>
#include <cstdint>

namespace sluice::policy {

inline constexpr std::size_t candidates_max = limits::pool_backends_max;

// Peak EWMA (Finagle's): a rise counts at once and in full, a fall and silence gradually, so that a
// server that became slow is left at once and tried again later.
class PeakEwma {
public:
    // Three such times without a measurement leave 5 % of the value. Local models answer some
    // requests a minute, which a memory of seconds would not keep.
    static constexpr Duration memory = Duration::seconds(30);

    void observe(Duration measured, Instant now);
    // In nanoseconds, faded since the last measurement.
    double at(Instant now) const;
    bool measured() const { return measured_; }

private:
    double value_ = 0;
    Instant stamp_;
    bool measured_ = false;
};

struct BalanceState {
    std::int64_t current_weight = 0;  // of the smooth weighted rotation
    PeakEwma latency;                 // time to first token, told by the caller
};

struct Candidate {
    std::uint32_t backend = 0;    // a small number, the same for as long as it is configured
    std::uint64_t identity = 0;   // hash_text() of its name: the same after a restart as well
    std::uint32_t weight = 1;     // at least 1
    std::uint32_t priority = 0;   // of its tier; lower first
    std::uint32_t slots = 0;      // how many requests it serves at once; 0: no bound
    std::uint32_t in_flight = 0;  // requests it has now
    bool usable = true;           // no: its breaker, its health, or it has been tried already
    BalanceState* state = nullptr;

    bool full() const { return slots != 0 && in_flight >= slots; }
    // What its load is measured by.
    std::uint64_t capacity() const { return slots != 0 ? slots : weight; }
};

}  // namespace sluice::policy
