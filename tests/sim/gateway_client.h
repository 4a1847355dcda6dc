// GatewayClient: one scripted client connection: sends its requests, reads the answers strictly and
// judges each of them.
#pragma once

#include "answer_reader.h"
#include "case.h"
#include "peer.h"

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::sim {

// How a client behaves on its connection.
struct ClientHabits {
    bool pipelines = false;
    bool byte_by_byte = false;
    std::size_t read_max = SIZE_MAX;  // slow reading: so much at a time,
    Duration read_pause{};            // with this between
    Duration think_max{};             // between an answer and the next request
    // Leaves without waiting for the rest, in this time from the start; zero: stays.
    Duration leaves_after{};
    std::optional<std::size_t> leaves_at{};  // with so many bytes of an answer's body
    bool leaves_by_reset = false;
    bool half_closes = false;  // FIN behind its last request
    bool stalls = false;       // stops in the middle of what it sends
    bool deaf = false;         // reads nothing at all

    static ClientHabits random(Prng& prng);
    // Of one of several who ask the same: it may leave at any place of the answer.
    static ClientHabits of_asker(Prng& prng, const Plan& plan);
};

class GatewayClient final : public Peer {
public:
    // `done` is called once, when nothing more can happen.
    GatewayClient(Ledger& ledger, std::vector<Case*> cases, const ClientHabits& habits,
                  std::function<void()> done)
        : ledger_(ledger), cases_(std::move(cases)), habits_(habits), done_(std::move(done)) {}

    void on_connected() override;
    void on_refused() override;
    void on_data(std::string_view bytes) override;
    void on_end() override;
    void on_reset() override;

private:
    Case& current() { return *cases_[answered_]; }
    void send_next();
    void write_some();
    void leave();
    void mark_left();
    void answer_complete();
    void judge(Case& asked, bool by_end);
    void judge_forwarded(Case& asked);
    void judge_error(Case& asked);
    void judge_broken(Case& asked, bool reset);
    void judge_broken_stream(const Case& asked, std::string_view body, std::string_view whole,
                             bool reset) const;
    void connection_lost(bool reset);
    bool reset_by_later() const;
    void excuse(const Case& asked, const char* what) const;
    void stop();

    Ledger& ledger_;
    std::vector<Case*> cases_;
    ClientHabits habits_;
    std::function<void()> done_;
    AnswerReader reader_;
    std::string unwritten_;
    std::size_t sent_ = 0;         // cases whose request was begun
    std::size_t answered_ = 0;     // cases that are judged
    bool gateway_closes_ = false;  // an answer said so: no further one is due
};

}  // namespace sluice::sim
