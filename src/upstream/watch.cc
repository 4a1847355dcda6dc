#include "sluice/upstream/watch.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "sluice/llm/errors.h"
#include "sluice/llm/model_list.h"

namespace sluice::upstream {
namespace {

// While something is missing a server may be starting; else lists hardly ever change.
constexpr Duration round_gap_missing = Duration::seconds(2);
constexpr Duration round_gap = Duration::seconds(10);
constexpr Duration answer_timeout = Duration::seconds(2);
constexpr std::string_view list_path = "/v1/models";

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
    for (const auto& model : settings.models)
        for (const auto& alias : model.aliases) plan.aliases.push_back({alias, model.name});
    // By where it leads: one server that is written in two ways is one server.
    std::unordered_map<std::string, std::size_t> by_place;
    const auto server_at = [&](const std::string& url, Origin origin) -> Result<Server*> {
        auto target = net::parse_url(url);
        if (!target) return target.error();
        const auto [found, is_new] = by_place.try_emplace(
            target->address.to_string() + target->path, plan.servers.size());
        if (!is_new) return &plan.servers[found->second];
        auto endpoint = std::make_shared<Endpoint>();  // shared: see Server::endpoint
        endpoint->id = static_cast<std::uint32_t>(plan.servers.size());
        endpoint->url = url;
        endpoint->target = std::move(*target);
        plan.servers.push_back({std::move(endpoint), origin, false, {}});
        return &plan.servers.back();
    };
    for (const auto& model : settings.models) {
        for (const auto& backend : model.backends) {
            auto server = server_at(backend.url, Origin::configured);
            if (!server)
                return Error::gateway("model " + model.name + ": " + server.error().message);
            (*server)->models.push_back(
                {model.name, backend.model.empty() ? model.name : backend.model});
        }
    }
    for (const auto& url : settings.backends) {
        auto server = server_at(url, Origin::configured);
        if (!server) return Error::gateway("--backend: " + server.error().message);
        (*server)->list_models = true;
    }
    if (!plan.servers.empty() || !settings.discover) return plan;
    for (const std::uint16_t port : well_known_ports()) {
        if (std::ranges::find(own_ports, port) != own_ports.end()) continue;
        auto server = server_at("http://127.0.0.1:" + std::to_string(port), Origin::discovered);
        if (!server) return server.error();
        (*server)->list_models = true;
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
      next_round_(this, [](void* self) {
          auto& watch = *static_cast<Watch*>(self);
          watch.due_ = true;
          watch.loop_.make_ready(watch);
      }) {
    for (auto& server : plan.servers)
        servers_.push_back(std::make_unique<Server>(loop, *this, std::move(server)));
}

Watch::~Watch() { SLUICE_ASSERT(stopped()); }

void Watch::start() {
    due_ = true;
    loop_.make_ready(*this);
}

void Watch::stop() {
    stopping_ = true;
    loop_.timers().disarm(next_round_);
    for (auto& server : servers_) server->fetch.stop();
}

bool Watch::stopped() const {
    return !next_round_.armed() && std::ranges::all_of(servers_, [](const auto& server) {
        return server->fetch.idle();
    });
}

void Watch::advance() {
    if (stopping_) return;
    if (std::exchange(due_, false)) begin_round();
    if (!round_running_) return;
    for (const auto& server : servers_)
        if (!server->fetch.idle()) return;
    end_round();
}

void Watch::begin_round() {
    SLUICE_ASSERT(!round_running_);
    round_running_ = true;
    for (auto& server : servers_)
        server->fetch.start(*server->plan.endpoint, list_path, answer_timeout,
                            llm::model_list_bytes_max);
}

void Watch::end_round() {
    round_running_ = false;
    bool missing = false;
    for (auto& server : servers_) {
        learn(*server);
        missing |= !server->complaint.empty();
    }
    auto catalog = build();
    std::string said = catalog->list_json();
    for (const auto& model : catalog->models())
        for (const auto& target : model->targets)
            said += "\n" + model->name + " " + target.endpoint->url + " " + target.upstream_name;
    const bool changed = said != published_;
    if (changed || first_round_) {
        published_ = std::move(said);
        publish_(owner_, std::move(catalog));
    }
    first_round_ = false;
    loop_.timers().arm(next_round_, loop_.now() + (missing ? round_gap_missing : round_gap));
}

void Watch::learn(Server& server) {
    const auto& outcome = server.fetch.outcome();
    SLUICE_ASSERT(outcome.has_value());
    const bool configured = server.plan.origin == WatchPlan::Origin::configured;
    const auto forget = [&](std::string cause) {
        if (!configured) server.listed.clear();
        server.complaint = server.plan.endpoint->url + ": " + std::move(cause);
    };
    if (!outcome->ok()) return forget(outcome->error().message);
    const FetchAnswer& answer = outcome->value();
    if (answer.status != 200)
        return forget("GET /v1/models answered " + std::to_string(answer.status));
    if (answer.server == "sluice") return forget("is a Sluice itself");
    auto listed = llm::parse_model_list(answer.body);
    if (!listed) return forget(listed.error().message);
    server.listed = std::move(*listed);
    server.kind = kind_of(answer, server.listed);
    server.complaint.clear();
}

std::vector<std::string> Watch::complaints() const {
    std::vector<std::string> all;
    for (const auto& server : servers_)
        if (server->plan.origin == WatchPlan::Origin::configured && !server->complaint.empty())
            all.push_back(server->complaint);
    return all;
}

void Watch::add_models(Catalog& catalog, const Server& server) const {
    for (const auto& model : server.plan.models) {
        const auto described =
            std::ranges::find(server.listed, model.own_name, &llm::ModelEntry::id);
        // A server of one model answers to any name: what it lists describes it all the same.
        const bool only_one = server.listed.size() == 1;
        const llm::ModelEntry entry = described != server.listed.end() ? *described
                                      : only_one                      ? server.listed.front()
                                                                      : plain_entry(model.name);
        catalog.add(model.name, entry, {server.plan.endpoint, model.own_name, server.kind});
    }
    if (!server.plan.list_models) return;
    for (const auto& entry : server.listed) {
        // The settings say what that name means on this server.
        const auto& said = server.plan.models;
        if (std::ranges::find(said, entry.id, &WatchPlan::Named::name) != said.end()) continue;
        catalog.add(entry.id, entry, {server.plan.endpoint, entry.id, server.kind});
    }
}

std::shared_ptr<const Catalog> Watch::build() const {
    auto catalog = std::make_shared<Catalog>();  // shared: one snapshot for all shards
    for (const auto& server : servers_)
        if (server->plan.origin != WatchPlan::Origin::fallback) add_models(*catalog, *server);
    if (catalog->empty())
        for (const auto& server : servers_) add_models(*catalog, *server);
    for (const auto& server : servers_)
        for (const auto& entry : server->listed)
            for (const auto& alias : entry.aliases) catalog->add_alias(alias, entry.id);
    for (const auto& alias : aliases_) catalog->add_alias(alias.alias, alias.model);
    catalog->seal();
    return catalog;
}

}  // namespace sluice::upstream
