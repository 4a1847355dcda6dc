#include "sluice/io/loop.h"

#include "loopback.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::test;

namespace {

// An actor whose advance() is whatever the test says.
struct Scripted final : io::Actor {
    Scripted(io::Loop& l, std::string n, std::vector<std::string>& record)
        : loop(l), name(std::move(n)), log(record) {}
    void advance() override {
        log.push_back(name);
        if (on_advance) on_advance();
    }
    void bury() override { log.push_back(name + " buried"); }

    io::Loop& loop;
    std::string name;
    std::vector<std::string>& log;
    std::function<void()> on_advance;
};

struct LoopRig : Rig {
    LoopRig() : loop(*ring, pool, nodes) {}
    mem::NodePool nodes;
    io::Loop loop;
    std::vector<std::string> log;
};

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("an actor that is made ready twice advances once, in the next turn") {
        LoopRig rig;
        Scripted actor(rig.loop, "a", rig.log);
        rig.loop.make_ready(actor);
        rig.loop.make_ready(actor);
        CHECK(rig.log.empty());
        rig.loop.turn(rig.loop.now());
        CHECK(rig.log == std::vector<std::string>{"a"});
        rig.loop.turn(rig.loop.now());
        CHECK(rig.log.size() == 1);
    }

    TEST_CASE("actors that are ready keep the loop from waiting") {
        LoopRig rig;
        Scripted actor(rig.loop, "a", rig.log);
        rig.loop.make_ready(actor);
        rig.loop.turn();  // without a deadline: returns all the same
        CHECK(rig.log.size() == 1);
    }

    TEST_CASE("an actor that another one makes ready advances in the same turn") {
        LoopRig rig;
        Scripted first(rig.loop, "first", rig.log);
        Scripted second(rig.loop, "second", rig.log);
        first.on_advance = [&] { rig.loop.make_ready(second); };
        rig.loop.make_ready(first);
        rig.loop.turn();
        CHECK(rig.log == std::vector<std::string>{"first", "second"});
    }

    TEST_CASE("two actors that keep each other busy do not keep the loop from its completions") {
        LoopRig rig;
        Scripted one(rig.loop, "one", rig.log);
        Scripted two(rig.loop, "two", rig.log);
        bool stop = false;
        one.on_advance = [&] {
            if (!stop) rig.loop.make_ready(two);
        };
        two.on_advance = [&] { rig.loop.make_ready(one); };
        rig.loop.make_ready(one);
        const auto turns = rig.ring->counters().turns;
        rig.loop.turn();
        rig.loop.turn();
        CHECK(rig.ring->counters().turns == turns + 2);
        stop = true;
        while (rig.loop.turn(rig.loop.now()), rig.log.back() != "one") {
        }
    }

    TEST_CASE("a retired actor is buried at the end of the turn and advances no more") {
        LoopRig rig;
        Scripted first(rig.loop, "first", rig.log);
        Scripted second(rig.loop, "second", rig.log);
        first.on_advance = [&] {
            rig.loop.retire(second);  // which is ready in this very turn
            rig.loop.make_ready(second);
            rig.loop.retire(first);
        };
        rig.loop.make_ready(first);
        rig.loop.make_ready(second);
        rig.loop.turn();
        CHECK(rig.log == std::vector<std::string>{"first", "second buried", "first buried"});
    }

    TEST_CASE("a timer ends the wait, and what its handler makes ready advances at once") {
        LoopRig rig;
        Scripted actor(rig.loop, "a", rig.log);
        io::Timer timer(&actor, [](void* self) {
            auto& woken = *static_cast<Scripted*>(self);
            woken.loop.make_ready(woken);
        });
        const Instant deadline = rig.loop.now() + Duration::millis(5);
        rig.loop.timers().arm(timer, deadline);
        while (timer.armed())
            rig.loop.turn();
        CHECK(rig.loop.now() >= deadline);
        CHECK(rig.log == std::vector<std::string>{"a"});
    }
}
