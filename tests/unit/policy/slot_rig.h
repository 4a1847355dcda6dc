// Several shards with queues of requests over one slot ledger, and the messages between them.
//
// Messages wait in one channel a direction and shard until deliver() is told to take one, so a
// test chooses the delays. Every step checks what the ledger promises.
#pragma once

#include "sluice/policy/slot_ledger.h"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <vector>

namespace sluice::policy::test {

class SlotRig final : public SlotSender {
public:
    SlotRig(std::uint16_t shards, std::uint16_t home, std::uint32_t capacity)
        : home_shard_(home), home_(home, shards, capacity, *this), channels_(shards) {
        for (std::uint16_t shard = 0; shard < shards; ++shard)
            shards_.push_back(std::make_unique<Shard>(shard, *this));
    }

    std::uint16_t shards() const { return static_cast<std::uint16_t>(shards_.size()); }
    SlotHome& home() { return home_; }
    SlotShare& share(std::uint16_t shard) { return shards_[shard]->share; }
    std::size_t waiting(std::uint16_t shard) const { return shards_[shard]->queue.size(); }
    std::uint32_t running(std::uint16_t shard) const { return shards_[shard]->running; }
    std::size_t messages() const { return messages_; }
    // The requests that got a slot, in this order.
    const std::vector<int>& served() const { return served_; }

    // --- steps ---
    void arrive(std::uint16_t shard, int request) {
        Shard& at = *shards_[shard];
        if (at.queue.empty() && try_acquire(shard)) {
            serve(shard, request);
        } else {
            at.queue.push_back(request);
        }
        follow(shard);
    }
    // The request at this place of the queue gives up.
    int leave(std::uint16_t shard, std::size_t place) {
        auto& queue = shards_[shard]->queue;
        const int request = queue[place];
        queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(place));
        follow(shard);
        return request;
    }
    void end(std::uint16_t shard) {
        REQUIRE(shards_[shard]->running > 0);
        --shards_[shard]->running;
        if (shard == home_shard_) {
            home_.release();
        } else {
            share(shard).release();
        }
        follow(shard);
    }
    void tick(std::uint16_t shard) {
        if (shard != home_shard_) share(shard).tick();
        follow(shard);
    }
    void drain(std::uint16_t shard) {
        if (shard != home_shard_) share(shard).drain();
        follow(shard);
    }
    void set_capacity(std::uint32_t capacity) {
        home_.set_capacity(capacity);
        follow(home_shard_);
    }
    // The oldest message of a direction arrives; false: there is none.
    bool deliver(std::uint16_t shard, bool to_home) {
        auto& channel = to_home ? channels_[shard].to_home : channels_[shard].from_home;
        if (channel.empty()) return false;
        const SlotMessage message = channel.front();
        channel.pop_front();
        if (to_home) {
            home_.receive(message);
            follow(home_shard_);
        } else {
            share(shard).receive(message);
            follow(shard);
        }
        return true;
    }
    // Until no message is under way.
    void deliver_all() {
        for (bool any = true; any;) {
            any = false;
            for (std::uint16_t shard = 0; shard < shards(); ++shard)
                for (const bool to_home : {true, false})
                    any = deliver(shard, to_home) || any;
        }
    }

private:
    struct Shard {
        Shard(std::uint16_t number, SlotSender& sender) : share(number, sender) {}
        SlotShare share;  // unused at home
        std::deque<int> queue;
        std::uint32_t running = 0;
    };
    struct Channels {
        std::deque<SlotMessage> to_home;
        std::deque<SlotMessage> from_home;
    };

    void send(const SlotMessage& message) override {
        using Kind = SlotMessage::Kind;
        ++messages_;
        REQUIRE(message.shard != home_shard_);
        const bool to_home = message.kind == Kind::want || message.kind == Kind::give_back;
        Channels& channels = channels_[message.shard];
        (to_home ? channels.to_home : channels.from_home).push_back(message);
    }
    bool try_acquire(std::uint16_t shard) {
        return shard == home_shard_ ? home_.try_acquire() : share(shard).try_acquire();
    }
    void serve(std::uint16_t shard, int request) {
        ++shards_[shard]->running;
        served_.push_back(request);
    }
    // What every shard does after each step, as the header of the ledger says.
    void follow(std::uint16_t shard) {
        auto& queue = shards_[shard]->queue;
        while (!queue.empty() && try_acquire(shard)) {
            serve(shard, queue.front());
            queue.pop_front();
        }
        if (shard == home_shard_) {
            home_.demand(queue.size());
        } else {
            share(shard).demand(queue.size());
        }
        check();
    }
    void check() {
        std::uint32_t in_use = shards_[home_shard_]->running;
        std::uint32_t lent = 0;
        REQUIRE(home_.in_use() == in_use);
        for (std::uint16_t shard = 0; shard < shards(); ++shard) {
            if (shard == home_shard_) continue;
            REQUIRE(share(shard).in_use() == shards_[shard]->running);
            REQUIRE(share(shard).in_use() <= share(shard).borrowed());
            in_use += share(shard).in_use();
            // Each slot is at one place, be it on its way.
            std::uint32_t slots = share(shard).borrowed();
            for (const SlotMessage& message : channels_[shard].to_home)
                if (message.kind == SlotMessage::Kind::give_back) slots += message.count;
            for (const SlotMessage& message : channels_[shard].from_home)
                if (message.kind == SlotMessage::Kind::grant) slots += message.count;
            REQUIRE(home_.lent_to(shard) == slots);
            lent += slots;
        }
        REQUIRE(home_.lent() == lent);
        REQUIRE(in_use <= home_.allotted());
        const bool fits = home_.allotted() <= home_.capacity();
        const bool falls = home_.allotted() <= allotted_before_;
        REQUIRE((fits || falls));
        allotted_before_ = home_.allotted();
    }

    const std::uint16_t home_shard_;
    SlotHome home_;
    std::vector<std::unique_ptr<Shard>> shards_;
    std::vector<Channels> channels_;
    std::vector<int> served_;
    std::size_t messages_ = 0;
    std::uint32_t allotted_before_ = 0;
};

}  // namespace sluice::policy::test
