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
    std::uint64_t switches = 0;  // voluntary and not, of the threads that are alive
};

// Nothing when there is no such process or it may not be looked at.
std::optional<ProcessUsage> usage_of(pid_t pid);

}  // namespace sluice::bench
