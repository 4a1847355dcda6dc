// Flight: one generation, for whoever listens.
//
// It asks backends as a Forward does and writes what comes into a recording. It belongs to none of
// its listeners: it ends with its answer, or when nobody listens any more. It has an exchange of
// its own, which tells the backend's tokens and is no line of the log: those are the listeners'.
#pragma once

#include "forward.h"
#include "sluice/cache/embeddings.h"
#include "sluice/io/loop.h"
#include "sluice/proxy/flights.h"

#include <memory>
#include <optional>
#include <vector>

namespace sluice::proxy {

// What becomes of the answer.
struct FlightPlan {
    FlightKey key;
    bool keep = false;  // where it is whole and a success
    Duration ttl;
    cache::ScopeKind scope = cache::ScopeKind::consumer;
    std::string scope_name;
    // A batch, of which the items are kept, each by its own key; null: it is none.
    std::unique_ptr<cache::EmbeddingBatch> batch{};
};

class Flight final : public io::Actor {
public:
    // Takes over the request of the exchange that began it; null: no room.
    static Flight* begin(Service& service, Exchange& first, FlightPlan&& plan,
                         std::shared_ptr<answer::Recording> recording);
    Flight(Service& service, Exchange& exchange, FlightPlan&& plan,
           std::shared_ptr<answer::Recording> recording);

    const answer::Recording& recording() const { return *recording_; }
    // Nobody listens.
    void end_unwanted();
    // We stop.
    void cut_off();

    void advance() override;
    void bury() override;

private:
    void end(Answering::Outcome outcome);
    void settle(answer::Recording::Ending&& ending);
    std::shared_ptr<const cache::Answer> answer_to_keep() const;
    void watch_deadline();

    // --- of a batch (flight_items.cc) ---
    void ask_for_rest();
    void drop_batch();
    bool take_rest();
    bool put_together(const answer::Recording::Head& head);
    void pass_on(const answer::Recording::Head& head, std::string_view body);
    void ask_for_all();
    void take_all();
    cache::AnswerFacts item_facts(const answer::Recording::Head& head) const;

    Service& service_;
    Exchange& exchange_;
    FlightPlan plan_;
    std::shared_ptr<answer::Recording> recording_;
    const upstream::Model* asked_;  // the model that is to answer
    // What the backend is asked for less than all of a batch, its answer comes here; null: it is
    // asked for all. Shared as every recording, but nobody listens to it.
    std::shared_ptr<answer::Recording> rest_;
    std::string asked_model_;                          // for another try
    std::vector<cache::EmbeddingBatch::Fresh> fresh_;  // items to keep
    std::optional<Forward> forward_;  // always there; another one when all is asked for
    io::Timer timer_;
    std::uint64_t told_ = 0;  // bytes that the listeners were told of
    bool begun_told_ = false;
    bool shut_ = false;  // too long to be joined
    bool timer_fired_ = false;
    bool over_ = false;
};

}  // namespace sluice::proxy
