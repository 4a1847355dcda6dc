// The dispatch on virtual time: what the end of a try says, about whom, and to whom.
#include "dispatch_rig.h"
#include "sluice/policy/rests.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

using namespace sluice;
using namespace sluice::sim;
using upstream::Kind;

TEST_CASE("R1: what may be the requests' own fault takes a backend from nobody else") {
    // Of one caller, whatever it sends; of several, what they all send; and where others are
    // served.
    struct Row {
        const char* what;
        std::uint64_t callers;
        std::uint64_t requests;
        bool served_between;
        bool opens;
    };
    const Row rows[] = {{"one caller, one request", 1, 1, false, false},
                        {"one caller, many requests", 1, 50, false, false},
                        {"many callers, one request", 50, 1, false, false},
                        {"many callers, served in between", 50, 50, true, false},
                        {"many callers, many requests", 50, 50, false, true},
                        {"two callers", 2, 50, false, true}};
    for (const Row& row : rows) {
        CAPTURE(row.what);
        Box box;
        const Model& model = box.models.add("m", 1);
        Place place;
        for (std::uint64_t i = 0; i < 50; ++i) {
            const Found found = box.place(model, place);
            if (found.finding != Finding::placed) break;
            place.release({.failure = FailureClass::doubtful,
                           .answered = true,
                           .caller = 1 + i % row.callers,
                           .request = 1 + i % row.requests});
            if (row.served_between) REQUIRE(box.pick(model) == 0);
        }
        CHECK(box.heard.states.empty() == !row.opens);
    }
}

TEST_CASE("R1: what other shards saw is a witness, and so is who was served there") {
    // What one learns the other knows at once.
    struct Lessons final : policy::Teacher {
        explicit Lessons(Dispatch& to) : other(to) {}
        void tell(const policy::Lesson& lesson) override {
            ++told;
            if (const auto* doubt = std::get_if<policy::DoubtAt>(&lesson)) other.learn(*doubt);
            if (const auto* served = std::get_if<policy::ServedAt>(&lesson)) other.learn(*served);
        }
        Dispatch& other;
        int told = 0;
    };
    for (const bool served_between : {false, true}) {
        CAPTURE(served_between);
        Box box;
        Heard heard;
        Dispatch two(box.loop, 8);
        two.set_peers(&heard);
        Lessons to_one(box.dispatch);
        Lessons to_two(two);
        box.dispatch.join(0, 2, 1, &to_two);
        two.join(1, 2, 1, &to_one);
        const Model& model = box.models.add("m", 1);
        const auto ends = [&](Dispatch& where, FailureClass failure, std::uint64_t caller) {
            Place place;
            if (where.place({.model = &model}, place).finding != Finding::placed) return false;
            place.release(
                {.failure = failure, .answered = true, .caller = caller, .request = caller});
            box.wait(Duration::millis(2));
            return true;
        };
        for (int i = 0; i < 50; ++i) {
            ends(box.dispatch, FailureClass::doubtful, 1);
            if (served_between) REQUIRE(ends(two, FailureClass::none, 3));
            ends(two, FailureClass::doubtful, 2);
            if (served_between) REQUIRE(ends(box.dispatch, FailureClass::none, 3));
        }
        CHECK(box.heard.states.empty() == served_between);
        CHECK(heard.states.empty() == served_between);
        // Where nobody has failed there is nothing to be told.
        const int before = to_one.told;
        for (int i = 0; i < 10 && served_between; ++i)
            REQUIRE(ends(two, FailureClass::none, 3));
        CHECK(to_one.told <= before + 1);
    }
}

TEST_CASE("R1: a failed health check is a witness") {
    Box box;
    const Model& model = box.models.add("m", 2);
    std::vector<Place> places(3);
    for (Place& place : places)
        REQUIRE(box.place(model, place, 2).finding == Finding::placed);
    box.see(model, 0, Health::down);
    for (Place& place : places)
        place.release({.failure = FailureClass::doubtful, .answered = true, .caller = 1});
    CHECK(box.heard.states == std::vector{BreakerState::open});
}

TEST_CASE("R1: the last one that answers is asked, whatever it answers") {
    for (const bool answered : {true, false}) {
        CAPTURE(answered);
        Box box;
        const Model& model = box.models.add("m", 2);
        Place place;
        const auto open = [&](std::size_t target) {
            for (unsigned i = 0; i < model.setting.breaker.failures; ++i) {
                REQUIRE(box.place(model, place, target == 0 ? 2 : 1).finding == Finding::placed);
                place.release({.failure = FailureClass::transient, .answered = answered});
            }
        };
        open(0);
        const Wish wish{.model = &model, .unwilling_too = true};
        CHECK(box.pick(wish) == 1);
        // Another one is well: this request has asked it in vain, the first is not asked for that.
        CHECK_FALSE(box.dispatch.possible({.model = &model, .tried = 2, .unwilling_too = true}));
        box.see(model, 1, Health::down);
        if (answered) {
            const Found found = box.place(model, place);
            CHECK(found.unwilling);
            CHECK(box.dispatch.possible({.model = &model}));
            CHECK(box.pick(wish, FailureClass::transient) == 0);
            CHECK(box.pick(wish, FailureClass::transient) == 0);  // no rest for it
            // One that goes well is as good as the end of the cool-down.
            CHECK(box.pick(wish) == 0);
            CHECK(box.pick(model) == 0);
            CHECK(box.dispatch.view(model.targets[0]).breaker == BreakerState::closed);
        } else {
            CHECK(box.pick({.model = &model, .tried = 2, .unwilling_too = true}) == -1);
        }
    }
}

TEST_CASE("R2: a limit holds for one credential, as long as was said") {
    Box box;
    const Model& model = box.models.add("m", 2);
    Place place;
    const auto limit = [&](std::string_view credentials, std::optional<Duration> span) {
        REQUIRE(box.dispatch.place({.model = &model, .tried = 2, .credentials = credentials}, place)
                    .finding == Finding::placed);
        place.release({.failure = FailureClass::rate_limited,
                       .answered = true,
                       .retry_after = span,
                       .credentials = credentials});
    };
    const auto rests = [&](std::string_view credentials) {
        return !box.dispatch.possible({.model = &model, .tried = 2, .credentials = credentials});
    };
    limit("Authorization: Bearer one\r\n", Duration::seconds(100));
    CHECK(rests("Authorization: Bearer one\r\n"));
    CHECK_FALSE(rests("Authorization: Bearer two\r\n"));
    CHECK_FALSE(rests(""));
    CHECK(box.pick({.model = &model, .credentials = "Authorization: Bearer one\r\n"}) == 1);
    box.wait(Duration::seconds(100));
    CHECK_FALSE(rests("Authorization: Bearer one\r\n"));

    // As often as it says so: no longer than that.
    for (int i = 0; i < 20; ++i) {
        limit("", Duration::seconds(1));
        CHECK(rests(""));
        box.wait(Duration::seconds(1));
        CHECK_FALSE(rests(""));
    }
    limit("", std::nullopt);
    CHECK(rests(""));
    box.wait(policy::Rests::unsaid);
    CHECK_FALSE(rests(""));
    limit("", Duration{});
    CHECK_FALSE(rests(""));
    CHECK(box.heard.states.empty());

    // Where no other is left it is asked, and says so itself.
    limit("", Duration::seconds(100));
    box.see(model, 1, Health::down);
    const Found found = box.place(model, place);
    CHECK(found.unwilling);
    CHECK(found.resting);
    CHECK(*found.again - box.loop.now() == Duration::seconds(100));
    CHECK(box.pick({.model = &model, .unwilling_too = true}) == 0);
}

// --- requests that were left ----------------------------------------------------------------

namespace {

// A model whose server has so many slots, and knows how long an answer takes.
Model& with_slots(Box& box, std::uint32_t slots) {
    Model& model = box.models.add("m", 1, Kind::llama_server);
    model.targets[0].slots = slots;
    return model;
}

void leave(Box& box, const Model& model, std::optional<std::uint64_t> tokens_max = {}) {
    Place place;
    REQUIRE(box.place(model, place).finding == Finding::placed);
    place.leave_running(tokens_max);
    place.cancel();
}

Finding look(Box& box, const Model& model) {
    Place place;
    const Finding finding = box.place(model, place).finding;
    if (place.held()) place.cancel();
    return finding;
}

}  // namespace

TEST_CASE("R12: a request that was left holds its slot until it is likely to be done") {
    Box box;
    const Model& model = with_slots(box, 2);
    Place place;
    REQUIRE(box.place(model, place).finding == Finding::placed);
    box.wait(Duration::seconds(10));
    place.note_tokens(100);
    place.release(FailureClass::none);
    leave(box, model);
    CHECK(box.heard.left == 1);
    CHECK(box.dispatch.placed() == 0);
    CHECK(box.dispatch.left_running() == 1);
    CHECK(look(box, model) == Finding::placed);
    leave(box, model, 10);
    CHECK(look(box, model) == Finding::busy);
    box.wait(Duration::millis(1100));  // ten tokens
    CHECK(look(box, model) == Finding::placed);
    CHECK(box.dispatch.left_running() == 1);
    box.wait(Duration::seconds(20));
    CHECK(box.dispatch.left_running() == 0);
    CHECK(box.heard.states.empty());
}

TEST_CASE("R12: who waits is served when the server says that it is done, and not before") {
    Box box;
    const Model& model = with_slots(box, 1);
    const std::uint32_t endpoint = model.targets[0].endpoint->id;
    const auto says = [&](std::uint32_t left) {
        box.dispatch.see_sign(
            endpoint, {.alive = box.loop.now(), .since = box.loop.now(), .left_running = left});
    };
    const Instant before = box.loop.now();
    box.wait(Duration::millis(10));
    leave(box, model);
    Guest guest(box.dispatch, model);
    REQUIRE(guest.queue());
    // What it said before that.
    box.dispatch.see_sign(endpoint, {.alive = before, .since = before, .left_running = 0});
    CHECK(guest.waiting());
    for (int i = 0; i < 300; ++i) {
        box.wait(Duration::seconds(1));
        says(1);
    }
    CHECK(guest.waiting());
    says(0);
    CHECK_FALSE(guest.waiting());
    CHECK(guest.place.held());
    guest.done();
    CHECK(box.dispatch.left_running() == 0);
    // Another server's word is not this one's; and one that tells no more is believed for a while.
    leave(box, model);
    box.dispatch.see_sign(endpoint + 1, {.alive = {}, .since = box.loop.now(), .left_running = 0});
    CHECK(look(box, model) == Finding::busy);
    box.wait(Duration::seconds(61));
    CHECK(look(box, model) == Finding::placed);
}

TEST_CASE("R12: as many stay as the server says, the last that were left") {
    Box box;
    const Model& model = with_slots(box, 4);
    const std::uint32_t endpoint = model.targets[0].endpoint->id;
    for (int i = 0; i < 4; ++i)
        leave(box, model);
    CHECK(look(box, model) == Finding::busy);
    for (const std::size_t left : {3U, 3U, 1U}) {
        box.dispatch.see_sign(endpoint, {.alive = {},
                                         .since = box.loop.now(),
                                         .left_running = static_cast<std::uint32_t>(left)});
        CHECK(box.dispatch.left_running() == left);
    }
    // It may compute for others, too.
    box.dispatch.see_sign(endpoint, {.alive = {}, .since = box.loop.now(), .left_running = 9});
    CHECK(box.dispatch.left_running() == 1);
    CHECK(box.dispatch.traffic()[endpoint].left_running == 1);
    box.dispatch.forget_left();
    CHECK(box.dispatch.left_running() == 0);
    CHECK(box.dispatch.traffic()[endpoint].left_running == 0);
    leave(box, model);
    CHECK(box.dispatch.left_running() == 0);
    CHECK(box.loop.timers().armed() == 0);
}

TEST_CASE("R12: another target that is free is taken, where slots are not known as well") {
    for (const std::uint32_t slots : {1U, 0U}) {
        Box box;
        Model& model = box.models.add("m", 2);
        for (Target& target : model.targets)
            target.slots = slots;
        Place place;
        REQUIRE(box.place(model, place).finding == Finding::placed);
        const Target* left = &place.target();
        place.leave_running({});
        place.cancel();
        for (int i = 0; i < 5; ++i) {
            REQUIRE(box.place(model, place).finding == Finding::placed);
            CHECK(&place.target() != left);
            place.release(FailureClass::none);
        }
    }
}
