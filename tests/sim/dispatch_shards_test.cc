// The dispatch on virtual time, on several shards that share slots and tell each other what they
// do.
#include "dispatch_rig.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::sim;

namespace {

// Shards in one process whose messages take as long as the test wants.
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
            all.under_way[{index, to}].push_back({pool, message, nullptr});
            ++all.slot_messages;
        }
        void breaker_changed(const Target&, const policy::BreakerChange&) override {}
        void traffic_changed() override {}
        void left_running(std::uint32_t) override {}

        Shards& all;
        std::size_t index;
        Dispatch dispatch;
    };

    struct Sent {
        std::uint32_t pool = 0;
        policy::SlotMessage slots;
        std::shared_ptr<const upstream::DispatchNews> news;  // null: it is about slots
    };

    explicit Shards(std::uint16_t count) {
        for (std::uint16_t i = 0; i < count; ++i)
            sides.push_back(std::make_unique<Side>(*this, i));
        for (std::uint16_t i = 0; i < count; ++i)
            sides[i]->dispatch.join(i, count, 1);
    }

    Dispatch& operator[](std::size_t shard) { return sides[shard]->dispatch; }
    // Delivers one message of a random pair of shards; those of a pair arrive in order.
    bool deliver_one() {
        send_news();
        std::vector<std::deque<Sent>*> some;
        std::vector<std::size_t> to;
        for (auto& [pair, messages] : under_way) {
            if (messages.empty()) continue;
            some.push_back(&messages);
            to.push_back(pair.second);
        }
        if (some.empty()) return false;
        const auto at = static_cast<std::size_t>(simulation.prng().below(some.size()));
        const Sent sent = some[at]->front();
        some[at]->pop_front();
        Dispatch& dispatch = sides[to[at]]->dispatch;
        if (sent.news != nullptr)
            dispatch.receive(*sent.news);
        else
            dispatch.receive(sent.pool, sent.slots);
        return true;
    }
    // As at the end of each shard's turn.
    void send_news() {
        for (const auto& side : sides) {
            const auto news = side->dispatch.take_news();
            if (news == nullptr) continue;
            for (const auto& other : sides)
                if (other != side) under_way[{side->index, other->index}].push_back({0, {}, news});
        }
    }
    void deliver_all() {
        while (deliver_one()) {
        }
    }

    std::vector<std::unique_ptr<Side>> sides;
    std::map<std::pair<std::size_t, std::size_t>, std::deque<Sent>> under_way;
    int slot_messages = 0;
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
                if (!guest->try_now()) REQUIRE(guest->queue());
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
    REQUIRE(first.try_now());
    REQUIRE(second.try_now());
    Guest picky(shards[1], model, 1);
    REQUIRE(picky.queue());
    shards.deliver_all();
    first.done();
    shards.deliver_all();
    CHECK(shards.slot_messages == 0);
    REQUIRE(first.try_now());
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
                if ((tried == 0 && guest->dispatch.anybody_waits(asked)) || !guest->try_now())
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

TEST_CASE("R17: a conversation goes home from every shard, to slots that have to be asked for") {
    constexpr std::uint16_t count = 3;
    Shards shards(count);
    Model& model = shards.models.add("m", 2);
    model.setting.balance = config::Balance::prefix;
    for (Target& target : model.targets)
        target.slots = 2;
    for (std::size_t shard = 0; shard < count; ++shard)
        shards[shard].learn(shards.models.catalog);
    CHECK(shards[0].prefix_seed(model) == shards[2].prefix_seed(model));
    Prng& prng = shards.simulation.prng();
    constexpr std::size_t talks = 12;
    std::array<policy::PrefixHashes, talks> prompts;
    std::array<std::string, talks> texts;
    std::array<int, talks> homes{};
    std::array<int, 2> served{};
    for (std::size_t round = 0; round < 5; ++round) {
        for (std::size_t talk = 0; talk < talks; ++talk) {
            CAPTURE(round);
            CAPTURE(talk);
            // 600 bytes a turn that only this one has.
            texts[talk] += std::string(600, static_cast<char>('a' + talk));
            policy::PrefixHasher hasher(prompts[talk], shards[0].prefix_seed(model), 300);
            hasher.feed(texts[talk]);
            hasher.finish();
            Guest guest(shards[prng.below(count)], {.model = &model, .prompt = &prompts[talk]});
            if (!guest.try_now()) REQUIRE(guest.queue());
            shards.deliver_all();
            REQUIRE(guest.place.held());
            const int at = guest.place.target().id == model.targets[0].id ? 0 : 1;
            if (round > 0) CHECK(at == homes[talk]);
            homes[talk] = at;
            ++served[static_cast<std::size_t>(at)];
            guest.done();
            shards.deliver_all();
            if (prng.chance(1, 4)) shards.wait(Duration::millis(1500));  // idle slots go back
        }
    }
    CHECK(served[0] == served[1]);
    // A home that is busy is not waited for, wherever the request comes.
    for (std::size_t shard = 0; shard < count; ++shard) {
        CAPTURE(shard);
        const std::uint64_t others = homes[0] == 0 ? 2 : 1;
        Guest one(shards[(shard + 1) % count], model, others);
        Guest two(shards[(shard + 2) % count], model, others);
        for (Guest* guest : {&one, &two})
            if (!guest->try_now()) REQUIRE(guest->queue());
        shards.deliver_all();
        REQUIRE(one.place.held());
        REQUIRE(two.place.held());
        Guest away(shards[shard], {.model = &model, .prompt = prompts.data()});
        if (!away.try_now()) REQUIRE(away.queue());
        shards.deliver_all();
        REQUIRE(away.place.held());
        CHECK(away.place.target().slot_pool != one.place.target().slot_pool);
    }
    shards.deliver_all();
    for (std::size_t shard = 0; shard < count; ++shard)
        shards[shard].drain();
    shards.deliver_all();
}

TEST_CASE("R17: requests that ask for each other's slots, under any delay, are all served") {
    for (const std::uint16_t count : {std::uint16_t{2}, std::uint16_t{3}}) {
        Shards shards(count);
        constexpr unsigned slots = 2;
        Model& model = shards.models.add("m", 3);
        model.setting.balance = config::Balance::hash;
        for (Target& target : model.targets)
            target.slots = slots;
        for (std::size_t shard = 0; shard < count; ++shard)
            shards[shard].learn(shards.models.catalog);
        Prng& prng = shards.simulation.prng();
        std::vector<std::unique_ptr<Guest>> guests;
        constexpr std::size_t requests = 3000;
        std::size_t begun = 0;
        std::size_t finished = 0;
        for (int idle = 0; finished < requests; ++idle) {
            REQUIRE(idle < 200'000);
            const auto dice = prng.below(8);
            if (dice < 2 && begun < requests && guests.size() < 24) {
                auto guest = std::make_unique<Guest>(
                    shards[prng.below(count)], Wish{.model = &model, .key = 1 + prng.below(50)});
                if (guest->dispatch.anybody_waits(model) || !guest->try_now())
                    REQUIRE(guest->queue(static_cast<std::uint8_t>(prng.below(3))));
                guests.push_back(std::move(guest));
                ++begun;
            } else if (dice < 5) {
                shards.deliver_one();
            } else if (dice == 5 && prng.chance(1, 10)) {
                shards.wait(Duration::millis(400));
            } else if (!guests.empty()) {
                auto& guest = guests[prng.below(guests.size())];
                if (!guest->place.held() && !prng.chance(1, 20)) continue;
                if (guest->place.held()) guest->done();
                std::swap(guest, guests.back());
                guests.pop_back();
                ++finished;
            }
            // When no message is under way, nobody waits beside a free slot.
            if (idle % 100 != 0) continue;
            shards.deliver_all();
            const auto held = std::ranges::count_if(
                guests, [](const auto& guest) { return guest->place.held(); });
            REQUIRE(static_cast<std::size_t>(held) ==
                    std::min<std::size_t>(guests.size(), slots * model.targets.size()));
        }
        for (std::size_t shard = 0; shard < count; ++shard) {
            CHECK(shards[shard].waiting() == 0);
            shards[shard].drain();
        }
        shards.deliver_all();
    }
}

TEST_CASE("T2: a line's length is that of all shards, and none waits only while no slot is free") {
    constexpr std::uint16_t count = 3;
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
        CAPTURE(length);
        Shards shards(count);
        Model& model = shards.models.add("m", 1);
        model.setting.queue.length = length;
        model.targets[0].slots = 4;
        for (std::size_t shard = 0; shard < count; ++shard)
            shards[shard].learn(shards.models.catalog);
        std::vector<std::unique_ptr<Guest>> guests;
        const auto come = [&](std::size_t shard) {
            guests.push_back(std::make_unique<Guest>(shards[shard], model));
            const bool in = guests.back()->try_now() || guests.back()->queue();
            shards.deliver_all();
            return in;
        };
        for (std::size_t i = 0; i < 4 + length; ++i)
            CHECK(come(i % count));
        for (std::size_t shard = 0; shard < count; ++shard)
            CHECK_FALSE(come(shard));
        std::size_t held = 0;
        for (const auto& guest : guests)
            held += guest->place.held() ? 1 : 0;
        CHECK(held == 4);
        // One goes, one may come.
        guests.front()->done();
        shards.deliver_all();
        CHECK(come(2));
        for (std::size_t shard = 0; shard < count; ++shard)
            CHECK_FALSE(come(shard));
        guests.clear();
        shards.deliver_all();
        // At one moment, before they hear of each other: (shards - 1) times too many at most.
        std::size_t in = 0;
        for (std::size_t i = 0; i < 60; ++i) {
            guests.push_back(std::make_unique<Guest>(shards[i % count], model));
            in += guests.back()->try_now() || guests.back()->queue() ? 1 : 0;
        }
        CHECK(in >= 4 + length);
        CHECK(in <= count * (4 + length));
        for (int round = 0; in > 0; ++round) {
            REQUIRE(round < 1000);
            shards.deliver_all();
            for (const auto& guest : guests) {
                if (guest->place.held()) {
                    guest->done();
                    --in;
                }
            }
        }
        guests.clear();
        shards.deliver_all();
        for (std::size_t shard = 0; shard < count; ++shard)
            shards[shard].drain();
        shards.deliver_all();
    }
}
