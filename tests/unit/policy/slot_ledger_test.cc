#include "sluice/policy/slot_ledger.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

// What was sent, in words: "grant 2 to 1".
class Sent final : public SlotSender {
public:
    void send(const SlotMessage& message) override {
        static constexpr const char* names[] = {"want", "give_back", "grant", "recall"};
        if (!words.empty()) words += ", ";
        words += names[static_cast<int>(message.kind)];
        words += " " + std::to_string(message.count) + " " + std::to_string(message.shard);
        last = message;
    }
    std::string take() { return std::exchange(words, {}); }

    std::string words{};
    SlotMessage last;
};

using Kind = SlotMessage::Kind;

}  // namespace

TEST_CASE("slots: one shard alone counts, and says nothing") {
    Sent sent;
    SlotHome home(0, 1, 2, sent);
    CHECK(home.try_acquire());
    CHECK(home.try_acquire());
    CHECK(!home.try_acquire());
    home.demand(1);
    home.release();
    CHECK(home.try_acquire());
    home.set_capacity(1);
    home.release();
    CHECK(!home.try_acquire());
    CHECK(home.in_use() == 1);
    home.release();
    CHECK(home.try_acquire());
    home.set_capacity(0);
    home.release();
    CHECK(!home.try_acquire());
    CHECK(sent.words.empty());
}

TEST_CASE("slots: a share asks once, keeps what it got, and gives it back when idle") {
    Sent sent;
    SlotShare share(1, sent);
    CHECK(!share.try_acquire());
    share.demand(1);
    CHECK(sent.take() == "want 1 1");
    share.demand(1);
    CHECK(sent.take().empty());
    share.receive({Kind::grant, 1, 1, 0});
    // A thousand requests, one after the other.
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(share.try_acquire());
        share.demand(0);
        share.release();
        share.demand(0);
    }
    CHECK(sent.take().empty());
    CHECK(share.needs_tick());
    share.tick();  // it was in use since the last one
    CHECK(sent.take().empty());
    share.tick();
    CHECK(sent.take() == "give_back 1 1");
    CHECK(!share.needs_tick());
    CHECK(share.borrowed() == 0);
}

TEST_CASE("slots: what is recalled goes back at once where idle, else when it is free") {
    Sent sent;
    SlotShare share(3, sent);
    share.demand(3);
    share.receive({Kind::grant, 3, 3, 0});
    REQUIRE(share.try_acquire());
    REQUIRE(share.try_acquire());
    share.demand(0);
    sent.take();
    share.receive({Kind::recall, 3, 2, 0});
    CHECK(sent.take() == "give_back 1 3");
    CHECK(!share.try_acquire());
    share.demand(5);
    CHECK(sent.take() == "want 5 3");
    share.release();
    CHECK(sent.take() == "give_back 1 3");
    CHECK(!share.try_acquire());
    // No more is owed: the last one is its own again.
    share.release();
    CHECK(sent.take().empty());
    CHECK(share.try_acquire());
    share.release();
}

TEST_CASE("slots: what was under way when a recall was sent counts towards it") {
    Sent sent;
    SlotShare share(1, sent);
    share.demand(2);
    share.receive({Kind::grant, 1, 2, 0});
    REQUIRE(share.try_acquire());
    REQUIRE(share.try_acquire());
    share.receive({Kind::recall, 1, 1, 0});
    share.release();
    // The home had not seen it yet when it asked for one again, then for none.
    share.receive({Kind::recall, 1, 1, 0});
    sent.take();
    share.release();
    CHECK(sent.take().empty());
    CHECK(share.borrowed() == 1);
    share.receive({Kind::recall, 1, 1, 1});
    CHECK(sent.take() == "give_back 1 1");
}

TEST_CASE("slots: what was under way when a want was sent counts towards it") {
    Sent sent;
    SlotHome home(0, 2, 4, sent);
    home.receive({Kind::want, 1, 2, 0});
    CHECK(sent.take() == "grant 2 1");
    // Sent before the grant arrived: one waiter has left, then another one came.
    home.receive({Kind::want, 1, 1, 0});
    home.receive({Kind::want, 1, 2, 0});
    CHECK(sent.take().empty());
    home.receive({Kind::want, 1, 1, 2});
    CHECK(sent.take() == "grant 1 1");
    CHECK(home.lent_to(1) == 3);
    home.receive({Kind::give_back, 1, 3, 0});
    CHECK(home.allotted() == 0);
}

TEST_CASE("slots: the home serves shards in the order in which they asked, itself included") {
    Sent sent;
    SlotHome home(0, 3, 2, sent);
    REQUIRE(home.try_acquire());
    REQUIRE(home.try_acquire());
    home.receive({Kind::want, 2, 1, 0});
    home.demand(1);
    home.receive({Kind::want, 1, 1, 0});
    CHECK(sent.take().empty());
    CHECK(home.waiting() == 3);
    home.release();
    CHECK(sent.take() == "grant 1 2, recall 1 2");
    CHECK(!home.try_acquire());
    home.release();
    // Its own turn: nobody else gets it before its owner takes it.
    CHECK(sent.take().empty());
    CHECK(home.try_acquire());
    home.demand(0);
    CHECK(!home.try_acquire());
    home.release();
    CHECK(sent.take() == "grant 1 1, recall 0 2");
}

TEST_CASE("slots: a waiter that leaves lets those behind it through") {
    Sent sent;
    SlotHome home(0, 2, 1, sent);
    REQUIRE(home.try_acquire());
    home.demand(2);
    home.receive({Kind::want, 1, 1, 0});
    home.release();
    CHECK(sent.take().empty());
    home.demand(0);
    CHECK(sent.take() == "grant 1 1");
    CHECK(home.waiting() == 0);
}

TEST_CASE("slots: a shrunk backend calls back what is too many, and cuts nobody off") {
    Sent sent;
    SlotHome home(0, 3, 6, sent);
    REQUIRE(home.try_acquire());
    home.receive({Kind::want, 1, 3, 0});
    home.receive({Kind::want, 2, 1, 0});
    sent.take();
    home.set_capacity(2);
    CHECK(sent.take() == "recall 3 1, recall 1 2");
    CHECK(home.allotted() == 5);
    home.receive({Kind::give_back, 1, 1, 0});
    CHECK(sent.take().empty());
    home.receive({Kind::give_back, 2, 1, 0});
    CHECK(sent.take() == "recall 1 1");
    home.release();
    CHECK(sent.take() == "recall 0 1");
    CHECK(!home.try_acquire());
    CHECK(home.allotted() == home.capacity());
    home.set_capacity(3);
    CHECK(home.try_acquire());
    home.release();
}

TEST_CASE("slots: a draining shard gives everything back, also what comes later") {
    Sent sent;
    SlotShare share(1, sent);
    share.demand(3);
    share.receive({Kind::grant, 1, 2, 0});
    REQUIRE(share.try_acquire());
    sent.take();
    share.drain();
    CHECK(sent.take() == "give_back 1 1, want 0 1");
    CHECK(!share.try_acquire());
    CHECK(!share.drained());
    share.receive({Kind::grant, 1, 1, 0});
    CHECK(sent.take() == "give_back 1 1");
    share.release();
    CHECK(sent.take() == "give_back 1 1");
    CHECK(share.drained());
}
