// WatchPlan: which servers are asked what they serve, and what is said of them: the settings with
// their URLs looked up.
#pragma once

#include "sluice/config/settings.h"
#include "sluice/upstream/endpoint.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::upstream {

// Ports on which model servers listen by default, and those beside llama-server's, where a second
// and a third one go; probed on 127.0.0.1 when nothing is configured. The likely ones first.
std::vector<std::uint16_t> well_known_ports();

// "5000, 8080 to 8089": for people.
std::string ports_text(std::vector<std::uint16_t> ports);

// Where a model server's API begins: as clients have it, with `/v1` at the end, or without. What
// requests are sent to begins with /v1 anyway, so it is taken off; any other prefix stays. One that
// goes on to an endpoint is refused.
Result<net::Url> parse_server_url(std::string_view text);
// What is asked there, for people: "http://127.0.0.1:8080/v1/models".
std::string asked_url(const net::Url& server, std::string_view path);

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
        bool list_models = false;             // serve whatever it lists
        std::vector<Named> models;            // serve these from it in any case
        config::BackendSetting listing = {};  // of what it lists
        config::HealthSetting health = {};
        config::Secret key = {};
        // Only routes lead there: it is no model server, and not asked what it serves.
        bool generic() const { return !list_models && models.empty(); }
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

}  // namespace sluice::upstream
