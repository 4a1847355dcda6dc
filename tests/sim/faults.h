// Faults: how unkind the simulated kernel and network are. Every chance is out of a thousand.
#pragma once

#include "sluice/base/clock.h"

#include <optional>
#include <string_view>

namespace sluice::sim {

struct Faults {
    // --- the network ---
    Duration latency_max = Duration::micros(200);
    unsigned cut_segments = 0;     // a delivery carries only a part of what is on its way
    unsigned small_windows = 0;    // a connection has socket buffers of a few hundred bytes
    unsigned connection_lost = 0;  // a connection is reset at both ends at some moment
    unsigned connect_refused = 0;  // one of our connects, though somebody listens
    unsigned connect_silent = 0;   // one of our connects gets no answer at all
    // --- the kernel ---
    unsigned short_receives = 0;      // a receive brings less than is there
    unsigned short_sends = 0;         // a send ends before everything left
    unsigned late_completions = 0;    // a completion comes up to two milliseconds late
    unsigned starved = 0;             // a receive finds no buffer although there are some
    unsigned target_wins = 0;         // what was cancelled achieves something first
    unsigned no_pipe = 0;             // no pipe is to be had
    unsigned no_copy = 0;             // what is in a pipe cannot be duplicated
    unsigned short_copies = 0;        // only a part of it is
    unsigned out_of_descriptors = 0;  // an accept or an open finds no descriptor
    // --- the machine ---
    unsigned stalls = 0;  // a turn in which the process stands still
    Duration stall_max = {};

    static Faults none() { return {}; }
    static Faults light();
    static Faults heavy();
    static std::optional<Faults> by_name(std::string_view name);
};

inline Faults Faults::light() {
    Faults faults;
    faults.latency_max = Duration::millis(2);
    faults.cut_segments = 200;
    faults.small_windows = 50;
    faults.connection_lost = 5;
    faults.connect_refused = 5;
    faults.connect_silent = 2;
    faults.short_receives = 200;
    faults.short_sends = 50;
    faults.late_completions = 100;
    faults.starved = 20;
    faults.target_wins = 300;
    faults.no_pipe = 50;
    faults.no_copy = 5;
    faults.short_copies = 100;
    faults.out_of_descriptors = 2;
    faults.stalls = 1;
    faults.stall_max = Duration::millis(200);
    return faults;
}

inline Faults Faults::heavy() {
    Faults faults;
    faults.latency_max = Duration::millis(20);
    faults.cut_segments = 700;
    faults.small_windows = 400;
    faults.connection_lost = 80;
    faults.connect_refused = 50;
    faults.connect_silent = 20;
    faults.short_receives = 600;
    faults.short_sends = 400;
    faults.late_completions = 400;
    faults.starved = 200;
    faults.target_wins = 500;
    faults.no_pipe = 300;
    faults.no_copy = 50;
    faults.short_copies = 400;
    faults.out_of_descriptors = 30;
    faults.stalls = 5;
    faults.stall_max = Duration::seconds(30);
    return faults;
}

inline std::optional<Faults> Faults::by_name(std::string_view name) {
    if (name == "none") return none();
    if (name == "light") return light();
    if (name == "heavy") return heavy();
    return std::nullopt;
}

}  // namespace sluice::sim
