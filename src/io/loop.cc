#include "sluice/io/loop.h"

#include <algorithm>
#include <utility>

namespace sluice::io {
namespace {

// Actors may make each other ready; past this many rounds the rest waits for the next turn, so that
// two of them can never keep a shard from its completions.
constexpr int rounds_max = 8;

}  // namespace

void Loop::make_ready(Actor& actor) {
    if (actor.retired_ || actor.hook_.linked()) return;
    ready_.push_back(actor);
}

void Loop::retire(Actor& actor) {
    SLUICE_ASSERT(!actor.retired_);
    if (actor.hook_.linked()) actor.hook_.unlink();
    actor.retired_ = true;
    retired_.push_back(actor);
}

void Loop::turn(Instant deadline) {
    const bool work_left = !ready_.empty();
    ring_.turn(now_, work_left ? now_ : std::min(deadline, wheel_.next()));
    const Instant before = std::exchange(now_, monotonic_now());
    SLUICE_ASSERT(now_ >= before);  // what is due stays due
    wheel_.advance(now_);

    for (int round = 0; round < rounds_max && !ready_.empty(); ++round) {
        Actors batch;
        batch.splice_back(ready_);
        while (!batch.empty()) {
            Actor& actor = batch.pop_front();
            SLUICE_ASSERT(!actor.retired_);  // retire() has taken it out of here
            actor.advance();
        }
    }
    while (!retired_.empty())
        retired_.pop_front().bury();
}

}  // namespace sluice::io
