#include "dispatch_parts.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::upstream {
namespace {

// A mebibyte, taken when the first model of several replicas asks for it.
constexpr std::size_t prefix_entries = 64 * 1024;

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

}  // namespace

bool balances_by_prefix(const Model& model) {
    return model.targets.size() > 1 && kind_of(model) == policy::BalanceKind::prefix;
}

// --- what a shard knows ---------------------------------------------------------------------

Dispatch::Dispatch(io::Loop& loop, std::uint64_t seed)
    : loop_(loop),
      prng_(seed),
      seed_(prng_.next()),
      turns_(std::make_unique<Turns>()),
      overdue_(this, [](void* self) { static_cast<Dispatch*>(self)->free_overdue(); }),
      tick_(this, [](void* self) { static_cast<Dispatch*>(self)->return_idle_slots(); }) {}

Dispatch::~Dispatch() {
    SLUICE_ASSERT(waiting_ == 0 && placed_ == 0);
    forget_left();
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
    // Lent here or borrowed, never both.
    SLUICE_ASSERT(!pool.home || !pool.share);
    const auto home = static_cast<std::uint16_t>(id % shards_);
    SLUICE_ASSERT(shards_ == 1 || peers_ != nullptr);
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

Dispatch::Standing Dispatch::standing_of(const Wish& wish, std::size_t index, Instant now) {
    const Target& target = wish.model->targets[index];
    TargetState& state = state_of(target);
    const Health health = health_.of(target.endpoint->id);
    // What it failed of before it was started anew is no reason not to wait for it.
    if (health == Health::loading) return Standing::loading;
    const bool refused = state.breaker.admit(now) == policy::Admission::refuse;
    if (health == Health::down) return refused ? Standing::refused : Standing::down;
    if (refused) return state.breaker.answers_badly() ? Standing::unwilling : Standing::refused;
    if (!state.rests.empty() && state.rests.end_of(credential_of(target, wish.credentials)) > now)
        return Standing::unwilling;
    return Standing::well;
}

// Tried by this request or not.
bool Dispatch::anybody_well(const Wish& wish, Instant now) {
    const std::size_t count = std::min(wish.model->targets.size(), policy::candidates_max);
    for (std::size_t i = 0; i < count; ++i)
        if (standing_of(wish, i, now) == Standing::well) return true;
    return false;
}

Found Dispatch::place(const Wish& wish, Place& place) {
    SLUICE_ASSERT(wish.model != nullptr && !place.held());
    const auto& targets = wish.model->targets;
    const std::size_t count = std::min(targets.size(), policy::candidates_max);
    const Instant now = loop_.now();
    auto& candidates = candidates_;
    candidates.resize(count);
    std::array<std::uint64_t, standings> standing{};  // targets that suit, a bit each
    for (std::size_t i = 0; i < count; ++i) {
        const Target& target = targets[i];
        TargetState& state = state_of(target);
        SlotPool& pool = pool_of(target);
        candidates[i] = {.backend = target.id,
                         .identity = state.identity,
                         .weight = target.setting.weight,
                         .priority = static_cast<std::uint32_t>(target.setting.priority),
                         .slots = pool.bounded() ? pool.capacity : 0,
                         .in_flight = pool.bounded() ? pool.in_flight()
                                                     : state.in_flight + state.in_flight_elsewhere,
                         .usable = false,
                         .state = &state.balance};
        if (!suits(wish, i)) continue;
        standing[index_of(standing_of(wish, i, now))] |= std::uint64_t{1} << i;
    }
    const auto choose_of = [&](Standing which) {
        for (std::size_t i = 0; i < count; ++i)
            candidates[i].usable = (standing[index_of(which)] >> i & 1) != 0;
        return choose(wish, {candidates.data(), count}, now);
    };
    auto choice = choose_of(Standing::well);
    if (choice.outcome == policy::Choice::Outcome::none) {
        if (standing[index_of(Standing::loading)] != 0)
            return {.finding = Finding::loading, .again = {}};
        // Nobody is well. One that answers, if badly, is better than nobody; and the port of one
        // that is said to be down is asked, once a request.
        const bool unwilling =
            standing[index_of(Standing::unwilling)] != 0 && !anybody_well(wish, now);
        if (unwilling && !wish.unwilling_too) return exhausted(wish, true, now);
        if (unwilling)
            choice = choose_of(Standing::unwilling);
        else if (wish.tried == 0)
            choice = choose_of(Standing::down);
    }
    if (choice.outcome == policy::Choice::Outcome::full)
        return {.finding = Finding::busy, .again = {}};
    if (!choice.chosen()) return exhausted(wish, false, now);
    SLUICE_ASSERT(choice.index < count);
    SLUICE_ASSERT(!is_tried(wish, choice.index));
    const Target& chosen = targets[choice.index];
    if (!is_here(chosen)) return {.finding = Finding::busy, .asks = chosen.slot_pool, .again = {}};
    take(*wish.model, chosen, place);
    SLUICE_ASSERT(place.held() && &place.target() == &chosen);
    if (wish.prompt != nullptr && balances_by_prefix(*wish.model))
        record_prompt(*wish.prompt, chosen.id);
    return {.finding = Finding::placed, .again = {}};
}

// When a target that was not tried may be asked again.
Found Dispatch::exhausted(const Wish& wish, bool unwilling, Instant now) {
    Found found{.finding = Finding::exhausted, .again = {}, .unwilling = unwilling};
    const std::size_t count = std::min(wish.model->targets.size(), policy::candidates_max);
    for (std::size_t i = 0; i < count; ++i) {
        if (!suits(wish, i)) continue;
        const Target& target = wish.model->targets[i];
        const TargetState& state = state_of(target);
        const bool refused = state.breaker.admit(now) == policy::Admission::refuse;
        const Instant rest = state.rests.end_of(credential_of(target, wish.credentials));
        if (!refused && rest <= now) continue;
        found.resting |= !refused;
        const Instant again = std::max(refused ? state.breaker.opens_again_at() : rest, now);
        if (!found.again || again < *found.again) found.again = again;
    }
    return found;
}

// What stays together goes where it belongs, also for a slot that has to be asked for; anything
// else takes what is here.
policy::Choice Dispatch::choose(const Wish& wish, std::span<policy::Candidate> candidates,
                                Instant now) {
    policy::BalanceRequest request{.kind = kind_of(*wish.model), .key = wish.key, .now = now};
    // There is nothing to choose.
    if (candidates.size() == 1) request.kind = policy::BalanceKind::least_busy;
    policy::PrefixMatch match;
    if (request.kind == policy::BalanceKind::prefix && wish.prompt != nullptr) {
        match = prefixes().lookup(*wish.prompt, candidates);
        request.match = &match;
    }
    if (shards_ > 1 && request.kind != policy::BalanceKind::hash && request.match == nullptr)
        for (std::size_t i = 0; i < candidates.size(); ++i)
            if (!is_here(wish.model->targets[i])) candidates[i].in_flight = candidates[i].slots;
    return policy::choose(request, candidates, prng_);
}

// A request for it need not wait: it has a free slot on this shard, or no slots at all.
bool Dispatch::is_here(const Target& target) {
    const SlotPool& pool = pool_of(target);
    return !pool.bounded() || pool.available() > 0;
}

// Slots that would do and are free, but on other shards.
std::size_t Dispatch::free_elsewhere(const Wish& wish) {
    if (shards_ == 1) return 0;
    std::size_t free = 0;
    std::vector<std::uint32_t> counted;
    const std::size_t count = std::min(wish.model->targets.size(), policy::candidates_max);
    for (std::size_t i = 0; i < count; ++i) {
        const Target& target = wish.model->targets[i];
        const SlotPool& pool = pool_of(target);
        if (!pool.bounded() || !suits(wish, i) ||
            standing_of(wish, i, loop_.now()) != Standing::well)
            continue;
        if (std::ranges::find(counted, target.slot_pool) != counted.end()) continue;
        counted.push_back(target.slot_pool);
        free += pool.capacity - std::min(pool.capacity, pool.in_flight());
    }
    return free;
}

void Dispatch::take(const Model& model, const Target& target, Place& place) {
    SLUICE_ASSERT(&target >= model.targets.data());
    SLUICE_ASSERT(&target < model.targets.data() + model.targets.size());
    TargetState& state = state_of(target);
    SlotPool& pool = pool_of(target);
    const bool acquired = pool.acquire();
    SLUICE_ASSERT(acquired);
    policy::Breaker::Begun begun;
    if (state.breaker.admit(loop_.now()) == policy::Admission::refuse)
        begun.attempt = state.breaker.beside();
    else
        begun = state.breaker.begin(loop_.now());
    if (begun.change && peers_ != nullptr) peers_->breaker_changed(target, begun.change);
    ++state.in_flight;
    ++placed_;
    if (state.endpoint >= traffic_.size()) traffic_.resize(state.endpoint + 1);
    ++traffic_[state.endpoint].placed;
    ++traffic_[state.endpoint].in_flight;
    if (peers_ != nullptr) peers_->traffic_changed();
    place.dispatch_ = this;
    place.target_ = &target;
    place.model_ = &model;
    place.attempt_ = begun.attempt;
    place.left_ = {};
    place.slotted_ = pool.bounded();
    // Of one target without slots the others have nothing to decide.
    place.told_ = shards_ > 1 && (place.slotted_ || model.targets.size() > 1);
    if (place.told_) tell(DispatchNews::Change::Of::target, target.id, target.slot_pool, 1);
    place.begun_ = loop_.now();
}

bool Dispatch::possible(const Wish& wish) {
    const Instant now = loop_.now();
    const std::size_t count = std::min(wish.model->targets.size(), policy::candidates_max);
    bool unwilling = false;
    for (std::size_t i = 0; i < count; ++i) {
        if (!suits(wish, i)) continue;
        const Standing standing = standing_of(wish, i, now);
        if (standing == Standing::well || standing == Standing::loading) return true;
        unwilling |= standing == Standing::unwilling;
    }
    return unwilling && !anybody_well(wish, now);
}

std::optional<Instant> Dispatch::opens_again(const Wish& wish) {
    SLUICE_ASSERT(wish.model != nullptr && wish.tried == 0);
    const Instant now = loop_.now();
    if (anybody_well(wish, now)) return std::nullopt;
    return exhausted(wish, false, now).again;
}

policy::PrefixIndex& Dispatch::prefixes() {
    if (prefixes_ == nullptr) prefixes_ = std::make_unique<policy::PrefixIndex>(prefix_entries);
    return *prefixes_;
}

void Dispatch::record_prompt(const policy::PrefixHashes& prompt, std::uint32_t backend) {
    if (shards_ == 1) {
        prefixes().record(prompt, backend);
        return;
    }
    if (news_ == nullptr) news_ = std::make_shared<DispatchNews>();  // shared: by all peers
    auto& hashes = news_->hashes;
    const std::size_t before = hashes.size();
    prefixes().record(prompt, backend, &hashes);
    if (hashes.size() > DispatchNews::hashes_max) return hashes.resize(before);
    news_->prompts.push_back({backend, static_cast<std::uint32_t>(hashes.size() - before)});
}

std::uint64_t Dispatch::prefix_seed(const Model& model) const {
    return policy::hash_text(model.name, seed_);
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

void Dispatch::see_sign(std::uint32_t endpoint, const Sign& sign) {
    health_.note(endpoint, sign);
    if (sign.since != Instant{}) free_left(endpoint, sign);
}

void Dispatch::receive(std::uint32_t slot_pool, const policy::SlotMessage& message) {
    SlotPool& pool = grown(slot_pools_, slot_pool);
    if (!pool.bounded()) {
        // Another shard has heard of the slots before this one.
        pool.early.push_back(message);
        return;
    }
    SLUICE_ASSERT(pool.home.has_value() != pool.share.has_value());
    if (pool.home) pool.home->receive(message);
    if (pool.share) pool.share->receive(message);
    serve_lines();
    tell_demand();
}

void Dispatch::tell(DispatchNews::Change::Of of, std::uint32_t id, std::uint32_t slot_pool,
                    std::int32_t more) {
    SLUICE_ASSERT(shards_ > 1);
    SLUICE_ASSERT(more == 1 || more == -1);                          // one request came or went
    if (news_ == nullptr) news_ = std::make_shared<DispatchNews>();  // shared: by all peers
    news_->add(of, id, slot_pool, more);
}

std::shared_ptr<const DispatchNews> Dispatch::take_news() {
    if (news_ == nullptr || !news_->settle()) return nullptr;
    return std::exchange(news_, nullptr);
}

void Dispatch::receive(const DispatchNews& news) {
    for (const auto& change : news.changes) {
        SLUICE_ASSERT(change.more != 0);  // settle() has taken out what came to nothing
        const auto more = static_cast<std::uint32_t>(change.more);  // modulo 2^32
        if (change.of == DispatchNews::Change::Of::target) {
            grown(targets_, change.id).in_flight_elsewhere += more;
            grown(slot_pools_, change.slot_pool).in_use_elsewhere += more;
        } else {
            if (change.id >= waiting_elsewhere_.size()) waiting_elsewhere_.resize(change.id + 1);
            waiting_elsewhere_[change.id] += more;
        }
    }
    std::span<const std::uint64_t> hashes(news.hashes);
    for (const auto& prompt : news.prompts) {
        SLUICE_ASSERT(prompt.hashes <= hashes.size());
        prefixes().learn(hashes.first(prompt.hashes), prompt.backend);
        hashes = hashes.subspan(prompt.hashes);
    }
    SLUICE_ASSERT(hashes.empty());
    serve_lines();
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
