#include "sluice/upstream/watch_plan.h"

#include "sluice/config/wildcard.h"
#include "sluice/llm/endpoints.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace sluice::upstream {
namespace {

using Origin = WatchPlan::Origin;
using Server = WatchPlan::Server;

constexpr std::string_view version = "/v1";

// The endpoint of a model server that a path ends in, as it is copied from a client's line; empty:
// none. What has no version in front may be any prefix.
std::string_view endpoint_at_end(std::string_view path) {
    for (const std::string_view area : {"/v1/", "/api/"}) {
        const std::size_t begin = path.rfind(area);
        if (begin == path.npos) continue;
        const llm::Endpoint* const endpoint = llm::find_endpoint(path.substr(begin));
        if (endpoint != nullptr && endpoint->path == path.substr(begin)) return endpoint->path;
    }
    return {};
}

// The servers of a plan, by where they lead: one that is written in two ways is one server.
class Servers {
public:
    Servers(WatchPlan& plan, const config::HealthSetting& health) : plan_(plan), health_(health) {}

    // The server of that URL; a new one is of that origin.
    Server& at(const std::string& url, net::Url target, Origin origin) {
        const std::string place = target.name.empty()
                                      ? target.address.to_string()
                                      : target.name + ":" + std::to_string(target.port);
        const auto [found, is_new] =
            by_place_.try_emplace(place + target.path, plan_.servers.size());
        SLUICE_ASSERT(found->second <= plan_.servers.size());
        if (!is_new) return plan_.servers[found->second];
        auto endpoint = std::make_shared<Endpoint>();  // shared: see Server::endpoint
        endpoint->id = static_cast<std::uint32_t>(plan_.servers.size());
        endpoint->url = url;
        endpoint->target = std::move(target);
        plan_.servers.push_back(
            {.endpoint = std::move(endpoint), .origin = origin, .health = health_});
        SLUICE_ASSERT(plan_.servers[found->second].endpoint->id == found->second);
        return plan_.servers.back();
    }

private:
    WatchPlan& plan_;
    const config::HealthSetting& health_;
    std::unordered_map<std::string, std::size_t> by_place_;
};

// A route's URL is taken as it is: what its paths mean only its service knows.
Status plan_route(WatchPlan& plan, const config::RouteSetting& route, Servers& servers) {
    plan.routes.push_back({.setting = route, .endpoints = {}});
    for (const auto& backend : route.backends) {
        auto target = net::parse_url(backend.url);
        if (!target) return Error::gateway("route " + route.path + ": " + target.error().message);
        const std::size_t known = plan.servers.size();
        Server& server = servers.at(backend.url, std::move(*target), Origin::configured);
        if (plan.servers.size() > known) {
            server.health = route.health;
            server.key = backend.key;
        }
        plan.routes.back().endpoints.push_back(server.endpoint);
    }
    SLUICE_ASSERT(plan.routes.back().endpoints.size() == route.backends.size());
    return Done{};
}

Status plan_model(const config::ModelSetting& model, Servers& servers) {
    for (const auto& backend : model.backends) {
        auto target = parse_server_url(backend.url);
        if (!target) return Error::gateway("model " + model.name + ": " + target.error().message);
        Server& server = servers.at(backend.url, std::move(*target), Origin::configured);
        // A server has one name for what a wildcard stands for: the one that was asked.
        const bool same = backend.model.empty() && !config::is_wildcard(model.name);
        server.models.push_back({model.name, same ? model.name : backend.model, backend});
        if (server.models.size() == 1) server.health = model.health;
        if (!backend.key.empty()) server.key = backend.key;
    }
    return Done{};
}

Status plan_listing(const config::BackendSetting& backend, const std::string& what, Origin origin,
                    Servers& servers) {
    auto target = parse_server_url(backend.url);
    if (!target) return Error::gateway(what + ": " + target.error().message);
    Server& server = servers.at(backend.url, std::move(*target), origin);
    server.list_models = true;
    server.listing = backend;
    if (!backend.key.empty()) server.key = backend.key;
    // What is said of one server once is so for whatever it serves.
    if (server.listing.key.empty()) server.listing.key = server.key;
    return Done{};
}

Status plan_discovery(const config::Settings& settings, const std::vector<std::uint16_t>& own_ports,
                      Servers& servers) {
    config::BackendSetting backend;
    backend.timeouts = settings.model_timeouts;
    for (const std::uint16_t port : well_known_ports()) {
        if (std::ranges::find(own_ports, port) != own_ports.end()) continue;
        backend.url = "http://127.0.0.1:" + std::to_string(port);
        auto target = parse_server_url(backend.url);
        SLUICE_ASSERT(target.ok());
        Server& server = servers.at(backend.url, std::move(*target), Origin::discovered);
        // A route's backend is what the settings say it is.
        if (server.origin != Origin::discovered) continue;
        server.list_models = true;
        server.listing = backend;
    }
    if (settings.fallback_backend.empty()) return Done{};
    backend.url = settings.fallback_backend;
    return plan_listing(backend, "--fallback-backend", Origin::fallback, servers);
}

}  // namespace

std::vector<std::uint16_t> well_known_ports() {
    return {
        11434,  // Ollama
        8080,   // llama-server before 2026, llama-swap
        9931,   // llama-server
        8000,   // vLLM
        1234,   // LM Studio
        30000,  // SGLang
        52415,  // Exo
        13305,  // Lemonade
        12434,  // Docker Model Runner
        5000,   // TabbyAPI
        5001,   // KoboldCpp
        // Further llama-servers.
        8081, 8082, 8083, 8084, 8085, 8086, 8087, 8088, 8089,  //
        9932, 9933, 9934, 9935, 9936, 9937, 9938, 9939,        //
        8001, 8002, 8003,                                      // further vLLMs
    };
}

std::string ports_text(std::vector<std::uint16_t> ports) {
    std::ranges::sort(ports);
    std::string text;
    for (std::size_t i = 0; i < ports.size();) {
        std::size_t end = i + 1;
        while (end < ports.size() && ports[end] == ports[end - 1] + 1)
            ++end;
        text += (text.empty() ? "" : ", ") + std::to_string(ports[i]);
        if (end - i > 1) text += (end - i > 2 ? " to " : ", ") + std::to_string(ports[end - 1]);
        i = end;
    }
    return text;
}

Result<net::Url> parse_server_url(std::string_view text) {
    auto url = net::parse_url(text);
    if (!url) return url;
    std::string& path = url->path;
    if (const auto endpoint = endpoint_at_end(path); !endpoint.empty())
        return Error::gateway("'" + std::string(text) + "' is one endpoint of a server, " +
                              std::string(endpoint) + ": leave that away");
    if (path.ends_with(version)) path.resize(path.size() - version.size());
    while (path.ends_with('/'))
        path.pop_back();
    return url;
}

std::string asked_url(const net::Url& server, std::string_view path) {
    SLUICE_ASSERT(path.starts_with('/') && !server.path.ends_with('/'));
    const std::string begin = server.address.is_unix()
                                  ? server.address.to_string() + ":http://" + server.host
                                  : "http://" + server.host;
    return begin + server.path + std::string(path);
}

Result<WatchPlan> WatchPlan::create(const config::Settings& settings,
                                    const std::vector<std::uint16_t>& own_ports) {
    WatchPlan plan;
    plan.aliases = settings.aliases;
    plan.models = settings.models;
    plan.default_model = settings.default_model;
    plan.route_queue = settings.model_queue;
    plan.defaults = {.timeouts = settings.model_timeouts,
                     .breaker = settings.model_breaker,
                     .health = settings.model_health,
                     .queue = settings.model_queue,
                     .heartbeat = settings.model_heartbeat,
                     .broken_stream = settings.model_broken_stream,
                     .coalesce = settings.model_coalesce,
                     .cache = settings.model_cache};
    for (const auto& model : settings.models)
        for (const auto& alias : model.aliases)
            plan.aliases.push_back(
                {alias, model.name,
                 std::ranges::find(model.unlisted_aliases, alias) == model.unlisted_aliases.end()});
    Servers servers(plan, settings.model_health);
    for (const auto& model : settings.models)
        if (const Status status = plan_model(model, servers); !status) return status.error();
    for (const auto& backend : settings.backends)
        if (const Status status = plan_listing(backend, "--backend", Origin::configured, servers);
            !status)
            return status.error();
    const bool look_for_servers = plan.servers.empty() && settings.discover;
    for (const auto& route : settings.routes)
        if (const Status status = plan_route(plan, route, servers); !status) return status.error();
    if (!look_for_servers) return plan;
    if (const Status status = plan_discovery(settings, own_ports, servers); !status)
        return status.error();
    return plan;
}

}  // namespace sluice::upstream
