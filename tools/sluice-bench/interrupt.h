// Interrupt: SIGINT and SIGTERM end a measurement, whose figures so far are reported.
//
// The first of them sets a flag that the measurement looks at; the second one ends the program at
// once.
#pragma once

#include <atomic>

namespace sluice::bench {

inline constexpr int exit_interrupted = 130;

// Once, before there are threads.
void watch_for_interrupts();
// Set by the first one.
const std::atomic<bool>& interrupt_flag();

}  // namespace sluice::bench
