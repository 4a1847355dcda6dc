// Flight: one generation, for whoever listens.
//
// It asks backends as a Forward does and writes what comes into a recording. It belongs to none of
// its listeners: it ends with its answer, or when nobody listens any more. It has an exchange of
// its own, which tells the backend's tokens and is no line of the log: those are the listeners'.
#pragma once

#include "forward.h"
#include "sluice/io/loop.h"
#include "sluice/proxy/flights.h"

#include <memory>

namespace sluice::proxy {

// What becomes of the answer.
struct FlightPlan {
    FlightKey key;
    bool keep = false;  // where it is whole and a success
    Duration ttl;
    cache::ScopeKind scope = cache::ScopeKind::consumer;
    std::string scope_name;
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

    Service& service_;
    Exchange& exchange_;
    FlightPlan plan_;
    std::shared_ptr<answer::Recording> recording_;
    Forward forward_;
    io::Timer timer_;
    std::uint64_t told_ = 0;  // bytes that the listeners were told of
    bool begun_told_ = false;
    bool shut_ = false;  // too long to be joined
    bool timer_fired_ = false;
    bool over_ = false;
};

}  // namespace sluice::proxy
