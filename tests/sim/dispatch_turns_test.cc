// The dispatch on virtual time: lines that want the same slots, and those in a line that only some
// of the targets would do for.
#include "dispatch_rig.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::sim;

namespace {

// Two models of one target each: names of one engine that has one slot.
struct Engine : Box {
    Engine() {
        a.targets[0].slots = b.targets[0].slots = 1;
        b.targets[0].slot_pool = a.targets[0].slot_pool;
        REQUIRE(place(a, first).finding == Finding::placed);
    }
    Guest& queue(const Model& model, std::uint8_t priority = policy::WaitQueue::class_default) {
        guests.push_back(std::make_unique<Guest>(dispatch, model));
        guests.back()->served = &served;
        REQUIRE(guests.back()->queue(priority));
        return *guests.back();
    }
    // Serves all that wait; the models' names by turn.
    std::string order() {
        first.release(FailureClass::none);
        std::string names;
        while (names.size() < served.size()) {
            REQUIRE(served.size() == names.size() + 1);  // one slot, one at a time
            names += served.back()->model.name;
            served.back()->done();
        }
        return names;
    }

    Model& a = models.add("a", 1);
    Model& b = models.add("b", 1);
    Place first;
    std::vector<Guest*> served;
    std::vector<std::unique_ptr<Guest>> guests;
};

// One model of two targets that have one slot each, both of them taken.
struct Pair : Box {
    Pair() {
        for (Target& target : model.targets)
            target.slots = 1;
        for (Place& place : places)
            REQUIRE(this->place(model, place).finding == Finding::placed);
        if (&places[0].target() != &model.targets[0]) std::swap(places[0], places[1]);
    }

    Model& model = models.add("m", 2);
    Place places[2];
};

constexpr std::uint64_t only_first = 2;   // the second one was tried
constexpr std::uint64_t only_second = 1;  // the first one was

}  // namespace

// --- turns ----------------------------------------------------------------------------------

TEST_CASE("the lines of two models on one engine take turns") {
    Engine engine;
    for (int i = 0; i < 5; ++i)
        engine.queue(engine.a);
    for (int i = 0; i < 3; ++i)
        engine.queue(engine.b);
    CHECK(engine.order() == "abababaa");
}

TEST_CASE("a line that is never empty does not starve another one") {
    Engine engine;
    for (int i = 0; i < 3; ++i)
        engine.queue(engine.a);
    const Guest& other = engine.queue(engine.b);
    engine.first.release(FailureClass::none);
    std::size_t before = 0;
    for (; !other.place.held(); ++before) {
        REQUIRE(before < 100);
        engine.queue(engine.a);  // its client asks again at once
        engine.served.back()->done();
    }
    CHECK(before == 1);
    while (engine.dispatch.waiting() > 0)
        engine.served.back()->done();
}

TEST_CASE("a line that begins anew takes its turn behind the others") {
    Engine engine;
    Model& c = engine.models.add("c", 1);
    c.targets[0].slots = 1;
    c.targets[0].slot_pool = engine.a.targets[0].slot_pool;
    for (const Model* model : {&engine.b, &c, &engine.a, &engine.a, &c, &engine.b})
        engine.queue(*model);
    CHECK(engine.order() == "bcabca");
}

TEST_CASE("the smaller class goes first, whatever line it stands in") {
    Engine engine;
    for (const int priority : {8, 8, 2, 9})
        engine.queue(engine.a, static_cast<std::uint8_t>(priority));
    for (const int priority : {9, 9, 1, 1})
        engine.queue(engine.b, static_cast<std::uint8_t>(priority));
    CHECK(engine.order() == "bbaaabab");
}

TEST_CASE("who leaves a line takes its class along") {
    Engine engine;
    Guest& urgent = engine.queue(engine.a, 0);
    engine.queue(engine.a);
    engine.queue(engine.b, 3);
    engine.dispatch.leave(engine.a, urgent);
    CHECK(engine.order() == "ba");
}

TEST_CASE("R18: a line of the last class is not starved by another model's of the first") {
    for (const std::uint8_t last : {std::uint8_t{1}, std::uint8_t{8}, std::uint8_t{15}}) {
        CAPTURE(last);
        Engine engine;
        const Duration age = engine.a.setting.queue.age;
        const Instant begin = engine.loop.now();
        const Guest& poor = engine.queue(engine.b, last);
        for (int i = 0; i < 4; ++i)
            engine.queue(engine.a, 0);
        engine.first.release(FailureClass::none);
        const Duration service = Duration::millis(200);
        while (!poor.place.held()) {
            engine.wait(service);
            REQUIRE(!engine.served.empty());
            engine.queue(engine.a, 0);
            engine.served.back()->done();
            REQUIRE(engine.loop.now() - begin <
                    Duration{age.ns * last + 2 * service.ns + age.ns / 10});
        }
        CHECK((engine.loop.now() - begin).ns >= age.ns * (last - 1));
        while (engine.served.back()->place.held())
            engine.served.back()->done();
    }
}

// --- those that only some targets would do for ----------------------------------------------

TEST_CASE("who waits for one target does not hold up those that another one would do for") {
    Pair pair;
    Guest picky(pair.dispatch, pair.model, only_first);
    Guest any(pair.dispatch, pair.model);
    REQUIRE(picky.queue(0));
    CHECK_FALSE(pair.dispatch.anybody_waits(pair.model));
    REQUIRE(any.queue());
    CHECK(pair.dispatch.anybody_waits(pair.model));
    CHECK(pair.dispatch.waiting() == 2);
    CHECK(pair.dispatch.position(pair.model, picky) == 1);
    CHECK(pair.dispatch.position(pair.model, any) == 2);
    pair.places[1].release(FailureClass::none);
    CHECK(any.place.held());
    CHECK(picky.waiting());
    any.done();
    // Newcomers need not wait, either.
    CHECK_FALSE(pair.dispatch.anybody_waits(pair.model));
    CHECK(pair.pick(pair.model) == 1);
    pair.places[0].release(FailureClass::none);
    CHECK(picky.place.held());
    picky.done();
}

TEST_CASE("who waits for one target has the first pick of it") {
    Pair pair;
    Guest any(pair.dispatch, pair.model);
    Guest picky(pair.dispatch, pair.model, only_first);
    REQUIRE(any.queue(0));  // came first, in the first class
    REQUIRE(picky.queue(15));
    CHECK(pair.dispatch.position(pair.model, picky) == 1);
    CHECK(pair.dispatch.position(pair.model, any) == 2);
    pair.places[0].release(FailureClass::none);
    CHECK(picky.place.held());
    CHECK(any.waiting());
    picky.done();
    CHECK(any.place.held());
    any.done();
    pair.places[1].release(FailureClass::none);
}

TEST_CASE("those that wait for different targets do not hold up each other") {
    Pair pair;
    Guest first(pair.dispatch, pair.model, only_first);
    Guest behind(pair.dispatch, pair.model, only_first);
    Guest second(pair.dispatch, pair.model, only_second);
    for (Guest* guest : {&first, &behind, &second})
        REQUIRE(guest->queue(0));
    CHECK(pair.dispatch.position(pair.model, behind) == 2);
    pair.places[1].release(FailureClass::none);
    CHECK(second.place.held());
    CHECK(first.waiting());
    pair.dispatch.leave(pair.model, first);
    pair.places[0].release(FailureClass::none);
    CHECK(behind.place.held());
    behind.done();
    second.done();
}

TEST_CASE("a context too small is as good as tried") {
    Pair pair;
    pair.model.targets[0].setting.context = 8192;
    pair.model.targets[1].setting.context = 4096;
    Guest picky(pair.dispatch, Wish{.model = &pair.model, .context_min = 4096});
    Guest any(pair.dispatch, pair.model);
    REQUIRE(picky.queue(0));
    REQUIRE(any.queue());
    pair.places[1].release(FailureClass::none);
    CHECK(any.place.held());
    pair.places[0].release(FailureClass::none);
    CHECK(picky.place.held());
    any.done();
    picky.done();
}

TEST_CASE("a line's length is that of all who wait for its model") {
    Pair pair;
    pair.model.setting.queue.length = 3;
    Guest one(pair.dispatch, pair.model, only_first);
    Guest two(pair.dispatch, pair.model, only_second);
    Guest three(pair.dispatch, pair.model);
    Guest four(pair.dispatch, pair.model);
    REQUIRE(one.queue());
    REQUIRE(two.queue());
    REQUIRE(three.queue());
    CHECK_FALSE(four.queue());
    Guest five(pair.dispatch, pair.model, only_first);
    CHECK_FALSE(five.queue());
    pair.dispatch.leave(pair.model, one);
    REQUIRE(five.queue());
    for (Place& place : pair.places)
        place.release(FailureClass::none);
    CHECK(five.place.held());
    CHECK(two.place.held());
    five.done();
    CHECK(three.place.held());
    two.done();
    three.done();
}

TEST_CASE("more kinds of wishes than a model has lines for are served all the same") {
    constexpr std::size_t count = 40;
    Box box;
    Model& model = box.models.add("m", count);
    std::vector<Place> places(count);
    for (Target& target : model.targets)
        target.slots = 1;
    for (Place& place : places)
        REQUIRE(box.place(model, place).finding == Finding::placed);
    std::vector<std::unique_ptr<Guest>> guests;
    for (std::size_t i = 0; i < count; ++i) {
        guests.push_back(std::make_unique<Guest>(box.dispatch, model, std::uint64_t{1} << i));
        REQUIRE(guests.back()->queue());
    }
    CHECK(box.dispatch.waiting() == count);
    for (Place& place : places)
        place.release(FailureClass::none);
    // The last ones may have to wait until another target than the one left is free again.
    for (int round = 0; box.dispatch.placed() > 0; ++round) {
        REQUIRE(round < 3);
        for (const auto& guest : guests)
            if (guest->place.held()) guest->done();
    }
    CHECK(box.dispatch.waiting() == 0);
}
