// Dispatch: which target of a model serves a request, on one shard, and who waits for one.
//
// Knows of every target what traffic and health checks have shown: who is well, whose breaker is
// open, how busy and how quick each is, and how many slots it has. A request that is placed holds
// a Place until its try is over; one that finds every target busy or loading waits in its model's
// line. Whoever waits is asked to take a place, in the line's order, as soon as there may be one;
// the lines of several models take turns, so that none starves where they want the same slots.
// Slots that several shards share are borrowed and returned by messages (see policy/slot_ledger.h).
//
// Several shards choose as one would: each hears from the others what they have in flight and which
// prompts went where (see DispatchNews). Where a choice by prefix or hash falls on a target whose
// free slots are all on other shards, the request asks for one: it stands in its line for as long
// as the messages take. It is never kept from a free slot for a target that is busy: as soon as
// that has nothing free on any shard, others are chosen.
//
// A line's length is that of the box: the lines of a model on all shards are counted together.
// - A request that finds its line full is let in all the same while fewer of its shard wait than
//   slots are free elsewhere: it only asks for one, at most slot_demand_max of a shard do. So with
//   a length of 0 nobody is refused while any shard has a free slot.
// - Shards that let requests in at the same moment, before they have heard of each other, may let
//   in too many: with room for r more at most (shards - 1) x r, and likewise for those that ask
//   for the same free slots.
#pragma once

#include "sluice/base/prng.h"
#include "sluice/config/settings.h"
#include "sluice/io/loop.h"
#include "sluice/policy/balance.h"
#include "sluice/policy/breaker.h"
#include "sluice/policy/drain_rate.h"
#include "sluice/policy/failure.h"
#include "sluice/policy/lesson.h"
#include "sluice/policy/pace.h"
#include "sluice/policy/prefix_index.h"
#include "sluice/policy/slot_ledger.h"
#include "sluice/policy/wait_queue.h"
#include "sluice/upstream/catalog.h"
#include "sluice/upstream/dispatch_news.h"
#include "sluice/upstream/health.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::upstream {

class Dispatch;

// How a try ended, as far as it is about the backend.
struct TryEnd {
    policy::FailureClass failure = policy::FailureClass::none;
    bool answered = false;                // with a failure, instead of not at all
    bool broke = false;                   // the connection did, and the backend listens
    std::optional<Duration> retry_after;  // what the backend said
    // For a doubtful failure, and one that broke: who asked, and the digest of what.
    policy::ConsumerKey caller = 0;
    std::uint64_t request = 0;
    // The client's own, where the backend saw them.
    std::string_view credentials;
};

// One request's hold on a target: counted as in flight, with a slot where there are slots, perhaps
// as the probe of its breaker. Move-only; must be released or cancelled before it dies.
class Place {
public:
    Place() = default;
    Place(Place&& other) noexcept
        : dispatch_(std::exchange(other.dispatch_, nullptr)),
          target_(other.target_),
          model_(other.model_),
          attempt_(other.attempt_),
          begun_(other.begun_),
          left_(other.left_),
          slotted_(other.slotted_),
          told_(other.told_) {}
    Place& operator=(Place&& other) noexcept {
        SLUICE_ASSERT(!held());
        dispatch_ = std::exchange(other.dispatch_, nullptr);
        target_ = other.target_;
        model_ = other.model_;
        attempt_ = other.attempt_;
        begun_ = other.begun_;
        left_ = other.left_;
        slotted_ = other.slotted_;
        told_ = other.told_;
        return *this;
    }
    ~Place() { SLUICE_ASSERT(!held()); }

    bool held() const { return dispatch_ != nullptr; }
    const Target& target() const { return *target_; }
    // The first byte of an answer's body came.
    void first_byte();
    // The answer was whole and had so many tokens.
    void note_tokens(std::uint64_t tokens);
    // The try is given up, but the server will compute its answer of at most that many tokens all
    // the same. What is released or cancelled then is the request; its slot stays taken until the
    // server says that it is free or, where it does not tell, is likely to be done.
    void leave_running(std::optional<std::uint64_t> tokens_max);
    // The try is over.
    void release(const TryEnd& end);
    void release(policy::FailureClass failure) { release({.failure = failure}); }
    // The try says nothing about the backend: the client left, or we stop.
    void cancel();

private:
    friend class Dispatch;
    Dispatch* dispatch_ = nullptr;
    const Target* target_ = nullptr;
    const Model* model_ = nullptr;
    policy::Breaker::Attempt attempt_;
    Instant begun_;
    Duration left_;         // it is likely to be computed for that long; zero: it is not
    bool slotted_ = false;  // it has a slot to give back
    bool told_ = false;     // other shards know that it is in flight
};

// What a request wants of a target.
struct Wish {
    const Model* model = nullptr;
    std::uint64_t tried = 0;        // targets that are out of the question, a bit each
    std::uint64_t context_min = 0;  // and those with no more context than that; 0: any will do
    std::uint64_t key = 0;          // for Balance::hash
    const policy::PrefixHashes* prompt = nullptr;  // for Balance::prefix; null: unknown
    std::string_view credentials;                  // the client's own; "" where it has none
    // Where no other target is left, one that would rather not be asked will do.
    bool unwilling_too = false;
};

enum class Finding : std::uint8_t {
    placed,
    busy,       // all that would do have their slots in use
    loading,    // all that would do are loading their model
    exhausted,  // none is left
};

struct Found {
    Finding finding = Finding::exhausted;
    // busy: the slots, by their pool, of which one is free on another shard and is asked for; none:
    // all are in use, and it takes what comes.
    std::optional<std::uint32_t> asks = std::nullopt;
    // exhausted: when one may be tried again, as far as that is known.
    std::optional<Instant> again;
    // exhausted, but there is one that would rather not be asked (`unwilling_too`): it answered
    // badly of late, or
    bool unwilling = false;
    bool resting = false;  // has a limit that was reached

    bool waits() const { return finding == Finding::busy || finding == Finding::loading; }
};

// Whether prompts of this model are worth hashing.
bool balances_by_prefix(const Model& model);

// What a shard knows of a target, for people.
struct TargetView {
    Health health = Health::up;
    policy::BreakerState breaker = policy::BreakerState::closed;
    std::uint32_t in_flight = 0;
};

class Dispatch {
    struct Line;

public:
    // Who waits in a line. take_place() is called when there may be a place: it says what place()
    // said, and goes on waiting where that is busy or loading.
    class Waiting : public policy::Waiter {
    public:
        virtual Found take_place() = 0;

    protected:
        ~Waiting() = default;

    private:
        friend class Dispatch;
        Line* line_ = nullptr;               // it stands in
        std::optional<std::uint32_t> asks_;  // as Found::asks, when it was last tried
    };

    // Messages about slots to another shard, changes that people want to know of, and news for
    // the shard that watches the backends: a place was taken or is over.
    class Peers {
    public:
        virtual void send_slots(std::uint32_t slot_pool, const policy::SlotMessage& message) = 0;
        virtual void breaker_changed(const Target& target, const policy::BreakerChange& change) = 0;
        virtual void traffic_changed() = 0;
        // A request was left that the server computes on.
        virtual void left_running(std::uint32_t endpoint) = 0;

    protected:
        ~Peers() = default;
    };

    Dispatch(io::Loop& loop, std::uint64_t seed);
    ~Dispatch();

    // There are other shards. `prefix_seed`: the same on all of them, and known to nobody else.
    // `teacher` tells them what failed here.
    void join(std::uint16_t shard, std::uint16_t shards, std::uint64_t prefix_seed,
              policy::Teacher* teacher = nullptr) {
        shard_ = shard;
        shards_ = shards;
        seed_ = prefix_seed;
        teacher_ = teacher;
    }
    void set_peers(Peers* peers) { peers_ = peers; }

    // Tries to place a request; `place` must not be held.
    Found place(const Wish& wish, Place& place);
    // Whether the wish might still be granted, now or later, by a target.
    bool possible(const Wish& wish);
    // Where none of the model's targets is well: when one may be asked again, as far as breakers
    // and rests know.
    std::optional<Instant> opens_again(const Wish& wish);
    // What the hashes of prompts for this model begin with.
    std::uint64_t prefix_seed(const Model& model) const;

    // --- the line of a model ---
    // Whether somebody waits that any target would do for: newcomers stand behind it. Those that
    // only some targets would do for hold up nobody else; but they have the first pick of these.
    bool anybody_waits(const Model& model) const;
    // False: the line is full. `asks`: what place() found.
    [[nodiscard]] bool wait(const Wish& wish, Waiting& waiting, std::uint8_t priority,
                            policy::ConsumerKey consumer,
                            std::optional<std::uint32_t> asks = std::nullopt);
    void leave(const Model& model, Waiting& waiting);
    std::size_t position(const Model& model, const Waiting& waiting);
    // For a client that finds the line full.
    Duration retry_after(const Model& model) const;
    std::size_t waiting() const { return waiting_; }
    // Places that are held.
    std::size_t placed() const { return placed_; }
    // Requests that are over here, and not on their servers.
    std::size_t left_running() const;
    // The shard ends, and does not wait for servers: their slots are free, now and from now on.
    void forget_left();

    // --- news ---
    // Of how many slots there are: their home lends them whether it has requests of its own or not.
    void learn(const Catalog& catalog);
    void see_health(const Endpoint& endpoint, Health health);
    void see_sign(std::uint32_t endpoint, const Sign& sign);
    void receive(std::uint32_t slot_pool, const policy::SlotMessage& message);
    void receive(const DispatchNews& news);
    void learn(const policy::DoubtAt& doubt);
    void learn(const policy::ServedAt& served);
    // What the other shards do not know yet; null: nothing. To be asked for after each turn.
    std::shared_ptr<const DispatchNews> take_news();

    // Nobody waits here any more: what is borrowed goes back, for those who wait on other shards.
    void drain();

    Health health_of(const Endpoint& endpoint) const { return health_.of(endpoint.id); }
    // The last sign of its life that health checks have seen; zero: none.
    Instant alive(const Endpoint& endpoint) const { return health_.alive(endpoint.id); }
    TargetView view(const Target& target) const;
    // Of this shard, by endpoint id.
    const std::vector<Traffic>& traffic() const { return traffic_; }
    // Null: no model has balanced by prefix yet.
    const policy::PrefixCounters* prefix_counters() const {
        return prefixes_ == nullptr ? nullptr : &prefixes_->counters();
    }

private:
    friend class Place;

    struct Left;
    struct TargetState;
    struct SlotPool;
    struct ModelLines;
    struct Turns;

    TargetState& state_of(const Target& target);
    SlotPool& pool_of(const Target& target);
    void set_capacity(SlotPool& pool, std::uint32_t id, std::uint32_t slots);
    policy::PrefixIndex& prefixes();
    bool suits(const Wish& wish, std::size_t index) const;
    // Whether a target may be asked, tried already or not.
    enum class Standing : std::uint8_t {
        well,
        loading,
        down,
        refused,    // its breaker is open
        unwilling,  // the same, but it answers; or it wants to rest
    };
    static constexpr std::size_t standings = 5;
    static constexpr std::size_t index_of(Standing standing) {
        return static_cast<std::size_t>(standing);
    }
    Standing standing_of(const Wish& wish, std::size_t index, Instant now);
    bool anybody_well(const Wish& wish, Instant now);
    Found exhausted(const Wish& wish, bool unwilling, Instant now);
    policy::Choice choose(const Wish& wish, std::span<policy::Candidate> candidates, Instant now);
    bool is_here(const Target& target);
    std::size_t free_elsewhere(const Wish& wish);
    void tell(DispatchNews::Change::Of of, std::uint32_t id, std::uint32_t slot_pool,
              std::int32_t more);
    void record_prompt(const policy::PrefixHashes& prompt, std::uint32_t backend);
    void take(const Model& model, const Target& target, Place& place);
    void over(const Place& place, const TryEnd* end);
    policy::BreakerChange judge(TargetState& state, const Place& place, const TryEnd& end);
    bool has_witnesses(TargetState& state, const Place& place, const TryEnd& end);
    void teach(const policy::Lesson& lesson);
    void free(const Left& place);
    bool keep(const Left& place);
    void free_left(std::uint32_t endpoint, const Sign& sign);
    void free_overdue();
    Line& line_for(const Wish& wish, ModelLines& lines);
    void count_waiting(Line& line, int more);
    std::size_t waiting_on_box(const Model& model) const;
    void serve_lines();
    void tell_demand();
    void return_idle_slots();

    io::Loop& loop_;
    Prng prng_;
    std::uint64_t seed_;  // so that nobody outside can aim at a place of a table
    Peers* peers_ = nullptr;
    policy::Teacher* teacher_ = nullptr;  // null: there is one shard
    HealthTable health_;
    std::uint16_t shard_ = 0;
    std::uint16_t shards_ = 1;
    std::vector<std::unique_ptr<TargetState>> targets_;  // by target id
    std::vector<std::unique_ptr<SlotPool>> slot_pools_;  // by slot pool id
    std::vector<std::unique_ptr<ModelLines>> lines_;     // by model id
    std::unique_ptr<Turns> turns_;
    std::vector<Traffic> traffic_;                  // by endpoint id
    std::vector<std::uint32_t> waiting_elsewhere_;  // in lines of other shards, by model id
    std::shared_ptr<DispatchNews> news_;  // null: none; shared once it is sent: by all peers
    std::unique_ptr<policy::PrefixIndex> prefixes_;
    std::vector<policy::Candidate> candidates_;  // working memory of one choice
    std::size_t waiting_ = 0;                    // in all lines
    std::size_t placed_ = 0;
    bool serving_ = false;
    std::vector<Left> left_;  // in the order in which they were left
    io::Timer overdue_;       // while there are any
    bool left_forgotten_ = false;
    io::Timer tick_;  // while borrowed slots are idle
};

}  // namespace sluice::upstream
