#include "slot_rig.h"
#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace sluice;
using namespace sluice::policy;
using policy::test::SlotRig;

namespace {

// Random traffic over random delays; what must hold at the end, whatever came before.
class Simulation {
public:
    explicit Simulation(std::uint64_t seed)
        : prng_(seed),
          shards_(static_cast<std::uint16_t>(prng_.between(1, 8))),
          home_(static_cast<std::uint16_t>(prng_.below(shards_))),
          rig_(shards_, home_, static_cast<std::uint32_t>(prng_.between(1, 6))) {
        arrivals_ = prng_.between(1, 30);
        deliveries_ = prng_.between(5, 80);
        resizes_ = prng_.chance(1, 2) ? 3 : 0;
        leaves_ = prng_.below(10);
    }

    void run(int steps) {
        for (int step = 0; step < steps; ++step)
            take_step();
        rig_.set_capacity(static_cast<std::uint32_t>(prng_.between(1, 6)));
        settle();
        // Capacity allows for one at least, so nobody waits any more.
        for (std::uint16_t shard = 0; shard < shards_; ++shard)
            REQUIRE(rig_.waiting(shard) == 0);
        REQUIRE(rig_.home().waiting() == 0);
        REQUIRE(rig_.served().size() + gone_.size() == static_cast<std::size_t>(next_));
        std::set<int> once(rig_.served().begin(), rig_.served().end());
        once.insert(gone_.begin(), gone_.end());
        REQUIRE(once.size() == static_cast<std::size_t>(next_));
        send_home();
    }

private:
    std::uint16_t any_shard() { return static_cast<std::uint16_t>(prng_.below(shards_)); }

    void take_step() {
        const std::uint16_t shard = any_shard();
        if (prng_.chance(arrivals_, 100)) rig_.arrive(shard, next_++);
        if (prng_.chance(leaves_, 100) && rig_.waiting(shard) > 0) leave(shard);
        if (prng_.chance(1, 6) && rig_.running(shard) > 0) rig_.end(shard);
        if (prng_.chance(1, 40)) rig_.tick(shard);
        if (prng_.chance(resizes_, 1000))
            rig_.set_capacity(static_cast<std::uint32_t>(prng_.below(9)));
        if (prng_.chance(deliveries_, 100)) rig_.deliver(any_shard(), prng_.chance(1, 2));
    }
    void leave(std::uint16_t shard) {
        gone_.push_back(rig_.leave(shard, prng_.below(rig_.waiting(shard))));
    }
    // No more arrivals: requests end and messages arrive, in any order, until nothing is left.
    void settle() {
        for (int idle = 0; idle < 2000; ++idle) {
            const std::uint16_t shard = any_shard();
            const bool to_home = prng_.chance(1, 2);
            if (rig_.deliver(shard, to_home)) idle = 0;
            if (rig_.running(shard) > 0 && prng_.chance(1, 8)) {
                rig_.end(shard);
                idle = 0;
            }
        }
    }
    // What is idle goes back by ticks or by draining, and then the home has it all.
    void send_home() {
        const bool drains = prng_.chance(1, 2);
        for (int round = 0; round < 2; ++round) {
            for (std::uint16_t shard = 0; shard < shards_; ++shard) {
                if (drains) {
                    rig_.drain(shard);
                } else {
                    rig_.tick(shard);
                }
            }
        }
        rig_.deliver_all();
        REQUIRE(rig_.home().allotted() == 0);
        for (std::uint16_t shard = 0; shard < shards_; ++shard)
            REQUIRE(rig_.share(shard).borrowed() == 0);
        if (shards_ == 1) REQUIRE(rig_.messages() == 0);
    }

    Prng prng_;
    std::uint16_t shards_;
    std::uint16_t home_;
    SlotRig rig_;
    // In so many of a hundred steps.
    std::uint64_t arrivals_;
    std::uint64_t deliveries_;
    std::uint64_t resizes_;  // of a thousand
    std::uint64_t leaves_;
    int next_ = 0;
    std::vector<int> gone_;
};

}  // namespace

TEST_CASE("slots: random traffic, delays, leaving and resizing keep every slot and every request") {
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        Simulation(seed).run(1500);
    }
}

TEST_CASE("slots: without delay all shards together serve in order of arrival") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        const auto shards = static_cast<std::uint16_t>(prng.between(1, 8));
        SlotRig rig(shards, static_cast<std::uint16_t>(prng.below(shards)),
                    static_cast<std::uint32_t>(prng.between(1, 5)));
        int next = 0;
        for (int step = 0; step < 1500; ++step) {
            const auto shard = static_cast<std::uint16_t>(prng.below(shards));
            if (prng.chance(1, 3) && rig.waiting(shard) < slot_demand_max)
                rig.arrive(shard, next++);
            rig.deliver_all();
            if (prng.chance(1, 2) && rig.running(shard) > 0) rig.end(shard);
            rig.deliver_all();
        }
        REQUIRE(rig.served().size() > 50);
        CHECK(std::ranges::is_sorted(rig.served()));
        for (std::uint16_t shard = 0; shard < shards; ++shard)
            while (rig.waiting(shard) > 0)
                rig.leave(shard, 0);
        rig.deliver_all();
        for (std::uint16_t shard = 0; shard < shards; ++shard)
            while (rig.running(shard) > 0)
                rig.end(shard);
    }
}

TEST_CASE("slots: a shard with an endless queue does not starve the others") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        constexpr std::uint16_t shards = 4;
        const auto home = static_cast<std::uint16_t>(prng.below(shards));
        const auto busy = static_cast<std::uint16_t>(prng.below(shards));
        const auto quiet = static_cast<std::uint16_t>((busy + prng.between(1, 3)) % shards);
        SlotRig rig(shards, home, 4);
        int next = 0;
        while (rig.waiting(busy) < 200)
            rig.arrive(busy, next++);
        const int lone = 1'000'000;
        const auto turn = [&] {
            for (int i = 0; i < 4; ++i)
                rig.deliver(static_cast<std::uint16_t>(prng.below(shards)), prng.chance(1, 2));
            if (rig.running(busy) > 0 && prng.chance(1, 4)) rig.end(busy);
            while (rig.waiting(busy) < 200)
                rig.arrive(busy, next++);
        };
        for (int i = 0; i < 200; ++i)
            turn();
        const std::size_t before = rig.served().size();
        rig.arrive(quiet, lone);
        for (int i = 0; i < 20'000 && rig.running(quiet) == 0; ++i)
            turn();
        REQUIRE(rig.running(quiet) == 1);
        // Ahead of it were those that the home knew of, and what ran while messages were under way.
        CHECK(rig.served().size() - before < slot_demand_max + 100);
        rig.end(quiet);
        while (rig.waiting(busy) > 0)
            rig.leave(busy, 0);
        rig.deliver_all();
        while (rig.running(busy) > 0)
            rig.end(busy);
    }
}
