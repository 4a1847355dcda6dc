// A dispatch on virtual time, and somebody who waits in its lines.
#pragma once

#include "sluice/upstream/dispatch.h"
#include "upstream_rig.h"

#include <cstddef>
#include <vector>

namespace sluice::sim {

using policy::BreakerState;
using policy::FailureClass;
using upstream::Dispatch;
using upstream::Finding;
using upstream::Found;
using upstream::Health;
using upstream::Model;
using upstream::Place;
using upstream::Target;
using upstream::Wish;

// Keeps what it was told.
struct Heard final : Dispatch::Peers {
    void send_slots(std::uint32_t, const policy::SlotMessage&) override { ++slot_messages; }
    void breaker_changed(const Target&, const policy::BreakerChange& change) override {
        states.push_back(change.to);
    }
    void traffic_changed() override { ++traffic_changes; }
    void left_running(std::uint32_t) override { ++left; }
    int slot_messages = 0;
    int traffic_changes = 0;
    int left = 0;
    std::vector<BreakerState> states;
};

struct Box : LoopRig {
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

    Models models;
    Heard heard;
    Dispatch dispatch{loop, 7};
};

// Somebody who waits in a line, and holds its place until it is told to leave.
struct Guest final : Dispatch::Waiting {
    Guest(Dispatch& where, const Model& which, std::uint64_t tried = 0)
        : Guest(where, Wish{.model = &which, .tried = tried}) {}
    Guest(Dispatch& where, const Wish& wanted)
        : dispatch(where), model(*wanted.model), wish(wanted) {}
    ~Guest() {
        if (waiting()) dispatch.leave(model, *this);
        place.cancel();
    }

    Found take_place() override {
        found = dispatch.place(wish, place);
        if (!found.waits() && served != nullptr) served->push_back(this);
        return found;
    }
    // Whether it need not wait.
    bool try_now() { return !take_place().waits(); }
    bool queue(std::uint8_t priority = policy::WaitQueue::class_default,
               policy::ConsumerKey consumer = 1) {
        return dispatch.wait(wish, *this, priority, consumer, found.asks);
    }
    void done() { place.release(FailureClass::none); }

    Dispatch& dispatch;
    const Model& model;
    const Wish wish;
    Place place;
    Found found;
    std::vector<Guest*>* served = nullptr;
};

}  // namespace sluice::sim
