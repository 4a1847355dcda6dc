// The dispatch on virtual time: where a request is placed, and what is left alone for how long.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "dispatch_rig.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::sim;
using upstream::balances_by_prefix;
using upstream::Kind;

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
    Models models;
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
    CHECK_FALSE(box.dispatch.possible({.model = &model, .tried = ~std::uint64_t{0}}));
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
    for (const auto failure :
         {FailureClass::client, FailureClass::context_length, FailureClass::policy_block,
          FailureClass::loading, FailureClass::slow}) {
        Box box;
        const Model& model = box.models.add("m", 1);
        for (int i = 0; i < 50; ++i)
            REQUIRE(box.pick(model, failure) == 0);
        CHECK(box.heard.states.empty());
    }
}

TEST_CASE("a hard failure opens at once") {
    Box box;
    const Model& model = box.models.add("m", 1);
    REQUIRE(box.pick(model, FailureClass::hard) == 0);
    Place place;
    const Found refused = box.place(model, place);
    CHECK(refused.unwilling);
    CHECK_FALSE(refused.resting);
    REQUIRE(refused.again.has_value());
    CHECK(*refused.again - box.loop.now() > model.setting.breaker.hard_open / 2);
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

// --- what is told of it ---------------------------------------------------------------------

TEST_CASE("requests are counted for the server they go to, and each change is told") {
    Box box;
    Model& one = box.models.add("one", 1);
    Model& same = box.models.add("same", 1);
    same.targets[0].endpoint = one.targets[0].endpoint;
    const std::uint32_t id = one.targets[0].endpoint->id;
    CHECK(box.dispatch.traffic().size() <= id);
    Place first;
    Place second;
    CHECK(box.place(one, first).finding == Finding::placed);
    CHECK(box.place(same, second).finding == Finding::placed);
    REQUIRE(box.dispatch.traffic().size() > id);
    const auto& traffic = box.dispatch.traffic()[id];
    CHECK(traffic.placed == 2);
    CHECK(traffic.in_flight == 2);
    CHECK(box.heard.traffic_changes == 2);
    first.cancel();
    second.release(FailureClass::none);
    CHECK(traffic.placed == 2);
    CHECK(traffic.in_flight == 0);
    CHECK(box.heard.traffic_changes == 4);
}
