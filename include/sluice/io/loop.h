// Loop: one turn of a shard: completions, timers, decisions, burials, one system call.
//
// 1. The ring submits what was queued, waits, and runs the handlers of all completions.
// 2. The timer wheel runs the handlers of deadlines that have passed.
// 3. advance() of every actor that was made ready, until none is (bounded, the rest next turn).
// 4. Actors that retired are destroyed; so no handler and no caller ever finds its object gone.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/list.h"
#include "sluice/io/ring.h"
#include "sluice/io/timer_wheel.h"
#include "sluice/mem/buffer_pool.h"
#include "sluice/mem/chain.h"

namespace sluice::io {

// An object that is told of events by its operations and timers and then decides, in one place.
class Actor {
public:
    Actor() = default;
    Actor(const Actor&) = delete;
    Actor& operator=(const Actor&) = delete;

    // Looks at what was recorded and does what is due. Called once for any number of events.
    virtual void advance() = 0;
    // The end: frees the object's slot. Nothing of it may be in flight. Called by the loop only.
    virtual void bury() = 0;

protected:
    ~Actor() = default;

private:
    friend class Loop;
    ListHook hook_;
    bool retired_ = false;
};

class Loop {
public:
    Loop(Ring& ring, mem::BufferPool& buffers, mem::NodePool& nodes)
        : ring_(ring), buffers_(buffers), nodes_(nodes), now_(monotonic_now()), wheel_(now_) {}

    Ring& ring() { return ring_; }
    const Ring& ring() const { return ring_; }
    mem::BufferPool& buffers() { return buffers_; }
    const mem::BufferPool& buffers() const { return buffers_; }
    mem::NodePool& nodes() { return nodes_; }
    TimerWheel& timers() { return wheel_; }

    // The time of this turn.
    Instant now() const { return now_; }

    // The actor's advance() runs in this turn (or the next one). Idempotent.
    void make_ready(Actor& actor);
    // The actor is done; bury() runs at the end of the turn and advance() no more.
    void retire(Actor& actor);

    // One turn; waits at most until `deadline`.
    void turn(Instant deadline = TimerWheel::never);

private:
    using Actors = List<Actor, &Actor::hook_>;

    Ring& ring_;
    mem::BufferPool& buffers_;
    mem::NodePool& nodes_;
    Instant now_;
    TimerWheel wheel_;
    Actors ready_;
    Actors retired_;
};

}  // namespace sluice::io
