// The dispatch on virtual time: slots, who waits for one, and several shards that share them.
#include "dispatch_rig.h"

#include <deque>
#include <map>
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

// --- several shards -------------------------------------------------------------------------

namespace {

// Shards in one process whose messages about slots take as long as the test wants.
struct Shards : LoopRig {
    struct Side final : Dispatch::Peers {
        Side(Shards& shards, std::uint16_t number)
            : all(shards), index(number), dispatch(shards.loop, number) {
            dispatch.set_peers(this);
        }
        void send_slots(std::uint32_t pool, const policy::SlotMessage& message) override {
            const std::size_t home = pool % all.sides.size();
            const std::size_t to = home == index ? message.shard : home;
            REQUIRE(to != index);
            all.under_way[{index, to}].push_back({pool, message});
        }
        void breaker_changed(const Target&, const policy::BreakerChange&) override {}
        void traffic_changed() override {}

        Shards& all;
        std::size_t index;
        Dispatch dispatch;
    };

    explicit Shards(std::uint16_t count) {
        for (std::uint16_t i = 0; i < count; ++i)
            sides.push_back(std::make_unique<Side>(*this, i));
        for (std::uint16_t i = 0; i < count; ++i)
            sides[i]->dispatch.join(i, count);
    }

    Dispatch& operator[](std::size_t shard) { return sides[shard]->dispatch; }
    // Delivers one message of a random pair of shards; those of a pair arrive in order.
    bool deliver_one() {
        std::vector<std::deque<std::pair<std::uint32_t, policy::SlotMessage>>*> some;
        std::vector<std::size_t> to;
        for (auto& [pair, messages] : under_way) {
            if (messages.empty()) continue;
            some.push_back(&messages);
            to.push_back(pair.second);
        }
        if (some.empty()) return false;
        const auto at = static_cast<std::size_t>(simulation.prng().below(some.size()));
        const auto [pool, message] = some[at]->front();
        some[at]->pop_front();
        sides[to[at]]->dispatch.receive(pool, message);
        return true;
    }
    void deliver_all() {
        while (deliver_one()) {
        }
    }

    std::vector<std::unique_ptr<Side>> sides;
    std::map<std::pair<std::size_t, std::size_t>,
             std::deque<std::pair<std::uint32_t, policy::SlotMessage>>>
        under_way;
    Models models;
};

}  // namespace

TEST_CASE("a shard that is not a backend's home borrows its slots, though the home is idle") {
    for (const std::uint32_t pool : {0u, 1u}) {
        CAPTURE(pool);
        Shards shards(2);
        Model& model = shards.models.add("m", 1);
        model.targets[0].slots = 2;
        model.targets[0].slot_pool = pool;
        for (const std::size_t shard : {0u, 1u})
            shards[shard].learn(shards.models.catalog);
        for (const std::size_t shard : {0u, 1u}) {
            CAPTURE(shard);
            std::vector<std::unique_ptr<Guest>> guests;
            std::size_t held = 0;
            for (int i = 0; i < 3; ++i) {
                auto guest = std::make_unique<Guest>(shards[shard], model);
                if (!guest->take_place()) REQUIRE(guest->queue());
                guests.push_back(std::move(guest));
            }
            shards.deliver_all();
            for (const auto& guest : guests)
                held += guest->place.held() ? 1 : 0;
            CHECK(held == 2);
            for (int i = 0; i < 3; ++i)
                for (const auto& guest : guests)
                    if (guest->place.held()) guest->done();
            CHECK(shards[shard].waiting() == 0);
            shards.deliver_all();
        }
        for (const std::size_t shard : {0u, 1u})
            shards[shard].drain();
        shards.deliver_all();
    }
}

TEST_CASE("who waits for one target on a shard borrows no slots of another one") {
    Shards shards(2);
    Model& model = shards.models.add("m", 2);  // the first one's home is shard 0
    for (Target& target : model.targets)
        target.slots = 1;
    for (const std::size_t shard : {0u, 1u})
        shards[shard].learn(shards.models.catalog);
    Guest first(shards[0], model, 2);
    Guest second(shards[1], model, 1);
    REQUIRE(first.take_place());
    REQUIRE(second.take_place());
    Guest picky(shards[1], model, 1);
    REQUIRE(picky.queue());
    shards.deliver_all();
    first.done();
    shards.deliver_all();
    CHECK(shards.under_way.empty());
    REQUIRE(first.take_place());
    first.done();
    second.done();
    CHECK(picky.place.held());
    picky.done();
    shards.deliver_all();
}

TEST_CASE("several shards never use more slots than there are, and serve all that wait") {
    for (const std::uint16_t count : {std::uint16_t{2}, std::uint16_t{3}}) {
        Shards shards(count);
        constexpr unsigned slots = 4;
        Model& model = shards.models.add("m", 2);
        Model& other = shards.models.add("another name", 2);
        for (std::size_t i = 0; i < 2; ++i) {
            model.targets[i].slots = other.targets[i].slots = slots;
            other.targets[i].slot_pool = model.targets[i].slot_pool;
        }
        for (std::size_t shard = 0; shard < count; ++shard)
            shards[shard].learn(shards.models.catalog);
        Prng& prng = shards.simulation.prng();
        std::vector<std::unique_ptr<Guest>> guests;
        std::size_t finished = 0;
        std::size_t used_most = 0;
        constexpr std::size_t requests = 2000;
        std::size_t begun = 0;
        for (int idle = 0; finished < requests; ++idle) {
            REQUIRE(idle < 200'000);
            const auto dice = prng.below(8);
            if (dice < 2 && begun < requests && guests.size() < 60) {
                const Model& asked = prng.chance(1, 3) ? other : model;
                const std::uint64_t tried = prng.chance(1, 4) ? 1 + prng.below(2) : 0;
                auto guest = std::make_unique<Guest>(shards[prng.below(count)], asked, tried);
                if ((tried == 0 && guest->dispatch.anybody_waits(asked)) || !guest->take_place())
                    REQUIRE(guest->queue());
                guests.push_back(std::move(guest));
                ++begun;
            } else if (dice < 5) {
                shards.deliver_one();
            } else if (dice == 5 && prng.chance(1, 10)) {
                shards.wait(Duration::millis(400));  // idle slots go back
            } else if (!guests.empty()) {
                auto& guest = guests[prng.below(guests.size())];
                if (!guest->place.held() && !prng.chance(1, 20)) continue;
                if (guest->place.held()) guest->done();  // else its client leaves
                std::swap(guest, guests.back());
                guests.pop_back();
                ++finished;
            }
            std::map<std::uint32_t, std::size_t> used;
            for (const auto& guest : guests)
                if (guest->place.held()) ++used[guest->place.target().slot_pool];
            for (const auto& [slot_pool, number] : used) {
                REQUIRE(number <= slots);
                used_most = std::max(used_most, number);
            }
        }
        CHECK(used_most == slots);
        for (std::size_t shard = 0; shard < count; ++shard) {
            CHECK(shards[shard].waiting() == 0);
            shards[shard].drain();
        }
        shards.deliver_all();
    }
}
