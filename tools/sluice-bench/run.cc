#include "run.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>

namespace sluice::bench {
namespace {

constexpr Duration watch_period = Duration::millis(200);
// Between two looks of a further thread at what the first one decides.
constexpr Duration phase_period = Duration::millis(2);
// Between two looks at stalled clients that connect, and as long as their probes may take.
constexpr Duration stalled_period = Duration::millis(1);
constexpr Duration probe_time = Duration::millis(200);

// A load of a given number of requests is measured from its first one.
bool is_measured_whole(const Load& load) {
    return load.requests_max != UINT64_MAX;
}

enum class Phase : int { warming, measuring, done };

// What the first thread decides, for all. The instants are written before their phase begins.
struct Schedule {
    std::atomic<Phase> phase{Phase::warming};
    Instant begin;        // of the window
    Instant planned_end;  // of the window
    Instant end;          // as it came
};

// One further thread and its share. Others read only the atomics while it runs.
struct Helper {
    Load load;
    bool spin = false;
    const Schedule* schedule = nullptr;
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> events{0};
    std::atomic<std::uint64_t> failed{0};
    std::atomic<std::uint64_t> busy{0};
    std::atomic<bool> finished{false};
    Tally tally;  // when it is joined
    std::string error;
    pthread_t thread{};
};

// The kernel may round a wait up by 50 us otherwise, and requests would leave late.
void wake_precisely() {
    ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void publish(Helper& helper, const Lane& lane, const Tally& tally) {
    helper.requests.store(tally.requests, std::memory_order_relaxed);
    helper.events.store(tally.events, std::memory_order_relaxed);
    helper.failed.store(tally.failed(), std::memory_order_relaxed);
    helper.busy.store(lane.busy(), std::memory_order_relaxed);
    helper.finished.store(lane.finished(), std::memory_order_relaxed);
}

void* help(void* argument) {
    auto& helper = *static_cast<Helper*>(argument);
    wake_precisely();
    auto worker = Worker::create();
    if (!worker) {
        helper.error = worker.error().message;
        helper.finished = true;
        return nullptr;
    }
    Lane& lane = (*worker)->begin(helper.load, false, monotonic_now());
    for (auto seen = Phase::warming; seen != Phase::done;) {
        (*worker)->turn(monotonic_now() + phase_period, helper.spin);
        publish(helper, lane, lane.tally());
        const Phase phase = helper.schedule->phase.load(std::memory_order_acquire);
        if (phase != Phase::warming && seen == Phase::warming && !is_measured_whole(helper.load))
            lane.begin_window(helper.schedule->begin, helper.schedule->planned_end);
        seen = phase;
    }
    lane.stop(helper.schedule->end);
    helper.tally = lane.tally();
    (*worker)->close_lane();
    return nullptr;
}

// A thread's share of a load.
Load share_of(const Load& load, std::uint32_t index, std::uint32_t of) {
    const auto part = [&](std::uint64_t whole) {
        return whole / of + (index < whole % of ? 1 : 0);
    };
    Load share = load;
    share.connections = static_cast<std::uint32_t>(part(load.connections));
    share.rate = load.rate / of;
    share.seed = load.seed + index;
    if (load.requests_max != UINT64_MAX) share.requests_max = part(load.requests_max);
    return share;
}

class Run {
public:
    Run(Worker& worker, const Load& load, const Window& window, const Watcher& watcher)
        : worker_(worker),
          window_(window),
          watcher_(watcher),
          load_(share_of(load, 0, window.threads)),
          helpers_(window.threads - 1) {
        for (std::uint32_t i = 0; i + 1 < window.threads; ++i) {
            helpers_[i].load = share_of(load, i + 1, window.threads);
            helpers_[i].spin = window.spin;
            helpers_[i].schedule = &schedule_;
        }
    }

    Result<Measured> go() {
        wake_precisely();
        if (auto begun = begin_stalled(); !begun) return begun.error();
        if (auto started = start_helpers(); !started) return started.error();
        Instant begin = monotonic_now();
        lane_ = &worker_.begin(load_, true, begin);
        const bool warms_up = !is_measured_whole(load_) && window_.warmup.ns > 0;
        if (warms_up) turn_for(begin, window_.warmup, false);
        if (stalled_) stalled_->count_begin();
        const auto before = usage_of(window_.pid);
        // Without a warm-up the window begins with the load, and all that is due is in it.
        if (warms_up) begin = monotonic_now();
        lane_->begin_window(begin, begin + window_.length);
        schedule_.begin = begin;
        schedule_.planned_end = begin + window_.length;
        schedule_.phase.store(Phase::measuring, std::memory_order_release);
        turn_for(begin, window_.length, true);

        Measured measured;
        const Instant end = monotonic_now();
        measured.seconds = static_cast<double>((end - begin).ns) * 1e-9;
        const auto after = usage_of(window_.pid);
        measured.used = used_between(before, after);
        measured.process_ended = window_.pid != 0 && !measured.used;
        measured.interrupted = interrupted();
        schedule_.end = end;
        schedule_.phase.store(Phase::done, std::memory_order_release);
        lane_->stop(end);
        measured.tally = lane_->tally();
        worker_.close_lane();
        if (stalled_) measured.stalled = end_stalled();
        return joined(std::move(measured));
    }

private:
    // They are there, and their gateway is full of what they do not read, before the load begins.
    Status begin_stalled() {
        if (load_.stalled.count == 0) return Done{};
        stalled_.emplace(load_.stalled);
        if (auto opened = stalled_->open(load_.address); !opened) return opened;
        const Instant full = monotonic_now() + load_.stalled.fill;
        for (Instant now = monotonic_now(); now < full && !interrupted(); now = monotonic_now()) {
            worker_.turn(std::min(full, now + stalled_period), window_.spin);
            stalled_->send();
        }
        return Done{};
    }

    StalledCount end_stalled() {
        stalled_->probe();
        const Instant latest = monotonic_now() + probe_time;
        while (!stalled_->settled() && monotonic_now() < latest)
            worker_.turn(monotonic_now() + stalled_period, false);
        stalled_->count_end();
        return stalled_->count();
    }

    Status start_helpers() {
        for (auto& helper : helpers_) {
            if (::pthread_create(&helper.thread, nullptr, help, &helper) == 0) continue;
            schedule_.phase.store(Phase::done, std::memory_order_release);
            for (const Helper* other = helpers_.data(); other != &helper; ++other)
                ::pthread_join(other->thread, nullptr);
            return Error::gateway("no further thread could be started");
        }
        return Done{};
    }

    void turn_for(Instant begin, Duration length, bool measuring) {
        const Instant end = begin + length;
        Instant watch = begin;
        for (Instant now = monotonic_now(); now < end && !finished() && !interrupted();
             now = monotonic_now()) {
            if (now >= watch) {
                watch = watch + watch_period;
                if (watcher_) watcher_(sighting(now - begin, length, measuring));
            }
            worker_.turn(std::min(end, watch), window_.spin);
        }
    }

    bool interrupted() const {
        return window_.interrupted != nullptr &&
               window_.interrupted->load(std::memory_order_relaxed);
    }

    bool finished() const {
        return lane_->finished() && std::ranges::all_of(helpers_, [](const Helper& helper) {
                   return helper.finished.load(std::memory_order_relaxed);
               });
    }

    Sighting sighting(Duration elapsed, Duration of, bool measuring) const {
        const Tally& own = lane_->tally();
        Sighting sighting{static_cast<double>(elapsed.ns) * 1e-9,
                          static_cast<double>(of.ns) * 1e-9,
                          measuring,
                          own.requests,
                          own.events,
                          own.failed(),
                          lane_->busy()};
        for (const auto& helper : helpers_) {
            sighting.requests += helper.requests.load(std::memory_order_relaxed);
            sighting.events += helper.events.load(std::memory_order_relaxed);
            sighting.failed += helper.failed.load(std::memory_order_relaxed);
            sighting.busy += helper.busy.load(std::memory_order_relaxed);
        }
        return sighting;
    }

    Result<Measured> joined(Measured measured) {
        for (auto& helper : helpers_) {
            ::pthread_join(helper.thread, nullptr);
            if (!helper.error.empty()) return Error::gateway(helper.error);
            measured.tally.add(helper.tally);
        }
        return measured;
    }

    Worker& worker_;
    const Window& window_;
    const Watcher& watcher_;
    Load load_;
    std::optional<StalledClients> stalled_;
    Lane* lane_ = nullptr;
    Schedule schedule_;
    std::vector<Helper> helpers_;
};

}  // namespace

Result<Measured> run(Worker& worker, const Load& load, const Window& window,
                     const Watcher& watcher) {
    SLUICE_ASSERT(window.threads > 0);
    return Run(worker, load, window, watcher).go();
}

}  // namespace sluice::bench
