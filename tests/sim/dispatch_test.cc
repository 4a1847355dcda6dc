// The dispatch on virtual time: where a request is placed, what is left alone and for how long, and
// who waits for whom.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "sluice/upstream/dispatch.h"

#include "upstream_rig.h"

#include <array>
#include <deque>
#include <map>
#include <vector>

using namespace sluice;
using namespace sluice::upstream;
using policy::BreakerState;
using policy::FailureClass;

namespace {

constexpr std::uint64_t all_tried = ~std::uint64_t{0};

// Keeps what it was told.
struct Heard final : Dispatch::Peers {
    void send_slots(std::uint32_t, const policy::SlotMessage&) override { ++slot_messages; }
    void breaker_changed(const Target&, const policy::BreakerChange& change) override {
        states.push_back(change.to);
    }
    int slot_messages = 0;
    std::vector<BreakerState> states;
};

struct Box : sim::LoopRig {
    Box() { dispatch.set_peers(&heard); }
    ~Box() {
        CHECK(dispatch.waiting() == 0);
        CHECK(heard.slot_messages == 0);
    }

    Found place(const Model& model, Place& place, std::uint64_t tried = 0) {
        return dispatch.place({.model = &model, .tried = tried}, place);
    }
    // The number of the target that gets a request that is over at once; -1: none does.
    int pick(const Wish& wish, FailureClass end = FailureClass::none) {
        Place place;
        if (dispatch.place(wish, place).finding != Finding::placed) return -1;
        const auto index = &place.target() - wish.model->targets.data();
        place.release(end);
        return static_cast<int>(index);
    }
    int pick(const Model& model, FailureClass end = FailureClass::none) {
        return pick({.model = &model}, end);
    }
    void open_breaker(const Model& model) {
        for (unsigned i = 0; i < model.setting.breaker.failures; ++i)
            REQUIRE(pick(model, FailureClass::transient) == 0);
    }
    void see(const Model& model, std::size_t target, Health health) {
        dispatch.see_health(*model.targets[target].endpoint, health);
    }

    sim::Models models;
    Heard heard;
    Dispatch dispatch{loop, 7};
};

// Somebody who waits in a line, and holds its place until it is told to leave.
struct Guest final : Dispatch::Waiting {
    Guest(Dispatch& where, const Model& which) : dispatch(where), model(which) {}
    ~Guest() {
        if (waiting()) dispatch.leave(model, *this);
        place.cancel();
    }

    bool take_place() override {
        found = dispatch.place({.model = &model}, place);
        if (found.finding == Finding::busy || found.finding == Finding::loading) return false;
        if (served != nullptr) served->push_back(this);
        return true;
    }
    bool queue(std::uint8_t priority = policy::WaitQueue::class_default,
               policy::ConsumerKey consumer = 1) {
        return dispatch.wait(model, *this, priority, consumer);
    }
    void done() { place.release(FailureClass::none); }

    Dispatch& dispatch;
    const Model& model;
    Place place;
    Found found;
    std::vector<Guest*>* served = nullptr;
};

}  // namespace

// --- balance --------------------------------------------------------------------------------

TEST_CASE("round robin follows the weights") {
    Box box;
    Model& model = box.models.add("m", 3);
    model.setting.balance = config::Balance::round_robin;
    model.targets[0].setting.weight = 3;
    std::array<int, 3> counts{};
    for (int i = 0; i < 50; ++i)
        ++counts[static_cast<std::size_t>(box.pick(model))];
    CHECK(counts == std::array{30, 10, 10});
}

TEST_CASE("the least busy one has the fewest requests under way") {
    Box box;
    Model& model = box.models.add("m", 4);
    model.setting.balance = config::Balance::least_busy;
    std::array<Place, 12> places;
    std::array<int, 4> counts{};
    for (Place& place : places) {
        REQUIRE(box.place(model, place).finding == Finding::placed);
        ++counts[static_cast<std::size_t>(&place.target() - model.targets.data())];
    }
    CHECK(counts == std::array{3, 3, 3, 3});
    // The next ones go where places became free.
    const Target& freed = places[5].target();
    places[5].release(FailureClass::none);
    REQUIRE(box.place(model, places[5]).finding == Finding::placed);
    CHECK(&places[5].target() == &freed);
    for (Place& place : places)
        place.release(FailureClass::none);
}

TEST_CASE("the quicker one gets the requests, once both were measured") {
    Box box;
    Model& model = box.models.add("m", 2);
    model.setting.balance = config::Balance::least_latency;
    const auto run = [&] {
        Place place;
        REQUIRE(box.place(model, place).finding == Finding::placed);
        const int index = &place.target() == model.targets.data() ? 0 : 1;
        box.wait(Duration::millis(index == 0 ? 200 : 20));
        place.first_byte();
        place.release(FailureClass::none);
        return index;
    };
    std::array<int, 2> counts{};
    for (int i = 0; i < 2; ++i)
        ++counts[static_cast<std::size_t>(run())];
    CHECK(counts == std::array{1, 1});
    for (int i = 0; i < 50; ++i)
        CHECK(run() == 1);
}

TEST_CASE("what stays together goes to one target, and elsewhere only while that one is out") {
    Box box;
    Model& model = box.models.add("m", 4);
    model.setting.balance = config::Balance::hash;
    std::array<int, 4> counts{};
    for (std::uint64_t key = 1; key <= 400; ++key) {
        const int home = box.pick({.model = &model, .key = key});
        ++counts[static_cast<std::size_t>(home)];
        CHECK(box.pick({.model = &model, .key = key}) == home);
        const int other =
            box.pick({.model = &model, .tried = std::uint64_t{1} << home, .key = key});
        CHECK(other >= 0);
        CHECK(other != home);
    }
    for (const int count : counts) {
        CHECK(count > 60);
        CHECK(count < 140);
    }
}

TEST_CASE("a conversation goes where its prompt was served last") {
    Box box;
    Model& model = box.models.add("m", 3, Kind::llama_server);
    REQUIRE(balances_by_prefix(model));
    std::array<int, 3> counts{};
    for (int conversation = 0; conversation < 30; ++conversation) {
        std::string prompt(4000, static_cast<char>('a' + conversation % 26));
        prompt += std::to_string(conversation);
        prompt.append(2000, 'x');
        int home = -1;
        for (int turn = 0; turn < 4; ++turn) {
            policy::PrefixHashes hashes;
            policy::PrefixHasher hasher(hashes, box.dispatch.prefix_seed(model), 4002);
            hasher.feed(prompt);
            hasher.finish();
            const int index = box.pick({.model = &model, .prompt = &hashes});
            if (turn > 0) CHECK(index == home);
            home = index;
            prompt.append(1500, 'y');
        }
        ++counts[static_cast<std::size_t>(home)];
    }
    for (const int count : counts)
        CHECK(count > 0);
}

TEST_CASE("several llama-servers are balanced by prefix when nothing is said, and others are not") {
    sim::Models models;
    CHECK(balances_by_prefix(models.add("llamas", 2, Kind::llama_server)));
    CHECK_FALSE(balances_by_prefix(models.add("one llama", 1, Kind::llama_server)));
    CHECK_FALSE(balances_by_prefix(models.add("others", 2, Kind::vllm)));
    Model& mixed = models.add("mixed", 2, Kind::llama_server);
    mixed.targets[1].kind = Kind::ollama;
    CHECK_FALSE(balances_by_prefix(mixed));
    mixed.setting.balance = config::Balance::prefix;
    CHECK(balances_by_prefix(mixed));
    Model& told = models.add("told", 2, Kind::llama_server);
    told.setting.balance = config::Balance::least_busy;
    CHECK_FALSE(balances_by_prefix(told));
}

TEST_CASE("a later priority serves only when the one before it cannot") {
    Box box;
    Model& model = box.models.add("m", 3);
    model.targets[0].setting.priority = 2;
    model.targets[1].setting.priority = 1;
    model.targets[2].setting.priority = 1;
    for (int i = 0; i < 10; ++i)
        CHECK(box.pick(model) != 0);
    CHECK(box.pick({.model = &model, .tried = 0b110}) == 0);
    box.see(model, 1, Health::down);
    CHECK(box.pick(model) == 2);
    box.see(model, 2, Health::down);
    CHECK(box.pick(model) == 0);
}

// --- what is out of the question ------------------------------------------------------------

TEST_CASE("what was tried is not tried again, and then none is left") {
    Box box;
    const Model& model = box.models.add("m", 3);
    CHECK(box.pick({.model = &model, .tried = 0b101}) == 1);
    Place place;
    const Found found = box.place(model, place, 0b111);
    CHECK(found.finding == Finding::exhausted);
    CHECK_FALSE(found.again.has_value());
    CHECK_FALSE(box.dispatch.possible({.model = &model, .tried = all_tried}));
    CHECK(box.dispatch.possible({.model = &model, .tried = 0b011}));
}

TEST_CASE("a prompt that was too long goes to a larger context only") {
    Box box;
    Model& model = box.models.add("m", 3);
    model.targets[1].setting.context = 8192;
    model.targets[2].setting.context = 4096;
    CHECK(box.pick({.model = &model, .context_min = 4096}) == 1);
    CHECK(box.pick({.model = &model, .context_min = 8191}) == 1);
    // A context that nobody knows is no larger one.
    CHECK(box.pick({.model = &model, .context_min = 8192}) == -1);
    CHECK_FALSE(box.dispatch.possible({.model = &model, .context_min = 8192}));
    CHECK(box.dispatch.possible({.model = &model, .context_min = 5000}));
}

// --- breakers -------------------------------------------------------------------------------

TEST_CASE("a breaker opens by failures in a row, lets one probe pass, and closes by it") {
    Box box;
    const Model& model = box.models.add("m", 1);
    box.open_breaker(model);
    CHECK(box.heard.states == std::vector{BreakerState::open});
    Place probe;
    const Found refused = box.place(model, probe);
    CHECK(refused.finding == Finding::exhausted);
    REQUIRE(refused.again.has_value());
    const Duration open_for = *refused.again - box.loop.now();
    CHECK(open_for >= model.setting.breaker.open * 4 / 5);
    CHECK(open_for <= model.setting.breaker.open * 6 / 5);
    CHECK_FALSE(box.dispatch.possible({.model = &model}));

    box.wait(open_for - Duration::millis(2));
    CHECK(box.pick(model) == -1);
    box.wait(Duration::millis(5));
    REQUIRE(box.place(model, probe).finding == Finding::placed);
    CHECK(box.pick(model) == -1);  // one at a time
    // A probe whose client left says nothing: the next one may be it.
    probe.cancel();
    REQUIRE(box.place(model, probe).finding == Finding::placed);
    probe.release(FailureClass::none);
    CHECK(box.heard.states ==
          std::vector{BreakerState::open, BreakerState::half_open, BreakerState::closed});
    CHECK(box.pick(model) == 0);
}

TEST_CASE("a probe that fails opens the breaker for longer") {
    Box box;
    const Model& model = box.models.add("m", 1);
    box.open_breaker(model);
    Place none;
    Duration before{};
    for (int i = 0; i < 4; ++i) {
        const Found refused = box.place(model, none);
        REQUIRE(refused.again.has_value());
        const Duration open_for = *refused.again - box.loop.now();
        CHECK(open_for > before);
        before = open_for;
        box.wait(open_for + Duration::millis(2));
        REQUIRE(box.pick(model, FailureClass::transient) == 0);
    }
}

TEST_CASE("failures that are not the backend's never open a breaker") {
    for (const auto failure : {FailureClass::client, FailureClass::context_length,
                               FailureClass::policy_block, FailureClass::loading}) {
        Box box;
        const Model& model = box.models.add("m", 1);
        for (int i = 0; i < 50; ++i)
            REQUIRE(box.pick(model, failure) == 0);
        CHECK(box.heard.states.empty());
    }
}

TEST_CASE("a hard failure opens at once, and what a backend asks for is respected") {
    Box box;
    const Model& model = box.models.add("m", 1);
    REQUIRE(box.pick(model, FailureClass::hard) == 0);
    Place place;
    const Found refused = box.place(model, place);
    REQUIRE(refused.again.has_value());
    CHECK(*refused.again - box.loop.now() > model.setting.breaker.hard_open / 2);

    const Model& limited = box.models.add("limited", 1);
    for (unsigned i = 0; i < limited.setting.breaker.failures; ++i) {
        REQUIRE(box.place(limited, place).finding == Finding::placed);
        place.release(FailureClass::rate_limited, Duration::seconds(100));
    }
    const Found later = box.place(limited, place);
    REQUIRE(later.again.has_value());
    CHECK(*later.again - box.loop.now() >= Duration::seconds(100));
}

TEST_CASE("the breakers of two models on one server are two") {
    Box box;
    const Model& one = box.models.add("one", 1);
    Model& two = box.models.add("two", 1);
    two.targets[0].endpoint = one.targets[0].endpoint;
    box.open_breaker(one);
    CHECK(box.pick(one) == -1);
    CHECK(box.pick(two) == 0);
}

TEST_CASE("a server that was seen well is probed at once") {
    Box box;
    const Model& model = box.models.add("m", 1);
    box.open_breaker(model);
    box.see(model, 0, Health::down);
    CHECK(box.pick(model) == -1);
    box.see(model, 0, Health::up);
    CHECK(box.pick(model) == 0);
    CHECK(box.heard.states.back() == BreakerState::closed);
}

// --- health ---------------------------------------------------------------------------------

TEST_CASE("who is down or loading is left alone while another is up") {
    for (const auto health : {Health::down, Health::loading}) {
        Box box;
        const Model& model = box.models.add("m", 3);
        box.see(model, 0, health);
        box.see(model, 1, health);
        for (int i = 0; i < 10; ++i)
            CHECK(box.pick(model) == 2);
        CHECK(box.dispatch.health_of(*model.targets[1].endpoint) == health);
    }
}

TEST_CASE("a model that is loading somewhere is waited for") {
    Box box;
    const Model& model = box.models.add("m", 2);
    box.see(model, 0, Health::loading);
    box.see(model, 1, Health::down);
    Place place;
    CHECK(box.place(model, place).finding == Finding::loading);
    Guest guest(box.dispatch, model);
    REQUIRE(guest.queue());
    CHECK_FALSE(guest.place.held());
    box.see(model, 0, Health::up);
    REQUIRE(guest.place.held());
    CHECK(&guest.place.target() == model.targets.data());
    guest.done();
}

TEST_CASE("where all are said to be down each request asks one of them, once") {
    Box box;
    const Model& model = box.models.add("m", 2);
    box.see(model, 0, Health::down);
    box.see(model, 1, Health::down);
    CHECK_FALSE(box.dispatch.possible({.model = &model}));
    const int first = box.pick(model);
    CHECK(first >= 0);
    CHECK(box.pick({.model = &model, .tried = std::uint64_t{1} << first}) == -1);
}

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
struct Shards : sim::LoopRig {
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
    sim::Models models;
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

TEST_CASE("several shards never use more slots than there are, and serve all that wait") {
    for (const std::uint16_t count : {2, 3}) {
        Shards shards(count);
        constexpr unsigned slots = 4;
        Model& model = shards.models.add("m", 2);
        for (Target& target : model.targets)
            target.slots = slots;
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
                auto guest = std::make_unique<Guest>(shards[prng.below(count)], model);
                if (guest->dispatch.anybody_waits(model) || !guest->take_place())
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
            std::map<const Target*, std::size_t> used;
            for (const auto& guest : guests)
                if (guest->place.held()) ++used[&guest->place.target()];
            for (const auto& [target, number] : used) {
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
