// Slot ledger: the slots of one backend, used by several shards that share no memory.
//
// One shard is the backend's home and keeps SlotHome; every other shard keeps a SlotShare and
// borrows slots from the home by messages. Both are pure state machines: messages are values, sent
// through SlotSender, and may take any time; between two shards they arrive in the order in which
// they were sent.
//
// What holds, whatever the delays:
// - allotted = in use at home + lent to others never exceeds the capacity, and no shard uses more
//   than it was lent. After the capacity has shrunk `allotted` only falls until it fits: nobody is
//   cut off.
// - A slot is where the messages say: none is lost, none is made.
// - Waiting requests of all shards are served in the order in which the home learned of them, so
//   no shard starves. While one waits, the home calls slots of the others back: idle ones at once,
//   those in use when they become free.
// - What was lent and is idle stays for one to two ticks, so that a busy shard need not ask for
//   every request.
//
// How both are used, on every shard alike: a request that comes while nobody waits calls
// try_acquire(), one that has ended release(). After each of these, after receive() and after a
// waiter has left:
//     while (!queue.empty() && ledger.try_acquire()) serve(queue.pop_next());
//     ledger.demand(queue.size());
// A home without other shards sends nothing and keeps an integer.
#pragma once

#include "sluice/base/assert.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::policy {

struct SlotMessage {
    enum class Kind : std::uint8_t {
        want,       // to the home: `count` requests wait here for more than what came up to `seen`
        give_back,  // to the home: `count` slots are the home's again
        grant,      // from the home: `count` slots are yours
        recall,     // from the home: give back `count` more than what came up to `seen`
    };
    Kind kind = Kind::want;
    std::uint16_t shard = 0;  // the shard that is not the home
    std::uint32_t count = 0;
    // want: slots granted so far; recall: slots given back so far, both as the sender knows and
    // modulo 2^32. What was under way when the message was sent counts towards it.
    std::uint32_t seen = 0;

    bool operator==(const SlotMessage&) const = default;
};

// Takes messages to another shard. It must not call back into the ledger.
class SlotSender {
public:
    // To `message.shard` from the home, to the home from a share.
    virtual void send(const SlotMessage& message) = 0;

protected:
    ~SlotSender() = default;
};

// A shard tells at most that many waiting requests at a time, the next ones as these are served.
inline constexpr std::uint32_t slot_demand_max = 64;

class SlotHome {
public:
    // Shards are numbered from 0 to shards - 1.
    SlotHome(std::uint16_t own_shard, std::uint16_t shards, std::uint32_t capacity,
             SlotSender& sender);
    SlotHome(const SlotHome&) = delete;
    SlotHome& operator=(const SlotHome&) = delete;
    ~SlotHome() { SLUICE_ASSERT(in_use_ == 0); }

    // --- as on every shard ---
    // One slot for a request of this shard; others that have waited longer come first.
    [[nodiscard]] bool try_acquire();
    void release();
    // How many requests wait on this shard, all of them.
    void demand(std::size_t waiting);
    void receive(const SlotMessage& message);

    // --- the home's alone ---
    // A backend that tells another number than before. Zero: nobody gets a slot.
    void set_capacity(std::uint32_t capacity);

    std::uint32_t capacity() const { return capacity_; }
    std::uint32_t in_use() const { return in_use_; }  // by this shard
    std::uint32_t lent() const { return lent_; }      // to all others
    std::uint32_t lent_to(std::uint16_t shard) const { return others_[shard].lent; }
    std::uint32_t allotted() const { return in_use_ + lent_; }
    // Requests that the home knows to be waiting, on all shards.
    std::size_t waiting() const { return line_.size(); }

private:
    struct Other {
        std::uint32_t lent = 0;
        std::uint32_t waiting = 0;      // its entries in line_
        std::uint32_t granted = 0;      // in all, modulo 2^32
        std::uint32_t returned = 0;     // in all, modulo 2^32
        std::uint32_t recalled = 0;     // what it still owes, as it will know
        std::uint32_t granted_now = 0;  // not yet sent
    };

    std::uint32_t free() const { return allotted() < capacity_ ? capacity_ - allotted() : 0; }
    void set_waiting(std::uint16_t shard, std::uint32_t count);
    void hand_out();
    std::uint32_t needed_beside(std::uint16_t shard) const;
    void call_back();
    void settle();

    const std::uint16_t own_;
    std::uint32_t capacity_;
    std::uint32_t in_use_ = 0;
    std::uint32_t lent_ = 0;
    std::vector<Other> others_;        // by shard; of the own one only `waiting` is used
    std::vector<std::uint16_t> line_;  // the shard of each waiting request, the first is next
    SlotSender& sender_;
};

class SlotShare {
public:
    SlotShare(std::uint16_t own_shard, SlotSender& sender) : own_(own_shard), sender_(sender) {}
    SlotShare(const SlotShare&) = delete;
    SlotShare& operator=(const SlotShare&) = delete;
    ~SlotShare() { SLUICE_ASSERT(in_use_ == 0); }

    // --- as on every shard ---
    [[nodiscard]] bool try_acquire();
    void release();
    void demand(std::size_t waiting);
    void receive(const SlotMessage& message);

    // --- the share's alone ---
    // From time to time, such as every second: gives back what was idle since the last tick.
    void tick();
    // From here on nothing is acquired, and everything goes back as it becomes free. For a shard
    // whose queue is empty: who still waits would not be served.
    void drain();

    std::uint32_t borrowed() const { return borrowed_; }
    std::uint32_t in_use() const { return in_use_; }
    std::uint32_t idle() const { return borrowed_ - in_use_; }
    // Whether tick() may have something to do.
    bool needs_tick() const { return idle() > 0; }
    // Nothing is held; a grant that is still under way will be given back when it comes.
    bool drained() const { return draining_ && borrowed_ == 0; }

private:
    void give_back(std::uint32_t count);

    const std::uint16_t own_;
    bool draining_ = false;
    std::uint32_t borrowed_ = 0;
    std::uint32_t in_use_ = 0;
    std::uint32_t idle_least_ = 0;  // since the last tick
    std::uint32_t wanted_ = 0;      // told to the home and not yet granted
    std::uint32_t owed_ = 0;        // recalled and not yet given back
    std::uint32_t granted_ = 0;     // in all, modulo 2^32
    std::uint32_t returned_ = 0;    // in all, modulo 2^32
    SlotSender& sender_;
};

}  // namespace sluice::policy
