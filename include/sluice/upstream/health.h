// Health: whether a model server is well, found out without loading a model or making a token.
//
// HealthTable is a shard's knowledge. HealthWatch runs on one shard and asks each server from time
// to time; what traffic finds out comes in through suspect(). A server that loads its model is not
// down: it is asked again every 25 ms, because requests wait for it. Asked for are llama-server's
// /health and, while it has requests of ours, /props and /slots, which goes through its engine and
// so sees one that hangs. /slots is work to a llama-server: a model that may sleep when it is idle
// stays awake for it, and one that sleeps wakes; so an idle server is not asked. Ollama is asked
// for /api/version, vLLM for /health, others for the list of models. A refused connection is
// believed at once, silence only the second time.
//
// Whoever waits for a silent answer wants to know whether its server lives: each check that was
// answered is a sign of that. A llama-server that is in use answers for its engine, and only slots
// at work are a sign: where none is, nobody works on what one waits for.
#pragma once

#include "sluice/base/prng.h"
#include "sluice/config/model_settings.h"
#include "sluice/io/loop.h"
#include "sluice/upstream/catalog.h"
#include "sluice/upstream/endpoint.h"
#include "sluice/upstream/fetch.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::upstream {

enum class Health : std::uint8_t { up, loading, down };
std::string_view health_name(Health health);

// What a check has shown of a server beside its health.
struct Sign {
    Instant alive;  // the last time that it showed that it lives; zero: it did not
    // Of the requests that clients had left by `since`, at most so many are still computed.
    // `since` is zero where it does not tell.
    Instant since;
    std::uint32_t left_running = 0;
};

// What a gateway has sent to a server.
struct Traffic {
    std::uint64_t placed = 0;  // requests until now
    std::uint64_t in_flight = 0;
    std::uint64_t left_running = 0;  // that clients have left, and it computes on

    Traffic& operator+=(const Traffic& other) {
        placed += other.placed;
        in_flight += other.in_flight;
        left_running += other.left_running;
        return *this;
    }
};

// What is known of each server, by endpoint id; who is not known is up.
class HealthTable {
public:
    Health of(std::uint32_t endpoint) const {
        return endpoint < states_.size() ? states_[endpoint].health : Health::up;
    }
    // The last sign of its life; zero: none is known.
    Instant alive(std::uint32_t endpoint) const {
        return endpoint < states_.size() ? states_[endpoint].alive : Instant{};
    }
    // True: that is news.
    bool set(std::uint32_t endpoint, Health health) {
        if (of(endpoint) == health) return false;
        grown(endpoint).health = health;
        return true;
    }
    void note(std::uint32_t endpoint, const Sign& sign) {
        State& state = grown(endpoint);
        state.alive = std::max(state.alive, sign.alive);
        state.tells |= sign.since != Instant{};
    }
    // It has told how many requests it is computing.
    bool tells(std::uint32_t endpoint) const {
        return endpoint < states_.size() && states_[endpoint].tells;
    }

private:
    struct State {
        Health health = Health::up;
        Instant alive;
        bool tells = false;
    };
    State& grown(std::uint32_t endpoint) {
        if (endpoint >= states_.size()) states_.resize(endpoint + 1);
        return states_[endpoint];
    }

    std::vector<State> states_;
};

struct WatchedServer {
    std::shared_ptr<const Endpoint> endpoint;  // shared with the catalogs that name it
    config::HealthSetting setting;
    config::Secret key;
    // No model server: where no path is said, any answer to GET / shows that it is well.
    bool generic = false;
};

class HealthWatch {
public:
    // The state of a server has changed; `cause` is a sentence for people.
    using Changed = void (*)(void* owner, const std::shared_ptr<const Endpoint>& endpoint,
                             Health health, const std::string& cause);

    // What all shards have sent there; it may be a few tenths of a second old.
    using TrafficOf = Traffic (*)(void* owner, std::uint32_t endpoint);

    // A check was answered.
    using Signed = void (*)(void* owner, std::uint32_t endpoint, const Sign& sign);

    HealthWatch(io::Loop& loop, std::vector<WatchedServer> servers, std::uint64_t seed, void* owner,
                Changed changed, TrafficOf traffic_of, Signed has_signed);
    ~HealthWatch();

    // Asks those that this catalog names, and no others.
    void follow(const Catalog& catalog);
    void stop();
    bool stopped() const;

    // Traffic has seen it so; it is asked at once.
    void suspect(std::uint32_t endpoint, Health seen, const std::string& cause);
    // A client has left a request that it computes on: it is asked soon whether it still does.
    void note_left(std::uint32_t endpoint);

private:
    class Probe;

    std::vector<std::unique_ptr<Probe>> probes_;  // by endpoint id
};

}  // namespace sluice::upstream
