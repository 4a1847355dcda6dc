// What the dispatch of a shard keeps of targets, of slots and of the lines: the parts of its state,
// for its own sources only.
#pragma once

#include "sluice/base/list.h"
#include "sluice/policy/doubts.h"
#include "sluice/policy/hash.h"
#include "sluice/policy/rests.h"
#include "sluice/upstream/dispatch.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

namespace sluice::upstream {

template <class T>
T& grown(std::vector<std::unique_ptr<T>>& all, std::uint32_t id) {
    if (id >= all.size()) all.resize(id + 1);
    if (all[id] == nullptr) all[id] = std::make_unique<T>();
    return *all[id];
}

// Whose limit it is: the client's, where the backend sees its credentials; 0: ours, or nobody's.
inline std::uint64_t credential_of(const Target& target, std::string_view credentials) {
    const bool clients = target.setting.key.empty() && !credentials.empty();
    return clients ? policy::hash_text(credentials) : 0;
}

struct Dispatch::TargetState {
    policy::Breaker breaker;
    policy::Doubts doubts;
    policy::Rests rests;
    policy::BalanceState balance;
    policy::Pace pace;
    std::uint32_t in_flight = 0;
    std::uint32_t in_flight_elsewhere = 0;  // on other shards, as they told
    std::uint32_t endpoint = 0;
    std::uint64_t identity = 0;
};

// What a place holds at its target, without the catalog that it was chosen from: it may outlive
// that.
struct Dispatch::Left {
    std::uint32_t target = 0;
    std::uint32_t endpoint = 0;
    std::uint32_t slot_pool = 0;
    std::uint32_t model = 0;
    std::uint32_t index = 0;  // of the target in its model
    bool slotted = false;
    bool told = false;  // other shards know of it
    Instant since;
    Instant until;  // then it is given up whatever the server does
};

// The slots that some targets share, as far as this shard may use them.
struct Dispatch::SlotPool final : policy::SlotSender {
    void send(const policy::SlotMessage& message) override {
        SLUICE_ASSERT(peers != nullptr);  // only shards that are several send any
        peers->send_slots(id, message);
    }

    bool bounded() const { return home.has_value() || share.has_value(); }
    std::uint32_t available() const {
        if (home) return home->allotted() < capacity ? capacity - home->allotted() : 0;
        return share ? share->idle() : 0;
    }
    // On all shards, as far as this one has heard. What is here to be had is so.
    std::uint32_t in_flight() const {
        const std::uint32_t own = home ? home->in_use() : share ? share->in_use() : 0;
        const std::uint32_t all = own + in_use_elsewhere;
        return available() > 0 ? std::min(all, capacity - 1) : all;
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
    std::uint32_t in_use_elsewhere = 0;  // by other shards, as they told
    std::size_t wanted = 0;              // by those that wait, as the ledger was told
    Peers* peers = nullptr;
    std::optional<policy::SlotHome> home;
    std::optional<policy::SlotShare> share;
    std::vector<policy::SlotMessage> early;  // that came before this shard knew of the slots
};

// Who waits for the same targets of a model.
struct Dispatch::Line {
    Line(ModelLines& all, std::size_t room, Duration age) : lines(all), queue(room, age) {}

    // The slots that the one whose turn it is asks for; none: any of `slot_pools`.
    std::optional<std::uint32_t> asks() { return static_cast<Waiting&>(queue.front()).asks_; }

    ModelLines& lines;
    policy::WaitQueue queue;
    std::uint64_t targets = 0;              // that would do for somebody here, a bit each
    std::vector<std::uint32_t> slot_pools;  // that these have
    std::size_t rank = 0;                   // that it is filed under
    ListHook turn_hook;                     // while somebody waits here
};

// Whoever only some of the targets would do for stands in a line of its own kind: it must not hold
// up those that another target would do for, and it has the first pick of those it waits for.
struct Dispatch::ModelLines {
    // Kinds beyond that many share a line, and may hold up each other.
    static constexpr std::size_t picky_max = 16;

    // Beyond the length there is room for those that only ask for a slot.
    ModelLines(std::uint32_t model_id, const config::QueueSetting& setting)
        : model(model_id),
          length(setting.length),
          ordinary(*this, length + policy::slot_demand_max, setting.age) {}

    // The line of those that only these targets would do for.
    Line& picky_for(std::uint64_t targets) {
        Line* empty = nullptr;
        for (const auto& line : picky) {
            if (line->queue.empty())
                empty = line.get();
            else if (line->targets == targets)
                return *line;
        }
        if (empty != nullptr) return *empty;
        if (picky.size() == picky_max) return *picky.back();
        picky.push_back(
            std::make_unique<Line>(*this, ordinary.queue.waiting_max(), ordinary.queue.age()));
        return *picky.back();
    }
    bool any_for(std::size_t target) const {
        SLUICE_ASSERT(target < policy::candidates_max);
        if (!ordinary.queue.empty()) return true;
        return std::ranges::any_of(picky, [&](const auto& line) {
            return !line->queue.empty() && (line->targets >> target & 1) != 0;
        });
    }

    const std::uint32_t model;
    const std::size_t length;
    Line ordinary;
    std::vector<std::unique_ptr<Line>> picky;
    std::size_t waiting = 0;  // in all of them
    policy::DrainRate drain;
};

// The lines in which somebody waits, by the class of who is next in each, behind those of the picky
// ones. Within a class the one that was served last is the last. They age as classes within a line
// do (see WaitQueue), and one step more, to where the picky ones are: so none starves another one.
struct Dispatch::Turns {
    using Lines = List<Line, &Line::turn_hook>;

    static std::size_t rank_of(Line& line, Instant now) {
        if (&line != &line.lines.ordinary) return 0;
        const std::int64_t age = line.queue.age().ns;
        const std::int64_t left = (line.queue.due_next() - now).ns + age;
        return left <= 0 ? 0 : static_cast<std::size_t>((left + age - 1) / age);
    }
    // Who is next in it, or whether anybody is, may have changed.
    void file(Line& line, Instant now) {
        if (line.turn_hook.linked()) line.turn_hook.unlink();
        if (line.queue.empty()) return;
        line.rank = rank_of(line, now);
        SLUICE_ASSERT(line.rank < by_rank.size());
        by_rank[line.rank].push_back(line);
    }
    // Time has passed.
    void age(Instant now) {
        for (auto& lines : by_rank)
            lines.for_each([&](Line& line) {
                if (rank_of(line, now) < line.rank) file(line, now);
            });
    }

    std::array<Lines, 1 + policy::WaitQueue::classes> by_rank;
};

}  // namespace sluice::upstream
