// Lane: one thread's share of a load: its clients, when they send, and what they measured.
//
// Closed loop: each client sends its next request when it has its answer (and has thought).
// Open loop: requests are due at a rate, whether or not the server keeps up. One that is due while
// no connection is free waits, and its latency counts from when it was due; one that is not
// answered when the window ends, or not even sent, counts with the time it has waited by then.
// Nothing that a slow server causes is left out (coordinated omission).
#pragma once

#include "arrivals.h"
#include "client.h"
#include "origin.h"
#include "sluice/net/address.h"
#include "stalled.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

namespace sluice::bench {

// What a lane does.
struct Load {
    std::vector<Request> requests;  // the mix
    net::Address address;
    std::uint32_t connections = 1;  // in open loop: at most
    bool keep_alive = true;
    double rate = 0;       // requests a second; 0: closed loop
    bool poisson = false;  // open loop: random distances, as of many independent users
    Duration think;        // closed loop: between answer and next request
    Duration ramp;         // connections start evenly over it
    Duration timeout = Duration::seconds(60);  // of a request
    Duration stall = Duration::seconds(1);     // a gap that counts as one
    std::uint64_t requests_max = UINT64_MAX;
    std::uint64_t seed = 1;
    std::uint32_t first_id = 1;  // of its clients, for an origin
    StalledLoad stalled;         // beside it; no lane's
};

class Lane {
public:
    // `origin`: the bench's own backend behind the target, or null.
    Lane(io::Loop& loop, const Load& load, Origin* origin);
    ~Lane();  // asserts over()

    void start(Instant now);
    // When send_due() has something to do.
    Instant next_due() const;
    void send_due(Instant now);
    // What is measured begins: until now nothing was.
    void begin_window(Instant begin, Instant end);
    // All requests that were asked for are answered.
    bool finished() const { return started_ == load_.requests_max && busy_ == 0; }
    // At `now` the window is over, or before it would be.
    void stop(Instant now);
    bool over() const;

    const Load& load() const { return load_; }
    Tally& tally() { return tally_; }
    std::uint32_t busy() const { return busy_; }

    // --- from its clients ---
    void on_idle(Client& client, bool failed);
    void on_events(Client& client, std::uint32_t events);

private:
    struct Wake {
        std::int64_t ns;
        std::uint32_t client;
        bool operator<(const Wake& other) const { return ns > other.ns; }
    };

    void begin(Client& client, Instant from);
    void send_arrivals(Instant now);
    void count_unanswered(Instant now);

    io::Loop& loop_;
    const Load& load_;
    Origin* origin_;
    Tally tally_;
    std::vector<std::string> texts_;  // by request
    Rotation rotation_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::priority_queue<Wake> wakes_;   // closed loop
    std::vector<Client*> idle_;         // open loop
    std::optional<Arrivals> arrivals_;  // open loop
    Instant free_since_;                // open loop: some connection has been idle since
    std::uint64_t started_ = 0;
    std::uint32_t busy_ = 0;
    bool stopping_ = false;
};

}  // namespace sluice::bench
