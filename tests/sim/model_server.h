// ModelServer: one connection of a scripted backend, which answers each request by its case's plan.
#pragma once

#include "case.h"
#include "peer.h"

#include <string>
#include <string_view>

namespace sluice::sim {

// What all connections of one server share.
struct ServerHabits {
    std::string models;    // the body of its GET /v1/models
    std::string software;  // its Server field; may be empty
    unsigned slots = 0;    // that it tells of; 0: it does not
    Duration idle_max{};   // closes a connection without a request after that; zero: never
    int requests_max = 0;  // closes a connection after as many; zero: never
    bool reads_slowly = false;
};

class ModelServer final : public Peer {
public:
    ModelServer(Ledger& ledger, const ServerHabits& habits) : ledger_(ledger), habits_(habits) {}

    void on_connected() override;
    void on_data(std::string_view bytes) override;
    void on_end() override { lost(); }
    void on_reset() override { free_case(); }

private:
    bool read_request();
    void read_rest();
    void answer_question(std::string_view path);
    void answer(Case& asked, std::string_view body);
    std::string encode(const Plan& plan, bool with_usage);
    std::string encode_body(const Plan& plan, std::string_view body);
    std::string head_fields(const Plan& plan, std::size_t body_size) const;
    void write_some();
    void finish_answer();
    void close_when_sent();
    void free_case();
    void lost();
    void watch_idle();

    Ledger& ledger_;
    const ServerHabits& habits_;
    std::string received_;
    Case* at_work_ = nullptr;
    Plan plan_;
    std::string answer_;  // still to be written
    std::string rest_;    // still to come of a request that is answered early
    int requests_ = 0;
    bool closing_ = false;  // hears no further request
};

}  // namespace sluice::sim
