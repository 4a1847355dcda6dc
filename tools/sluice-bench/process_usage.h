// ProcessUsage: what another process on this machine has used: processor time of all its threads
// (those of the kernel that work for it too), memory, context switches.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace sluice::bench {

struct ProcessUsage {
    std::int64_t cpu_ns = 0;  // since it was started
    std::uint64_t rss_bytes = 0;
    // Voluntary and not, of the threads that are alive.
    std::optional<std::uint64_t> switches;
    std::uint64_t started = 0;  // when, in the kernel's ticks: a process id is used again
};

// Nothing when there is no such process, it has ended and nobody has asked for its end yet, or it
// may not be looked at.
std::optional<ProcessUsage> usage_of(pid_t pid);

// What was used between two looks at a process; the memory is that of the second one. Nothing when
// the process has ended in between. No switches when threads took theirs with them.
std::optional<ProcessUsage> used_between(const std::optional<ProcessUsage>& before,
                                         const std::optional<ProcessUsage>& after);

}  // namespace sluice::bench
