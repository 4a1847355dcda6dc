// Dispatch: the lines of those that wait for a place, and the slots that other shards lend for
// them.
#include "dispatch_parts.h"

#include <utility>

namespace sluice::upstream {
namespace {

// Idle slots of another shard's backend go back after one to two of these.
constexpr Duration share_tick = Duration::seconds(1);

}  // namespace

bool Dispatch::anybody_waits(const Model& model) const {
    return waiting_ > 0 && model.id < lines_.size() && lines_[model.id] != nullptr &&
           !lines_[model.id]->ordinary.queue.empty();
}

Dispatch::Line& Dispatch::line_for(const Wish& wish, ModelLines& lines) {
    const std::size_t count = std::min(wish.model->targets.size(), policy::candidates_max);
    static_assert(policy::candidates_max <= 64);
    SLUICE_ASSERT(count > 0);  // nobody waits for no target, and no shift is by 64
    const std::uint64_t all = ~std::uint64_t{0} >> (64 - count);
    std::uint64_t targets = 0;
    for (std::size_t i = 0; i < count; ++i)
        if (suits(wish, i)) targets |= std::uint64_t{1} << i;
    Line& line = targets == all ? lines.ordinary : lines.picky_for(targets);
    if (line.queue.empty()) {
        line.targets = 0;
        line.slot_pools.clear();
    }
    line.targets |= targets;
    for (std::size_t i = 0; i < count; ++i) {
        const Target& target = wish.model->targets[i];
        if ((targets >> i & 1) == 0 || !pool_of(target).bounded()) continue;
        if (std::ranges::find(line.slot_pools, target.slot_pool) == line.slot_pools.end())
            line.slot_pools.push_back(target.slot_pool);
    }
    return line;
}

std::size_t Dispatch::waiting_on_box(const Model& model) const {
    SLUICE_ASSERT(model.id < lines_.size());
    const std::size_t elsewhere =
        model.id < waiting_elsewhere_.size() ? waiting_elsewhere_[model.id] : 0;
    return lines_[model.id]->waiting + elsewhere;
}

void Dispatch::count_waiting(Line& line, int more) {
    SLUICE_ASSERT(more == 1 || more == -1);
    SLUICE_ASSERT(more > 0 || line.lines.waiting > 0);
    line.lines.waiting += static_cast<std::size_t>(more);
    waiting_ += static_cast<std::size_t>(more);
    SLUICE_ASSERT(waiting_ >= line.lines.waiting);
    if (shards_ > 1) tell(DispatchNews::Change::Of::line, line.lines.model, 0, more);
}

bool Dispatch::wait(const Wish& wish, Waiting& waiting, std::uint8_t priority,
                    policy::ConsumerKey consumer, std::optional<std::uint32_t> asks) {
    const Model& model = *wish.model;
    SLUICE_ASSERT(!model.targets.empty() && waiting.line_ == nullptr);
    if (model.setting.queue.length == 0 && shards_ == 1) return false;
    if (model.id >= lines_.size()) lines_.resize(model.id + 1);
    auto& lines = lines_[model.id];
    if (lines == nullptr) lines = std::make_unique<ModelLines>(model.id, model.setting.queue);
    lines->drain.saturated(loop_.now());
    if (waiting_on_box(model) >= lines->length &&
        lines->waiting >= std::min<std::size_t>(free_elsewhere(wish), policy::slot_demand_max))
        return false;
    Line& line = line_for(wish, *lines);
    const bool began = line.queue.empty();
    // Whoever was not tried is, when one before it asks for a slot, behind that one.
    waiting.asks_ = asks.has_value() || began ? asks : line.asks();
    const Instant now = loop_.now();
    const bool pushed = line.queue.try_push(waiting, priority, consumer, now);
    SLUICE_ASSERT(pushed);
    waiting.line_ = &line;
    count_waiting(line, 1);
    // A line keeps its turn unless who is next in it is of another class now.
    if (began || Turns::rank_of(line, now) < line.rank) turns_->file(line, now);
    SLUICE_ASSERT(line.turn_hook.linked());  // or it would never be served
    tell_demand();
    return true;
}

void Dispatch::leave(const Model& model, Waiting& waiting) {
    SLUICE_ASSERT(waiting_ > 0 && waiting.line_ != nullptr);
    Line& line = *std::exchange(waiting.line_, nullptr);
    SLUICE_ASSERT(&line.lines == lines_[model.id].get());
    line.queue.remove(waiting);
    count_waiting(line, -1);
    if (line.queue.empty() || Turns::rank_of(line, loop_.now()) != line.rank)
        turns_->file(line, loop_.now());
    SLUICE_ASSERT(line.queue.empty() != line.turn_hook.linked());
    tell_demand();
    serve_lines();
}

// As far as it can be told: who waits for other targets may be served sooner or later than that.
std::size_t Dispatch::position(const Model& model, const Waiting& waiting) {
    if (!waiting.waiting()) return 1;
    Line& line = *waiting.line_;
    const ModelLines& lines = *lines_[model.id];
    SLUICE_ASSERT(&line.lines == &lines);
    const bool ordinary = &line == &lines.ordinary;
    return line.queue.position(waiting) + (ordinary ? lines.waiting - line.queue.size() : 0);
}

Duration Dispatch::retry_after(const Model& model) const {
    if (model.id >= lines_.size() || lines_[model.id] == nullptr)
        return policy::DrainRate::retry_after_min;
    const ModelLines& lines = *lines_[model.id];
    return lines.drain.retry_after(lines.waiting, loop_.now());
}

// Lines take turns: whoever is next in one and can be placed is, and then the line is the last of
// those of its class. Behind one that cannot be placed nobody of its line is looked at.
void Dispatch::serve_lines() {
    if (waiting_ == 0 || serving_) return;
    serving_ = true;
    const Instant now = loop_.now();
    turns_->age(now);
    for (auto& lines : turns_->by_rank) {
        Turns::Lines stuck;
        while (!lines.empty()) {
            Line& line = lines.front();
            auto& next = static_cast<Waiting&>(line.queue.front());
            SLUICE_ASSERT(next.line_ == &line);
            const Found found = next.take_place();
            if (found.waits()) {
                next.asks_ = found.asks;
                lines.pop_front();
                stuck.push_back(line);
                continue;
            }
            // Whoever was asked is who leaves the line, whatever that has brought about.
            const policy::Waiter& served = line.queue.pop_next();
            SLUICE_ASSERT(&served == &next);
            next.line_ = nullptr;
            count_waiting(line, -1);
            turns_->file(line, now);  // never in a class before this one
        }
        lines.splice_back(stuck);
    }
    serving_ = false;
    tell_demand();
}

// The ledgers of slots that are shared with other shards hear how many requests wait for them.
void Dispatch::tell_demand() {
    if (shards_ == 1) return;
    for (const auto& pool : slot_pools_)
        if (pool != nullptr) pool->wanted = 0;
    for (auto& lines : turns_->by_rank)
        lines.for_each([&](Line& line) {
            if (const auto asked = line.asks()) {
                // Nobody here takes any other slot before this one is served, and what nobody
                // takes must not be kept from other shards.
                SLUICE_ASSERT(*asked < slot_pools_.size() && slot_pools_[*asked] != nullptr);
                ++slot_pools_[*asked]->wanted;
                return;
            }
            for (const std::uint32_t id : line.slot_pools)
                slot_pools_[id]->wanted += line.queue.size();
        });
    bool idle = false;
    for (const auto& pool : slot_pools_) {
        if (pool == nullptr || !pool->bounded()) continue;
        pool->demand(pool->wanted);
        idle |= pool->share && pool->share->needs_tick();
    }
    if (idle && !tick_.armed()) loop_.timers().arm(tick_, loop_.now() + share_tick);
}

void Dispatch::return_idle_slots() {
    SLUICE_ASSERT(shards_ > 1);  // with one there is nobody to return them to
    for (const auto& pool : slot_pools_)
        if (pool != nullptr && pool->share) pool->share->tick();
    tell_demand();
}

}  // namespace sluice::upstream
