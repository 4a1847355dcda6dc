// Inquest: which servers ended under one request, and whether it is the one that they ended under.
//
// A member of a Forward, which asks it before it moves on. Where that is over and it is not known
// yet what became of a server (its port outlives its connections for a moment), or what the other
// shards saw there, the shard's Inquests find out: the request will be sent again.
#pragma once

#include "sluice/io/timer_wheel.h"
#include "sluice/policy/suspicion.h"
#include "sluice/proxy/service.h"
#include "sluice/upstream/endpoint.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::proxy {

struct Inquest {
    using Server = std::shared_ptr<const upstream::Endpoint>;  // it may outlive the catalog
    struct Broken {
        Server server;
        Instant at;
    };

    // The connection to that server broke.
    void broke(Service& service, const Server& server);
    // It has ended.
    void count(const upstream::Endpoint& server);
    // What has become of those where that happened? One whose port is still there after that time
    // has not ended. But for this one, whose listener is looked for at its own times; null: of all.
    void look_back(Service& service, const upstream::Endpoint* but, Duration patience);
    // What sendings before `began` have met. `digest` is of a request that can be known again, else
    // 0.
    void recall(const Service& service, std::uint64_t digest, Instant began);
    policy::Fate fate(const Service& service, std::uint64_t digest) const;
    // Servers end under it: that is said, and known from now on.
    void convict(Service& service, std::uint64_t digest);
    // It was not served; how it ended is noted once it is known.
    void close(Service& service, std::uint64_t digest);

    policy::Suspect suspect;
    std::vector<Broken> broken;  // of which it is not known yet whether they have ended
    std::string ended;           // the URLs of those that have
    std::string request;         // for the log: the exchange's id and
    std::string model;
    bool closed = false;
};

// Servers end under that request, as it is known for: none gets it.
bool ends_servers(const Service& service, std::uint64_t digest);

// Those of forwards that are over.
class Inquests {
public:
    explicit Inquests(Service& service);
    ~Inquests();

    // Nobody waits for it: it is looked at until everything is known, for a second.
    void take(const Inquest& inquest, std::uint64_t digest);

private:
    struct Case {
        Inquest inquest;
        std::uint64_t digest;
    };
    static constexpr std::size_t cases_max = 256;  // more are not looked into

    void look();

    Service& service_;
    std::vector<std::unique_ptr<Case>> cases_;
    io::Timer timer_;  // while there are any
};

}  // namespace sluice::proxy
