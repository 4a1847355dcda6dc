// run(): one load against one target for one window of time, on one thread or several.
#pragma once

#include "process_usage.h"
#include "worker.h"

#include <atomic>
#include <functional>
#include <optional>

namespace sluice::bench {

struct Window {
    Duration warmup = Duration::millis(500);  // not measured
    Duration length = Duration::seconds(10);
    std::uint32_t threads = 1;
    bool spin = false;  // never sleep: no wake-up of the bench is in what it measures
    pid_t pid = 0;      // of the gateway; 0: not known
    // Becomes true: the measurement ends, early. Null: nothing ends it.
    const std::atomic<bool>* interrupted = nullptr;
};

// What one window saw.
struct Measured {
    Tally tally;
    double seconds = 0;
    std::optional<ProcessUsage> used;  // by the gateway within the window; rss: at its end
    bool process_ended = false;        // the gateway did within the window: nothing is in `used`
    bool interrupted = false;          // it ended early
    std::optional<StalledCount> stalled;
};

// Told some times a second, with what was counted so far (in the window, once it has begun).
struct Sighting {
    double seconds = 0;
    double seconds_of = 0;
    bool measuring = false;
    std::uint64_t requests = 0;
    std::uint64_t events = 0;
    std::uint64_t failed = 0;
    std::uint64_t busy = 0;
};
using Watcher = std::function<void(const Sighting&)>;

// `worker` belongs to the calling thread, which runs the first share; further threads come and go.
Result<Measured> run(Worker& worker, const Load& load, const Window& window,
                     const Watcher& watcher);

}  // namespace sluice::bench
