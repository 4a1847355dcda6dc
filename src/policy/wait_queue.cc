#include "sluice/policy/wait_queue.h"

#include <algorithm>
#include <bit>

namespace sluice::policy {

namespace {

// Consumers are few; a flood of clients without keys makes chains, never a larger table.
constexpr std::size_t buckets_max = 1024;

}  // namespace

WaitQueue::WaitQueue(std::size_t waiting_max, Duration age)
    : waiting_max_(waiting_max),
      age_(age),
      flows_(waiting_max),
      bucket_mask_(std::bit_ceil(std::min(waiting_max, buckets_max)) - 1),
      buckets_(std::make_unique<Bucket[]>(bucket_mask_ + 1)) {
    SLUICE_ASSERT(waiting_max > 0 && age.ns > 0);
}

WaitQueue::~WaitQueue() {
    SLUICE_ASSERT(size_ == 0 && occupied_ == 0);
    SLUICE_ASSERT(flows_.in_use() == 0);
}

WaitQueue::Bucket& WaitQueue::bucket_of(std::uint8_t priority, ConsumerKey consumer) {
    // Fibonacci hashing: keys may be small numbers.
    const std::uint64_t mixed = (consumer * classes + priority) * 0x9e3779b97f4a7c15;
    return buckets_[(mixed >> 32) & bucket_mask_];
}

WaitQueue::Flow& WaitQueue::flow_of(std::uint8_t priority, ConsumerKey consumer) {
    Bucket& bucket = bucket_of(priority, consumer);
    Flow* found = nullptr;
    bucket.for_each([&](Flow& flow) {
        if (flow.consumer == consumer && flow.priority == priority) found = &flow;
    });
    if (found != nullptr) return *found;
    Flow* flow = flows_.create(priority, consumer);
    SLUICE_ASSERT(flow != nullptr);
    bucket.push_back(*flow);
    classes_[priority].turns.push_back(*flow);
    return *flow;
}

bool WaitQueue::try_push(Waiter& waiter, std::uint8_t priority, ConsumerKey consumer, Instant now) {
    SLUICE_ASSERT(!waiter.waiting());
    SLUICE_ASSERT(priority < classes);
    if (size_ == waiting_max_) return false;
    Flow& flow = flow_of(priority, consumer);
    Class& its_class = classes_[priority];
    SLUICE_ASSERT(its_class.by_age.empty() || its_class.by_age.back().since_ <= now);
    flow.waiters.push_back(waiter);
    its_class.by_age.push_back(waiter);
    waiter.flow_ = &flow;
    waiter.since_ = now;
    ++flow.size;
    ++its_class.size;
    ++size_;
    occupied_ |= 1U << priority;
    return true;
}

Instant WaitQueue::due_of(std::size_t priority) {
    const Duration handicap{age_.ns * static_cast<std::int64_t>(priority)};
    return classes_[priority].by_age.front().since_ + handicap;
}

// Of those that are due at the same time the smallest.
WaitQueue::Class& WaitQueue::next_class() {
    SLUICE_ASSERT(size_ > 0 && occupied_ != 0);
    auto first = static_cast<std::size_t>(std::countr_zero(occupied_));
    for (std::uint32_t left = occupied_ & (occupied_ - 1); left != 0; left &= left - 1) {
        const auto other = static_cast<std::size_t>(std::countr_zero(left));
        if (due_of(other) < due_of(first)) first = other;
    }
    return classes_[first];
}

Waiter& WaitQueue::front() {
    return next_class().turns.front().waiters.front();
}

Instant WaitQueue::due_next() {
    return due_of(front().flow_->priority);
}

Waiter& WaitQueue::pop_next() {
    Class& first = next_class();
    Flow& flow = first.turns.front();
    Waiter& waiter = flow.waiters.front();
    // Its turn is over; take_out() lets it go when that was its last request.
    flow.turn_hook.unlink();
    first.turns.push_back(flow);
    take_out(flow, waiter);
    return waiter;
}

void WaitQueue::remove(Waiter& waiter) {
    SLUICE_ASSERT(waiter.waiting());
    take_out(*waiter.flow_, waiter);
}

void WaitQueue::take_out(Flow& flow, Waiter& waiter) {
    SLUICE_ASSERT(size_ > 0 && flow.size > 0);
    waiter.hook_.unlink();
    waiter.age_hook_.unlink();
    waiter.flow_ = nullptr;
    --size_;
    Class& its_class = classes_[flow.priority];
    if (--its_class.size == 0) occupied_ &= ~(1U << flow.priority);
    if (--flow.size > 0) return;
    flow.turn_hook.unlink();
    flow.bucket_hook.unlink();
    flows_.destroy(flow);
}

std::size_t WaitQueue::position(const Waiter& waiter) {
    SLUICE_ASSERT(waiter.waiting());
    const Flow& own = *waiter.flow_;
    std::size_t ahead = 0;
    for (std::size_t i = 0; i < own.priority; ++i)
        ahead += classes_[i].size;

    // Turns of its own consumer before its own one.
    std::size_t own_ahead = 0;
    bool found = false;
    waiter.flow_->waiters.for_each([&](const Waiter& other) {
        found = found || &other == &waiter;
        if (!found) ++own_ahead;
    });
    SLUICE_ASSERT(found);

    // In that many rounds, and in the one it is served in, each other consumer had its turn.
    bool passed = false;
    classes_[own.priority].turns.for_each([&](const Flow& flow) {
        if (&flow == &own) {
            passed = true;
            ahead += own_ahead;
        } else {
            ahead += std::min(flow.size, own_ahead + (passed ? 0 : 1));
        }
    });
    SLUICE_ASSERT(passed && ahead < size_);
    return ahead + 1;
}

}  // namespace sluice::policy
