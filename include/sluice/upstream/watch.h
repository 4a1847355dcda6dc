// Watch: finds out which models the backends serve, and publishes the catalog when it changes.
//
// Runs on one shard. Asks every known server for GET /v1/models (which loads no model and generates
// no token) at start and from time to time after that. What the settings name is served from the
// first moment, and what a server says is published as soon as it has, whatever others do. A
// configured backend that does not answer keeps its last list, so that its models answer "backend
// down" and not "no such model"; a discovered one that went away is forgotten.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/io/loop.h"
#include "sluice/upstream/catalog.h"
#include "sluice/upstream/fetch.h"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::upstream {

// Ports on which model servers listen by default; probed on 127.0.0.1 when nothing is configured.
std::vector<std::uint16_t> well_known_ports();

// What to watch: the settings with their URLs looked up.
struct WatchPlan {
    enum class Origin : std::uint8_t { configured, discovered, fallback };
    struct Named {
        std::string name;
        std::string own_name;  // what the server calls it
        config::BackendSetting setting = {};
    };
    struct Server {
        std::shared_ptr<const Endpoint> endpoint;  // shared with the catalogs that will name it
        Origin origin = Origin::configured;
        bool list_models = false;   // serve whatever it lists
        std::vector<Named> models;  // serve these from it in any case
        // Only routes lead there: it is no model server, and not asked what it serves.
        bool generic() const { return !list_models && models.empty(); }
        config::HealthSetting health = {};
        config::Secret key = {};
    };
    // A path that is no model's; `endpoints` are those of its backends, in their order.
    struct Route {
        config::RouteSetting setting;
        std::vector<std::shared_ptr<const Endpoint>> endpoints;
    };
    std::vector<Server> servers;
    std::vector<Route> routes;
    config::QueueSetting route_queue;
    std::vector<config::AliasSetting> aliases;
    std::vector<config::ModelSetting> models;  // what is said of those that have a name
    config::ModelSetting defaults;             // and of the others
    std::string default_model;
    std::string hop_line;  // what the gateway's own requests say of it: see proxy/stages/hops.cc

    // The error names the setting that is wrong. `own_ports` are never discovered.
    static Result<WatchPlan> create(const config::Settings& settings,
                                    const std::vector<std::uint16_t>& own_ports);
};

class Watch final : public io::Actor {
public:
    // Called at the start, then whenever the catalog has changed. Each server has been heard of
    // when one comes that awaits none.
    using Publish = void (*)(void* owner, std::shared_ptr<const Catalog> catalog);

    Watch(io::Loop& loop, WatchPlan plan, void* owner, Publish publish);
    ~Watch();

    void start();
    void stop();
    bool stopped() const;

    // A sentence for each server that was configured and did not answer in the last round.
    std::vector<std::string> complaints() const;

    void advance() override;
    void bury() override {}

private:
    struct Server {
        Server(io::Loop& loop, Watch& watch, WatchPlan::Server planned)
            : plan(std::move(planned)), fetch(loop, watch) {}
        WatchPlan::Server plan;
        Fetch fetch;
        enum class Asked : std::uint8_t { nothing, list, props };
        Asked asked = Asked::nothing;
        Kind kind = Kind::unknown;
        std::vector<llm::ModelEntry> listed;
        llm::ServerProps props;
        std::string complaint;
        bool heard = false;  // it has answered, or will not
    };
    // Dense numbers for names, which keep theirs from catalog to catalog.
    class Numbers {
    public:
        std::uint32_t of(const std::string& name) {
            return numbers_.try_emplace(name, static_cast<std::uint32_t>(numbers_.size()))
                .first->second;
        }

    private:
        std::unordered_map<std::string, std::uint32_t> numbers_;
    };

    void begin_round();
    void end_round();
    void publish_news();
    bool step(Server& server);
    void learn_list(Server& server);
    void learn_props(Server& server);
    void add_models(Catalog& catalog, const Server& server);
    void add_model(Catalog& catalog, const Server& server, const WatchPlan::Named& named,
                   const llm::ModelEntry& entry);
    void add_routes(Catalog& catalog);
    std::shared_ptr<const Catalog> build();

    io::Loop& loop_;
    void* owner_;
    Publish publish_;
    std::vector<std::unique_ptr<Server>> servers_;
    std::vector<config::AliasSetting> aliases_;
    std::vector<config::ModelSetting> models_;
    config::ModelSetting defaults_;
    std::string default_model_;
    std::vector<WatchPlan::Route> routes_;
    config::QueueSetting route_queue_;
    Numbers model_numbers_;
    Numbers target_numbers_;
    Numbers slot_pool_numbers_;
    io::Timer next_round_;
    std::string published_;  // what the last catalog said, to see a change
    bool round_running_ = false;
    bool due_ = false;
    bool news_ = false;  // a server was heard of in this turn
    bool stopping_ = false;
};

}  // namespace sluice::upstream
