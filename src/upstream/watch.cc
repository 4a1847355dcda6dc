#include "sluice/upstream/watch.h"

#include "sluice/llm/errors.h"
#include "sluice/llm/model_list.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace sluice::upstream {
namespace {

// While something is missing a server may be starting; else lists hardly ever change.
constexpr Duration round_gap_missing = Duration::seconds(2);
constexpr Duration round_gap = Duration::seconds(10);
constexpr Duration answer_timeout = Duration::seconds(2);
constexpr std::string_view list_path = "/v1/models";
constexpr std::string_view props_path = "/props";

Kind kind_of(const FetchAnswer& answer, const std::vector<llm::ModelEntry>& listed) {
    if (answer.server == "llama.cpp") return Kind::llama_server;
    const std::string_view owner = listed.empty() ? "" : std::string_view(listed[0].owned_by);
    if (owner == "llamacpp") return Kind::llama_server;
    if (owner == "vllm") return Kind::vllm;
    if (owner == "library") return Kind::ollama;
    return Kind::unknown;
}

// The list entry of a model that no server has described yet.
llm::ModelEntry plain_entry(const std::string& name) {
    std::string escaped;
    llm::append_json_escaped(escaped, name);
    auto parsed = llm::parse_model_list(R"({"data":[{"id":")" + escaped +
                                        R"(","object":"model","created":0,"owned_by":"local"}]})");
    SLUICE_ASSERT(parsed.ok());
    if (parsed->empty()) return {};
    return parsed->front();
}

// `server_at` finds or adds the server of a URL.
template <class ServerAt>
Status plan_route(WatchPlan& plan, const config::RouteSetting& route, ServerAt& server_at) {
    plan.routes.push_back({.setting = route, .endpoints = {}});
    for (const auto& backend : route.backends) {
        const std::size_t known = plan.servers.size();
        auto server = server_at(backend.url, WatchPlan::Origin::configured);
        if (!server) return Error::gateway("route " + route.path + ": " + server.error().message);
        if (plan.servers.size() > known) {
            (*server)->health = route.health;
            (*server)->key = backend.key;
        }
        plan.routes.back().endpoints.push_back((*server)->endpoint);
    }
    return Done{};
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
    };
}

Result<WatchPlan> WatchPlan::create(const config::Settings& settings,
                                    const std::vector<std::uint16_t>& own_ports) {
    WatchPlan plan;
    plan.aliases = settings.aliases;
    plan.models = settings.models;
    plan.default_model = settings.default_model;
    plan.defaults = {.timeouts = settings.model_timeouts,
                     .breaker = settings.model_breaker,
                     .health = settings.model_health,
                     .queue = settings.model_queue,
                     .heartbeat = settings.model_heartbeat,
                     .broken_stream = settings.model_broken_stream};
    for (const auto& model : settings.models)
        for (const auto& alias : model.aliases)
            plan.aliases.push_back({alias, model.name});
    // By where it leads: one server that is written in two ways is one server.
    std::unordered_map<std::string, std::size_t> by_place;
    const auto server_at = [&](const std::string& url, Origin origin) -> Result<Server*> {
        auto target = net::parse_url(url);
        if (!target) return target.error();
        const std::string place = target->name.empty()
                                      ? target->address.to_string()
                                      : target->name + ":" + std::to_string(target->port);
        const auto [found, is_new] =
            by_place.try_emplace(place + target->path, plan.servers.size());
        if (!is_new) return &plan.servers[found->second];
        auto endpoint = std::make_shared<Endpoint>();  // shared: see Server::endpoint
        endpoint->id = static_cast<std::uint32_t>(plan.servers.size());
        endpoint->url = url;
        endpoint->target = std::move(*target);
        plan.servers.push_back(
            {.endpoint = std::move(endpoint), .origin = origin, .health = settings.model_health});
        return &plan.servers.back();
    };
    for (const auto& model : settings.models) {
        for (const auto& backend : model.backends) {
            auto server = server_at(backend.url, Origin::configured);
            if (!server)
                return Error::gateway("model " + model.name + ": " + server.error().message);
            // A server has one name for what a wildcard stands for: the one that was asked.
            const bool same = backend.model.empty() && !is_wildcard(model.name);
            (*server)->models.push_back({model.name, same ? model.name : backend.model, backend});
            if ((*server)->models.size() == 1) (*server)->health = model.health;
            if (!backend.key.empty()) (*server)->key = backend.key;
        }
    }
    for (const auto& url : settings.backends) {
        auto server = server_at(url, Origin::configured);
        if (!server) return Error::gateway("--backend: " + server.error().message);
        (*server)->list_models = true;
    }
    const bool look_for_servers = plan.servers.empty() && settings.discover;
    plan.route_queue = settings.model_queue;
    for (const auto& route : settings.routes)
        if (const Status status = plan_route(plan, route, server_at); !status)
            return status.error();
    if (!look_for_servers) return plan;
    for (const std::uint16_t port : well_known_ports()) {
        if (std::ranges::find(own_ports, port) != own_ports.end()) continue;
        auto server = server_at("http://127.0.0.1:" + std::to_string(port), Origin::discovered);
        if (!server) return server.error();
        // A route's backend is what the settings say it is.
        if ((*server)->origin == Origin::discovered) (*server)->list_models = true;
    }
    if (!settings.fallback_backend.empty()) {
        auto server = server_at(settings.fallback_backend, Origin::fallback);
        if (!server) return Error::gateway("--fallback-backend: " + server.error().message);
        (*server)->list_models = true;
    }
    return plan;
}

Watch::Watch(io::Loop& loop, WatchPlan plan, void* owner, Publish publish)
    : loop_(loop),
      owner_(owner),
      publish_(publish),
      aliases_(std::move(plan.aliases)),
      models_(std::move(plan.models)),
      defaults_(std::move(plan.defaults)),
      default_model_(std::move(plan.default_model)),
      routes_(std::move(plan.routes)),
      route_queue_(std::move(plan.route_queue)),
      next_round_(this, [](void* self) {
          auto& watch = *static_cast<Watch*>(self);
          watch.due_ = true;
          watch.loop_.make_ready(watch);
      }) {
    for (auto& server : plan.servers)
        servers_.push_back(std::make_unique<Server>(loop, *this, std::move(server)));
    for (auto& server : servers_) {
        server->heard = server->plan.generic();
        server->fetch.add_line(plan.hop_line);
    }
}

Watch::~Watch() {
    SLUICE_ASSERT(stopped());
}

void Watch::start() {
    if (published_.empty()) publish_news();
    due_ = true;
    loop_.make_ready(*this);
}

void Watch::stop() {
    stopping_ = true;
    loop_.timers().disarm(next_round_);
    for (auto& server : servers_)
        server->fetch.stop();
}

bool Watch::stopped() const {
    return !next_round_.armed() &&
           std::ranges::all_of(servers_, [](const auto& server) { return server->fetch.idle(); });
}

void Watch::advance() {
    if (stopping_) return;
    if (std::exchange(due_, false)) begin_round();
    if (!round_running_) return;
    bool all_done = true;
    for (auto& server : servers_)
        all_done &= step(*server);
    if (std::exchange(news_, false)) publish_news();
    if (all_done) end_round();
}

void Watch::begin_round() {
    SLUICE_ASSERT(!round_running_);
    round_running_ = true;
    for (auto& server : servers_) {
        if (server->plan.generic()) continue;
        server->asked = Server::Asked::list;
        server->fetch.start(*server->plan.endpoint, list_path, server->plan.key.value(),
                            answer_timeout, llm::model_list_bytes_max);
    }
}

// True: there is nothing more to ask this one in this round.
bool Watch::step(Server& server) {
    if (!server.fetch.idle()) return false;
    const auto done = [&] {
        news_ = server.heard = true;
        return true;
    };
    switch (std::exchange(server.asked, Server::Asked::nothing)) {
        case Server::Asked::list:
            learn_list(server);
            if (server.kind != Kind::llama_server || !server.complaint.empty()) return done();
            server.asked = Server::Asked::props;
            server.fetch.start(*server.plan.endpoint, props_path, server.plan.key.value(),
                               answer_timeout, llm::model_list_bytes_max);
            return false;
        case Server::Asked::props:
            learn_props(server);
            return done();
        case Server::Asked::nothing:
            return true;
    }
    return true;
}

void Watch::end_round() {
    round_running_ = false;
    bool missing = false;
    for (const auto& server : servers_)
        missing |= !server->complaint.empty();
    loop_.timers().arm(next_round_, loop_.now() + (missing ? round_gap_missing : round_gap));
}

// Where something has changed.
void Watch::publish_news() {
    auto catalog = build();
    std::string said = catalog->list_json();
    for (const auto& server : servers_)
        if (!server->heard) said += " " + std::to_string(server->plan.endpoint->id);
    for (const auto& model : catalog->models())
        for (const auto& target : model->targets)
            said += "\n" + model->name + " " + target.endpoint->url + " " + target.upstream_name +
                    " " + std::to_string(static_cast<int>(target.kind)) + " " +
                    std::to_string(target.slots);
    if (said == published_) return;
    published_ = std::move(said);
    publish_(owner_, std::move(catalog));
}

void Watch::learn_list(Server& server) {
    const auto& outcome = server.fetch.outcome();
    SLUICE_ASSERT(outcome.has_value());
    const bool configured = server.plan.origin == WatchPlan::Origin::configured;
    const auto forget = [&](std::string cause) {
        if (!configured) server.listed.clear();
        server.complaint = server.plan.endpoint->url + ": " + std::move(cause);
    };
    if (!outcome->ok()) return forget(outcome->error().message);
    const FetchAnswer& answer = outcome->value();
    constexpr int loop_detected = 508;
    if (answer.server == "sluice" && answer.status == loop_detected)
        return forget("is this gateway itself, so that its requests come round: take it out");
    if (answer.status != 200)
        return forget("GET /v1/models answered " + std::to_string(answer.status));
    // Whoever names one as a backend means it; to find one is to serve what is served already.
    if (answer.server == "sluice" && !configured) return forget("is a Sluice itself");
    auto listed = llm::parse_model_list(answer.body);
    if (!listed) return forget(listed.error().message);
    server.listed = std::move(*listed);
    server.kind = kind_of(answer, server.listed);
    server.complaint.clear();
}

// Where it does not tell, what it told before stays.
void Watch::learn_props(Server& server) {
    const auto& outcome = server.fetch.outcome();
    SLUICE_ASSERT(outcome.has_value());
    if (!outcome->ok() || outcome->value().status != 200) return;
    auto props = llm::parse_server_props(outcome->value().body);
    if (props) server.props = std::move(*props);
}

std::vector<std::string> Watch::complaints() const {
    std::vector<std::string> all;
    for (const auto& server : servers_)
        if (server->plan.origin == WatchPlan::Origin::configured && !server->complaint.empty())
            all.push_back(server->complaint);
    return all;
}

void Watch::add_models(Catalog& catalog, const Server& server) {
    for (const auto& named : server.plan.models) {
        const auto described =
            std::ranges::find(server.listed, named.own_name, &llm::ModelEntry::id);
        // A server of one model answers to any name: what it lists describes it all the same.
        const bool only_one = server.listed.size() == 1;
        add_model(catalog, server, named,
                  described != server.listed.end() ? *described
                  : only_one                       ? server.listed.front()
                                                   : plain_entry(named.name));
    }
    if (!server.plan.list_models) return;
    for (const auto& entry : server.listed) {
        // The settings say what that name means on this server.
        const auto& said = server.plan.models;
        if (std::ranges::find(said, entry.id, &WatchPlan::Named::name) != said.end()) continue;
        config::BackendSetting setting{.url = server.plan.endpoint->url,
                                       .key = server.plan.key,
                                       .timeouts = defaults_.timeouts};
        add_model(catalog, server, {entry.id, entry.id, std::move(setting)}, entry);
    }
}

void Watch::add_model(Catalog& catalog, const Server& server, const WatchPlan::Named& named,
                      const llm::ModelEntry& entry) {
    const std::string place = std::to_string(server.plan.endpoint->id) + " ";
    // One llama-server is one engine, whatever names its model has; a router is many.
    const bool one_engine = server.kind == Kind::llama_server && !server.props.router;
    Target target{.endpoint = server.plan.endpoint,
                  .upstream_name = named.own_name,
                  .kind = server.kind,
                  .setting = named.setting,
                  .id = target_numbers_.of(place + named.own_name),
                  .slot_pool = slot_pool_numbers_.of(one_engine ? place : place + named.own_name),
                  .slots = named.setting.slots};
    if (target.slots == 0 && one_engine) target.slots = server.props.total_slots.value_or(0);
    if (target.setting.context == 0 && one_engine) target.setting.context = server.props.context;
    Model& model = catalog.add(named.name, entry, std::move(target));
    if (model.targets.size() > 1) return;
    model.id = model_numbers_.of(named.name);
    const auto said = std::ranges::find(models_, named.name, &config::ModelSetting::name);
    model.setting = said != models_.end() ? *said : defaults_;
    model.setting.backends.clear();
}

void Watch::add_routes(Catalog& catalog) {
    for (std::size_t i = 0; i < routes_.size(); ++i) {
        const auto& [setting, endpoints] = routes_[i];
        // No name of a model holds a line end.
        const std::string number = "\n" + std::to_string(i);
        Model& model = catalog.add_route(setting.path);
        model.id = model_numbers_.of(number);
        model.setting.name = setting.path;
        model.setting.balance = setting.balance;
        model.setting.hash = setting.hash;
        model.setting.timeouts = setting.timeouts;
        model.setting.breaker = setting.breaker;
        model.setting.health = setting.health;
        model.setting.queue = route_queue_;
        for (std::size_t k = 0; k < endpoints.size(); ++k) {
            const std::string place = std::to_string(endpoints[k]->id) + number;
            const auto& backend = setting.backends[k];
            model.targets.push_back({.endpoint = endpoints[k],
                                     .upstream_name = {},
                                     .kind = Kind::unknown,
                                     .setting = backend,
                                     .id = target_numbers_.of(place),
                                     .slot_pool = slot_pool_numbers_.of(place),
                                     .slots = backend.slots});
        }
    }
}

std::shared_ptr<const Catalog> Watch::build() {
    auto catalog = std::make_shared<Catalog>();  // shared: one snapshot for all shards
    for (const auto& server : servers_)
        if (server->plan.origin != WatchPlan::Origin::fallback) add_models(*catalog, *server);
    for (const auto& server : servers_)
        if (!server->heard) catalog->await(*server->plan.endpoint);
    // Who may have models yet is waited for.
    if (catalog->empty() && !catalog->awaits_any())
        for (const auto& server : servers_)
            add_models(*catalog, *server);
    for (const auto& server : servers_)
        for (const auto& entry : server->listed)
            for (const auto& alias : entry.aliases)
                catalog->add_alias(alias, entry.id);
    for (const auto& alias : aliases_)
        catalog->add_alias(alias.alias, alias.model);
    catalog->set_default_model(default_model_);
    add_routes(*catalog);
    catalog->seal();
    return catalog;
}

}  // namespace sluice::upstream
