// The dispatch on virtual time: slots, and who waits for one.
#include "dispatch_rig.h"

#include <memory>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::sim;

// --- slots ----------------------------------------------------------------------------------

TEST_CASE("a target takes no more than its slots, and targets of one engine share them") {
    Box box;
    Model& model = box.models.add("m", 1);
    Model& other = box.models.add("other name", 1);
    model.targets[0].slots = other.targets[0].slots = 2;
    other.targets[0].slot_pool = model.targets[0].slot_pool;
    Place one;
    Place two;
    Place three;
    REQUIRE(box.place(model, one).finding == Finding::placed);
    REQUIRE(box.place(other, two).finding == Finding::placed);
    CHECK(box.place(model, three).finding == Finding::busy);
    CHECK(box.place(other, three).finding == Finding::busy);
    CHECK(box.dispatch.possible({.model = &model}));
    two.cancel();
    REQUIRE(box.place(model, three).finding == Finding::placed);
    one.release(FailureClass::transient);
    three.release(FailureClass::none);
}

TEST_CASE("a server that tells of more slots, or fewer, gets as many requests") {
    Box box;
    Model& model = box.models.add("m", 1);
    std::vector<Place> places(8);
    const auto fill = [&] {
        std::size_t held = 0;
        for (Place& place : places)
            if (place.held() || box.place(model, place).finding == Finding::placed) ++held;
        return held;
    };
    model.targets[0].slots = 3;
    CHECK(fill() == 3);
    model.targets[0].slots = 5;
    CHECK(fill() == 5);
    // Nobody is cut off; but no other comes before it fits again.
    model.targets[0].slots = 2;
    CHECK(fill() == 5);
    for (int i = 0; i < 4; ++i) {
        places[static_cast<std::size_t>(i)].release(FailureClass::none);
        CHECK(fill() == (i < 3 ? 4 - static_cast<std::size_t>(i) : 2));
    }
    // One that does not tell any more still has them.
    model.targets[0].slots = 0;
    CHECK(fill() == 2);
    for (Place& place : places)
        place.cancel();
}

// --- lines ----------------------------------------------------------------------------------

TEST_CASE("a line is served by class, then by turns of the consumers, then by arrival") {
    Box box;
    Model& model = box.models.add("m", 1);
    model.targets[0].slots = 1;
    Place first;
    REQUIRE(box.place(model, first).finding == Finding::placed);
    CHECK_FALSE(box.dispatch.anybody_waits(model));

    struct Row {
        std::uint8_t priority;
        policy::ConsumerKey consumer;
        std::size_t turn;
    };
    const std::vector<Row> rows = {{8, 1, 1}, {8, 1, 3}, {8, 1, 5}, {8, 2, 2},
                                   {8, 2, 4}, {9, 3, 6}, {0, 1, 0}};
    std::vector<std::unique_ptr<Guest>> guests;
    std::vector<Guest*> served;
    for (const Row& row : rows) {
        guests.push_back(std::make_unique<Guest>(box.dispatch, model));
        guests.back()->served = &served;
        REQUIRE(guests.back()->queue(row.priority, row.consumer));
    }
    CHECK(box.dispatch.anybody_waits(model));
    CHECK(box.dispatch.waiting() == rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
        CHECK(box.dispatch.position(model, *guests[i]) == rows[i].turn + 1);
    first.release(FailureClass::none);
    for (std::size_t turn = 0; turn < rows.size(); ++turn) {
        REQUIRE(served.size() == turn + 1);  // one slot, one at a time
        served.back()->done();
    }
    for (std::size_t i = 0; i < rows.size(); ++i)
        CHECK(served[rows[i].turn] == guests[i].get());
}

TEST_CASE("who leaves a line frees its place in it, and a full line takes nobody") {
    Box box;
    Model& model = box.models.add("m", 1);
    model.targets[0].slots = 1;
    model.setting.queue.length = 2;
    Place place;
    REQUIRE(box.place(model, place).finding == Finding::placed);
    Guest one(box.dispatch, model);
    Guest two(box.dispatch, model);
    Guest three(box.dispatch, model);
    REQUIRE(one.queue());
    REQUIRE(two.queue());
    CHECK_FALSE(three.queue());
    CHECK(box.dispatch.retry_after(model) >= policy::DrainRate::retry_after_min);
    box.dispatch.leave(model, one);
    CHECK(box.dispatch.position(model, two) == 1);
    REQUIRE(three.queue());
    place.release(FailureClass::none);
    CHECK(two.place.held());
    CHECK_FALSE(three.place.held());
    two.done();
    CHECK(three.place.held());
    three.done();
}

TEST_CASE("a line of length 0 is none") {
    Box box;
    Model& model = box.models.add("m", 1);
    model.setting.queue.length = 0;
    Guest guest(box.dispatch, model);
    CHECK_FALSE(guest.queue());
    CHECK(box.dispatch.retry_after(model) == policy::DrainRate::retry_after_min);
}

TEST_CASE("the time to come again is that of the observed drain") {
    Box box;
    Model& model = box.models.add("m", 1);
    model.targets[0].slots = 1;
    model.setting.queue.length = 10;
    Place place;
    REQUIRE(box.place(model, place).finding == Finding::placed);
    std::vector<std::unique_ptr<Guest>> guests;
    std::vector<Guest*> served;
    for (int i = 0; i < 10; ++i) {
        guests.push_back(std::make_unique<Guest>(box.dispatch, model));
        guests.back()->served = &served;
        REQUIRE(guests.back()->queue());
    }
    box.wait(Duration::seconds(5));
    place.release(FailureClass::none);
    for (std::size_t i = 0; i < 5; ++i) {
        box.wait(Duration::seconds(5));
        served.back()->done();
    }
    // Four wait: a slot each five seconds.
    const Duration after = box.dispatch.retry_after(model);
    CHECK(after >= Duration::seconds(15));
    CHECK(after <= Duration::seconds(30));
    while (served.size() < guests.size() || served.back()->place.held())
        served.back()->done();
}

TEST_CASE("those that wait for a backend hear when none is left") {
    Box box;
    Model& model = box.models.add("m", 1);
    model.targets[0].slots = 1;
    std::vector<Place> places(1);
    REQUIRE(box.place(model, places[0]).finding == Finding::placed);
    Guest guest(box.dispatch, model);
    REQUIRE(guest.queue());
    places[0].release(FailureClass::hard);
    CHECK_FALSE(guest.waiting());
    CHECK_FALSE(guest.place.held());
    CHECK(guest.found.finding == Finding::exhausted);
}

TEST_CASE("the lines of two models on one engine do not block each other") {
    Box box;
    Model& model = box.models.add("m", 1);
    Model& other = box.models.add("other", 1);
    model.targets[0].slots = 1;
    Place place;
    REQUIRE(box.place(model, place).finding == Finding::placed);
    Guest stuck(box.dispatch, model);
    REQUIRE(stuck.queue());
    box.see(other, 0, Health::loading);
    Guest guest(box.dispatch, other);
    REQUIRE(guest.queue());
    box.see(other, 0, Health::up);
    CHECK(guest.place.held());
    CHECK(stuck.waiting());
    guest.done();
    place.release(FailureClass::none);
    stuck.done();
}
