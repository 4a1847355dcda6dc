#include "sluice/shard/name_watch.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace sluice::shard {
namespace {

constexpr std::size_t threads_max = 4;
// Names of this machine and of its network are there in a millisecond; nobody waits for others.
constexpr std::chrono::milliseconds patience{200};
// A machine that comes up, and one that moves.
constexpr std::chrono::seconds gap_missing{2};
constexpr std::chrono::seconds gap_found{30};

}  // namespace

struct NameWatch::State {
    std::vector<std::shared_ptr<const upstream::Endpoint>> endpoints;  // shared with catalogs
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t rounds_done = 0;  // first ones
    bool stopping = false;

    // Every `step`th name from `first` on.
    void run(std::size_t first, std::size_t step);
};

void NameWatch::State::run(std::size_t first, std::size_t step) {
    for (bool begun = false;; begun = true) {
        bool missing = false;
        for (std::size_t i = first; i < endpoints.size(); i += step) {
            const net::Url& target = endpoints[i]->target;
            const auto address = net::look_up(target.name, target.port);
            // What was found once may still be right.
            if (address.ok()) endpoints[i]->whereabouts.move_to(address.value());
            missing |= !address.ok();
        }
        std::unique_lock lock(mutex);
        if (!begun) ++rounds_done;
        changed.notify_all();
        changed.wait_for(lock, missing ? gap_missing : gap_found, [this] { return stopping; });
        if (stopping) return;
    }
}

NameWatch::~NameWatch() {
    if (state_ == nullptr) return;
    const std::scoped_lock lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
}

void NameWatch::start(std::vector<std::shared_ptr<const upstream::Endpoint>> endpoints) {
    SLUICE_ASSERT(state_ == nullptr);
    if (endpoints.empty()) return;
    const std::size_t threads = std::min(endpoints.size(), threads_max);
    state_ = std::make_shared<State>();
    state_->endpoints = std::move(endpoints);
    for (std::size_t i = 0; i < threads; ++i)
        std::thread([state = state_, i, threads] { state->run(i, threads); }).detach();
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, patience, [&] { return state_->rounds_done == threads; });
}

}  // namespace sluice::shard
