// The one door to time: a monotonic instant for deadlines and a wall clock for log lines.
//
// Both functions are chosen at link time: the system's clock in the programs, the virtual clock
// in the simulator. Code below the shard asks its loop for `now()`, which reads the clock once a
// turn, and never calls these itself.
#pragma once

#include <compare>
#include <cstdint>

namespace sluice {

// A span of time in nanoseconds.
struct Duration {
    std::int64_t ns = 0;

    static constexpr Duration micros(std::int64_t n) { return {n * 1'000}; }
    static constexpr Duration millis(std::int64_t n) { return {n * 1'000'000}; }
    static constexpr Duration seconds(std::int64_t n) { return {n * 1'000'000'000}; }
    constexpr std::int64_t as_micros() const { return ns / 1'000; }
    constexpr std::int64_t as_millis() const { return ns / 1'000'000; }

    constexpr auto operator<=>(const Duration&) const = default;
    constexpr Duration operator+(Duration d) const { return {ns + d.ns}; }
    constexpr Duration operator-(Duration d) const { return {ns - d.ns}; }
    constexpr Duration operator*(std::int64_t n) const { return {ns * n}; }
    constexpr Duration operator/(std::int64_t n) const { return {ns / n}; }
};

// A point on the monotonic clock; its zero is arbitrary.
struct Instant {
    std::int64_t ns = 0;

    constexpr auto operator<=>(const Instant&) const = default;
    constexpr Instant operator+(Duration d) const { return {ns + d.ns}; }
    constexpr Duration operator-(Instant i) const { return {ns - i.ns}; }
};

// Microseconds since 1970-01-01 UTC. Only for people: it may jump.
struct WallTime {
    std::int64_t us = 0;
};

Instant monotonic_now();
WallTime wall_now();

}  // namespace sluice
