#include "sluice/upstream/dispatch.h"

#include "sluice/policy/hash.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {
namespace {

using policy::FailureClass;

// A mebibyte, taken when the first model of several replicas asks for it.
constexpr std::size_t prefix_entries = 64 * 1024;
// Idle slots of another shard's backend go back after one to two of these.
constexpr Duration share_tick = Duration::seconds(1);

policy::BalanceKind kind_of(const Model& model) {
    using config::Balance;
    switch (model.setting.balance) {
        case Balance::round_robin:
            return policy::BalanceKind::round_robin;
        case Balance::least_busy:
            return policy::BalanceKind::least_busy;
        case Balance::least_latency:
            return policy::BalanceKind::least_latency;
        case Balance::hash:
            return policy::BalanceKind::hash;
        case Balance::prefix:
            return policy::BalanceKind::prefix;
        case Balance::automatic:
            break;
    }
    const bool all_llama = std::ranges::all_of(
        model.targets, [](const Target& target) { return target.kind == Kind::llama_server; });
    return all_llama ? policy::BalanceKind::prefix : policy::BalanceKind::least_busy;
}

bool is_tried(const Wish& wish, std::size_t index) {
    return (wish.tried >> index & 1) != 0;
}

template <class T>
T& grown(std::vector<std::unique_ptr<T>>& all, std::uint32_t id) {
    if (id >= all.size()) all.resize(id + 1);
    if (all[id] == nullptr) all[id] = std::make_unique<T>();
    return *all[id];
}

}  // namespace

bool balances_by_prefix(const Model& model) {
    return model.targets.size() > 1 && kind_of(model) == policy::BalanceKind::prefix;
}

// --- what a shard knows ---------------------------------------------------------------------

struct Dispatch::TargetState {
    policy::Breaker breaker;
    policy::BalanceState balance;
    std::uint32_t in_flight = 0;
    std::uint32_t endpoint = 0;
    std::uint64_t identity = 0;
};

// The slots that some targets share, as far as this shard may use them.
struct Dispatch::SlotPool final : policy::SlotSender {
    void send(const policy::SlotMessage& message) override { peers->send_slots(id, message); }

    bool bounded() const { return home.has_value() || share.has_value(); }
    std::uint32_t available() const {
        if (home) return home->allotted() < capacity ? capacity - home->allotted() : 0;
        return share ? share->idle() : 0;
    }
    bool acquire() { return home ? home->try_acquire() : !share || share->try_acquire(); }
    void release() {
        if (home) home->release();
        if (share) share->release();
    }
    void demand(std::size_t waiting) {
        if (home) home->demand(waiting);
        if (share) share->demand(waiting);
    }

    std::uint32_t id = 0;
    std::uint32_t capacity = 0;
    std::size_t wanted = 0;  // by those that wait, as the ledger was told
    Peers* peers = nullptr;
    std::optional<policy::SlotHome> home;
    std::optional<policy::SlotShare> share;
    std::vector<policy::SlotMessage> early;  // that came before this shard knew of the slots
};

struct Dispatch::Line {
    explicit Line(std::size_t length) : queue(length) {}

    policy::WaitQueue queue;
    policy::DrainRate drain;
    std::vector<std::uint32_t> slot_pools;  // that its model's targets have
};

Dispatch::Dispatch(io::Loop& loop, std::uint64_t seed)
    : loop_(loop),
      prng_(seed),
      seed_(prng_.next()),
      tick_(this, [](void* self) { static_cast<Dispatch*>(self)->return_idle_slots(); }) {}

Dispatch::~Dispatch() {
    SLUICE_ASSERT(waiting_ == 0 && placed_ == 0);
    loop_.timers().disarm(tick_);
}

Dispatch::TargetState& Dispatch::state_of(const Target& target) {
    TargetState& state = grown(targets_, target.id);
    if (state.identity == 0) {
        state.endpoint = target.endpoint->id;
        state.identity =
            policy::hash_text(target.endpoint->url, policy::hash_text(target.upstream_name));
    }
    return state;
}

Dispatch::SlotPool& Dispatch::pool_of(const Target& target) {
    SlotPool& pool = grown(slot_pools_, target.slot_pool);
    if (pool.capacity == target.slots) return pool;
    set_capacity(pool, target.slot_pool, target.slots);
    return pool;
}

// Slots once known stay so: a server that does not tell any more still has them.
void Dispatch::set_capacity(SlotPool& pool, std::uint32_t id, std::uint32_t slots) {
    if (slots == 0) return;
    pool.id = id;
    pool.capacity = slots;
    pool.peers = peers_;
    const auto home = static_cast<std::uint16_t>(id % shards_);
    if (pool.home) return pool.home->set_capacity(slots);
    if (pool.share) return;
    // What is under way already was let in without a slot.
    if (home == shard_)
        pool.home.emplace(shard_, shards_, slots, pool);
    else
        pool.share.emplace(shard_, pool);
    for (const auto& message : std::exchange(pool.early, {}))
        receive(id, message);
}

// --- placing --------------------------------------------------------------------------------

bool Dispatch::suits(const Wish& wish, std::size_t index) const {
    if (is_tried(wish, index)) return false;
    return wish.context_min == 0 || wish.model->targets[index].setting.context > wish.context_min;
}

Found Dispatch::place(const Wish& wish, Place& place) {
    SLUICE_ASSERT(wish.model != nullptr && !place.held());
    const auto& targets = wish.model->targets;
    const std::size_t count = std::min(targets.size(), policy::candidates_max);
    const Instant now = loop_.now();
    auto& candidates = candidates_;
    candidates.resize(count);
    Found found;
    bool loading = false;
    bool down = false;
    for (std::size_t i = 0; i < count; ++i) {
        const Target& target = targets[i];
        TargetState& state = state_of(target);
        SlotPool& pool = pool_of(target);
        const Health health = health_.of(target.endpoint->id);
        policy::Candidate& candidate = candidates[i];
        candidate = {
            .backend = target.id,
            .identity = state.identity,
            .weight = target.setting.weight,
            .priority = static_cast<std::uint32_t>(target.setting.priority),
            .slots = pool.bounded() ? pool.capacity : 0,
            .in_flight = pool.bounded() ? pool.capacity - pool.available() : state.in_flight,
            .usable = false,
            .state = &state.balance};
        if (!suits(wish, i)) continue;
        // What it failed of before it was started anew is no reason not to wait for it.
        loading |= health == Health::loading;
        if (state.breaker.admit(now) == policy::Admission::refuse) {
            const Instant again = std::max(state.breaker.opens_again_at(), now);
            if (!found.again || again < *found.again) found.again = again;
            continue;
        }
        candidate.usable = health == Health::up;
        down |= health == Health::down;
    }
    auto choice = choose(wish, {candidates.data(), count}, now);
    if (choice.outcome == policy::Choice::Outcome::none) {
        if (loading) return {.finding = Finding::loading, .again = {}};
        // Nobody is well: the port of one that is said to be down is asked, once a request.
        if (!down || wish.tried != 0) return found;
        for (std::size_t i = 0; i < count; ++i)
            candidates[i].usable =
                suits(wish, i) && health_.of(targets[i].endpoint->id) == Health::down &&
                state_of(targets[i]).breaker.admit(now) != policy::Admission::refuse;
        choice = choose(wish, {candidates.data(), count}, now);
    }
    if (choice.outcome == policy::Choice::Outcome::full)
        return {.finding = Finding::busy, .again = {}};
    if (!choice.chosen()) return found;
    take(*wish.model, targets[choice.index], place);
    if (wish.prompt != nullptr && balances_by_prefix(*wish.model))
        prefixes().record(*wish.prompt, targets[choice.index].id);
    return {.finding = Finding::placed, .again = {}};
}

policy::Choice Dispatch::choose(const Wish& wish, std::span<const policy::Candidate> candidates,
                                Instant now) {
    policy::BalanceRequest request{.kind = kind_of(*wish.model), .key = wish.key, .now = now};
    // There is nothing to choose.
    if (candidates.size() == 1) request.kind = policy::BalanceKind::least_busy;
    policy::PrefixMatch match;
    if (request.kind == policy::BalanceKind::prefix && wish.prompt != nullptr) {
        match = prefixes().lookup(*wish.prompt, candidates);
        request.match = &match;
    }
    return policy::choose(request, candidates, prng_);
}

void Dispatch::take(const Model& model, const Target& target, Place& place) {
    TargetState& state = state_of(target);
    SlotPool& pool = pool_of(target);
    const bool acquired = pool.acquire();
    SLUICE_ASSERT(acquired);
    auto begun = state.breaker.begin(loop_.now());
    if (begun.change && peers_ != nullptr) peers_->breaker_changed(target, begun.change);
    ++state.in_flight;
    ++placed_;
    place.dispatch_ = this;
    place.target_ = &target;
    place.model_ = &model;
    place.attempt_ = begun.attempt;
    place.slotted_ = pool.bounded();
    place.begun_ = loop_.now();
}

bool Dispatch::possible(const Wish& wish) {
    const Instant now = loop_.now();
    const std::size_t count = std::min(wish.model->targets.size(), policy::candidates_max);
    for (std::size_t i = 0; i < count; ++i) {
        const Target& target = wish.model->targets[i];
        if (!suits(wish, i)) continue;
        const Health health = health_.of(target.endpoint->id);
        if (health == Health::loading) return true;
        if (health != Health::down &&
            state_of(target).breaker.admit(now) != policy::Admission::refuse)
            return true;
    }
    return false;
}

policy::PrefixIndex& Dispatch::prefixes() {
    if (prefixes_ == nullptr) prefixes_ = std::make_unique<policy::PrefixIndex>(prefix_entries);
    return *prefixes_;
}

std::uint64_t Dispatch::prefix_seed(const Model& model) const {
    return policy::hash_text(model.name, seed_);
}

// --- the end of a try -----------------------------------------------------------------------

void Place::first_byte() {
    if (!held()) return;
    const Instant now = dispatch_->loop_.now();
    dispatch_->state_of(*target_).balance.latency.observe(now - begun_, now);
}

void Place::release(FailureClass failure, Duration retry_after) {
    SLUICE_ASSERT(held());
    std::exchange(dispatch_, nullptr)->over(*this, failure, retry_after, false);
}

void Place::cancel() {
    if (held()) std::exchange(dispatch_, nullptr)->over(*this, FailureClass::none, {}, true);
}

void Dispatch::over(const Place& place, FailureClass failure, Duration retry_after,
                    bool cancelled) {
    using Outcome = policy::Breaker::Outcome;
    const Target& target = *place.target_;
    const Instant now = loop_.now();
    TargetState& state = state_of(target);
    const auto effect = policy::disposition_of(failure).breaker;
    const bool counts = failure == FailureClass::none || effect != policy::BreakerEffect::none;
    if (cancelled || !counts) {
        state.breaker.abandon(place.attempt_);
    } else {
        const auto outcome = failure == FailureClass::none            ? Outcome::success
                             : effect == policy::BreakerEffect::trips ? Outcome::hard_failure
                                                                      : Outcome::failure;
        const auto change =
            state.breaker.record(place.attempt_, outcome, now, place.model_->setting.breaker, prng_,
                                 retry_after.ns > 0 ? std::optional(retry_after) : std::nullopt);
        if (change && peers_ != nullptr) peers_->breaker_changed(target, change);
    }
    SLUICE_ASSERT(state.in_flight > 0);
    --state.in_flight;
    --placed_;
    if (place.slotted_) pool_of(target).release();
    if (place.model_->id < lines_.size() && lines_[place.model_->id] != nullptr) {
        Line& line = *lines_[place.model_->id];
        line.drain.released(now, line.queue.empty());
    }
    serve_lines();
}

// --- lines ----------------------------------------------------------------------------------

bool Dispatch::anybody_waits(const Model& model) const {
    return waiting_ > 0 && model.id < lines_.size() && lines_[model.id] != nullptr &&
           !lines_[model.id]->queue.empty();
}

bool Dispatch::wait(const Model& model, Waiting& waiting, std::uint8_t priority,
                    policy::ConsumerKey consumer) {
    if (model.setting.queue.length == 0) return false;
    if (model.id >= lines_.size()) lines_.resize(model.id + 1);
    auto& line = lines_[model.id];
    if (line == nullptr) line = std::make_unique<Line>(model.setting.queue.length);
    line->drain.saturated(loop_.now());
    if (!line->queue.try_push(waiting, priority, consumer)) return false;
    ++waiting_;
    line->slot_pools.clear();
    for (const Target& target : model.targets)
        if (pool_of(target).bounded()) line->slot_pools.push_back(target.slot_pool);
    tell_demand();
    return true;
}

void Dispatch::leave(const Model& model, Waiting& waiting) {
    SLUICE_ASSERT(waiting_ > 0);
    lines_[model.id]->queue.remove(waiting);
    --waiting_;
    tell_demand();
    serve_lines();
}

std::size_t Dispatch::position(const Model& model, const Waiting& waiting) {
    return waiting.waiting() ? lines_[model.id]->queue.position(waiting) : 1;
}

Duration Dispatch::retry_after(const Model& model) const {
    if (model.id >= lines_.size() || lines_[model.id] == nullptr)
        return policy::DrainRate::retry_after_min;
    const Line& line = *lines_[model.id];
    return line.drain.retry_after(line.queue.size(), loop_.now());
}

// Whoever is next in a line and can be placed is; behind one that cannot nobody is looked at.
void Dispatch::serve_lines() {
    if (waiting_ == 0 || serving_) return;
    serving_ = true;
    for (const auto& line : lines_) {
        while (line != nullptr && !line->queue.empty()) {
            if (!static_cast<Waiting&>(line->queue.front()).take_place()) break;
            line->queue.pop_next();
            --waiting_;
        }
    }
    serving_ = false;
    tell_demand();
}

// The ledgers of slots that are shared with other shards hear how many requests wait for them.
void Dispatch::tell_demand() {
    if (shards_ == 1) return;
    for (const auto& pool : slot_pools_)
        if (pool != nullptr) pool->wanted = 0;
    for (const auto& line : lines_)
        if (line != nullptr)
            for (const std::uint32_t id : line->slot_pools)
                slot_pools_[id]->wanted += line->queue.size();
    bool idle = false;
    for (const auto& pool : slot_pools_) {
        if (pool == nullptr || !pool->bounded()) continue;
        pool->demand(pool->wanted);
        idle |= pool->share && pool->share->needs_tick();
    }
    if (idle && !tick_.armed()) loop_.timers().arm(tick_, loop_.now() + share_tick);
}

void Dispatch::return_idle_slots() {
    for (const auto& pool : slot_pools_)
        if (pool != nullptr && pool->share) pool->share->tick();
    tell_demand();
}

// --- news -----------------------------------------------------------------------------------

void Dispatch::learn(const Catalog& catalog) {
    for (const auto& model : catalog.models())
        for (const Target& target : model->targets)
            pool_of(target);
}

void Dispatch::see_health(const Endpoint& endpoint, Health health) {
    if (!health_.set(endpoint.id, health)) return;
    if (health == Health::up)
        for (const auto& state : targets_)
            if (state != nullptr && state->endpoint == endpoint.id)
                state->breaker.seen_well(loop_.now());
    serve_lines();
}

void Dispatch::receive(std::uint32_t slot_pool, const policy::SlotMessage& message) {
    SlotPool& pool = grown(slot_pools_, slot_pool);
    if (!pool.bounded()) {
        // Another shard has heard of the slots before this one.
        pool.early.push_back(message);
        return;
    }
    if (pool.home) pool.home->receive(message);
    if (pool.share) pool.share->receive(message);
    serve_lines();
    tell_demand();
}

TargetView Dispatch::view(const Target& target) const {
    TargetView view{.health = health_.of(target.endpoint->id)};
    if (target.id >= targets_.size() || targets_[target.id] == nullptr) return view;
    view.breaker = targets_[target.id]->breaker.state();
    view.in_flight = targets_[target.id]->in_flight;
    return view;
}

void Dispatch::drain() {
    SLUICE_ASSERT(waiting_ == 0);
    loop_.timers().disarm(tick_);
    for (const auto& pool : slot_pools_)
        if (pool != nullptr && pool->share) pool->share->drain();
}

}  // namespace sluice::upstream
