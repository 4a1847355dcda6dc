// WaitQueue: the requests of one shard that wait for a slot of one pool, in the order they get it.
//
// Order: the smaller priority class first; within a class the consumers take turns, one request a
// turn (fair queueing of equal shares where each request costs the same); a consumer's own requests
// by arrival. A consumer that begins to wait takes its turn behind all that wait already: time in
// which it had nothing waiting earns nothing.
//
// Classes age, so that none starves: each time `age` that the oldest request of a class has waited,
// the class counts as the next smaller one. In other words, a request is due at its arrival plus
// `age` times its class, and the class is served whose oldest one is due first. The bound: what
// comes more than `age` times c after a request of class c does not go before it, whatever its
// class, so that after this time only those are served before it that wait already, fewer than
// waiting_max. (Turns of consumers stay: one that has several requests waiting in the class lets
// the others of the class in between, one of each before each of its own.) A flood of small classes
// can so delay the largest one by 15 times `age` and what is in line then, and no more.
//
// Pure: deadlines are the owner's timers. Nothing is allocated a request: what waits derives from
// Waiter, and a consumer's node comes from a slab and goes with the consumer's last request.
// Costs: try_push and remove O(1), front and pop_next O(classes); position O(consumers of the class
// + requests of the same consumer), meant for telling a client now and then.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/list.h"
#include "sluice/mem/slab.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice::policy {

// Whom a request counts for, as a number: a consumer of the configuration, or a hash of the client
// where there is none.
using ConsumerKey = std::uint64_t;

class WaitQueue {
    struct Flow;

public:
    // Priority classes are 0 (first) to classes - 1.
    static constexpr std::size_t classes = 16;
    static constexpr std::uint8_t class_default = classes / 2;

    // What waits derives from it, and must have left the queue before it dies (asserted).
    class Waiter {
    public:
        Waiter() = default;
        bool waiting() const { return flow_ != nullptr; }

    protected:
        ~Waiter() = default;

    private:
        friend class WaitQueue;
        ListHook hook_;
        ListHook age_hook_;
        Instant since_;
        Flow* flow_ = nullptr;
    };

    // At most `waiting_max` wait at a time, at least 1. `age` is more than zero.
    WaitQueue(std::size_t waiting_max, Duration age);
    WaitQueue(const WaitQueue&) = delete;
    WaitQueue& operator=(const WaitQueue&) = delete;
    ~WaitQueue();  // asserts that nothing waits

    // False: the queue is full, and nothing has changed.
    // `now` is never less than before.
    [[nodiscard]] bool try_push(Waiter& waiter, std::uint8_t priority, ConsumerKey consumer,
                                Instant now);
    // The one whose turn it is. The queue must not be empty.
    Waiter& front();
    // When its class is due: less than `age` away it is as good as class 1, when it is over as
    // class 0. No pop makes it earlier.
    Instant due_next();
    Duration age() const { return age_; }
    // Takes it out.
    Waiter& pop_next();
    // Takes out one that gives up, wherever it stands.
    void remove(Waiter& waiter);
    // How many pops it takes until this one is out, as things are and but for age: 1 is next.
    std::size_t position(const Waiter& waiter);

    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    std::size_t waiting_max() const { return waiting_max_; }
    // Consumers that wait; one that waits in two classes counts twice.
    std::size_t flows() const { return flows_.in_use(); }

private:
    // What one consumer has waiting in one class.
    struct Flow {
        Flow(std::uint8_t priority_, ConsumerKey consumer_)
            : priority(priority_), consumer(consumer_) {}

        const std::uint8_t priority;
        const ConsumerKey consumer;
        std::size_t size = 0;
        List<Waiter, &Waiter::hook_> waiters;  // by arrival
        ListHook turn_hook;
        ListHook bucket_hook;
    };
    using Turns = List<Flow, &Flow::turn_hook>;
    using Bucket = List<Flow, &Flow::bucket_hook>;
    struct Class {
        Turns turns;                              // whose turn it is first
        List<Waiter, &Waiter::age_hook_> by_age;  // all requests, by arrival
        std::size_t size = 0;                     // requests
    };

    Bucket& bucket_of(std::uint8_t priority, ConsumerKey consumer);
    Flow& flow_of(std::uint8_t priority, ConsumerKey consumer);
    void take_out(Flow& flow, Waiter& waiter);
    Instant due_of(std::size_t priority);
    Class& next_class();

    const std::size_t waiting_max_;
    const Duration age_;
    std::size_t size_ = 0;
    std::array<Class, classes> classes_;
    std::uint32_t occupied_ = 0;  // bit n: somebody waits in class n
    mem::Slab<Flow> flows_;       // no more than requests, so it is never full
    std::size_t bucket_mask_;
    std::unique_ptr<Bucket[]> buckets_;
};

using Waiter = WaitQueue::Waiter;

}  // namespace sluice::policy
