#include "sluice/upstream/watch.h"

#include "listing.h"
#include "sluice/config/suggest.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {
namespace {

// The list entry of a model that no server has described yet.
llm::ModelEntry plain_entry(const std::string& name) {
    llm::ModelEntry entry;
    entry.id = name;
    return entry;
}

bool wants_key(const Listing& server) {
    constexpr int unauthorized = 401;
    constexpr int forbidden = 403;
    return server.list_status() == unauthorized || server.list_status() == forbidden;
}

// What to write for a server that refused to tell of its models.
std::string key_advice_for(const Listing& server) {
    const auto& plan = server.plan();
    // A route's backend, which has neither, is not asked and so refuses no key.
    SLUICE_ASSERT(plan.list_models || !plan.models.empty());
    if (!plan.key.empty())
        return "it does not take the key that the settings have for it: look whether that is the "
               "right one";
    const std::string backend =
        "backends: [{url: \"" + plan.endpoint->url + "\", key: \"env:NAME\"}]";
    const std::string what =
        plan.list_models ? backend
                         : "models: {\"" + plan.models.front().name + "\": {" + backend + "}}";
    return "it wants a key: write " + what + " into the file of settings";
}

// What to write for a server that answers and tells of no model; empty: nothing would help.
std::string advice_for(const Listing& server) {
    constexpr int server_errors = 500;
    const std::string& url = server.plan().endpoint->url;
    if (server.is_sluice() || server.list_status() >= server_errors) return {};
    if (wants_key(server)) return key_advice_for(server);
    return "if it is a model server, name what it serves: --model NAME=" + url +
           ", or --model NAME=" + url + "#ITS-OWN-NAME";
}

}  // namespace

Watch::Watch(io::Loop& loop, WatchPlan plan, void* owner, Publish publish)
    : loop_(loop),
      owner_(owner),
      publish_(publish),
      aliases_(std::move(plan.aliases)),
      models_(std::move(plan.models)),
      defaults_(std::move(plan.defaults)),
      default_model_(std::move(plan.default_model)),
      routes_(std::move(plan.routes)),
      route_queue_(std::move(plan.route_queue)) {
    SLUICE_ASSERT(publish != nullptr);
    for (auto& server : plan.servers)
        servers_.push_back(
            std::make_unique<Listing>(loop, *this, std::move(server), plan.hop_line));
}

Watch::~Watch() {
    SLUICE_ASSERT(stopped());
}

void Watch::start() {
    SLUICE_ASSERT(!stopping_);
    if (published_.empty()) publish_news();
    for (const auto& server : servers_)
        server->ask();
}

void Watch::stop() {
    stopping_ = true;
    for (const auto& server : servers_)
        server->stop();
}

bool Watch::stopped() const {
    return std::ranges::all_of(servers_, [](const auto& server) { return server->stopped(); });
}

// Some server was heard of.
void Watch::advance() {
    if (!stopping_) publish_news();
}

// Where something has changed.
void Watch::publish_news() {
    SLUICE_ASSERT(!stopping_);
    auto catalog = build();
    std::string said = catalog->told();
    SLUICE_ASSERT(!said.empty());  // empty stands for: nothing was published
    for (const auto& server : servers_)
        if (!server->heard()) said += " " + std::to_string(server->plan().endpoint->id);
    for (const auto& model : catalog->models())
        for (const auto& target : model->targets)
            said += "\n" + model->name + " " + target.endpoint->url + " " + target.upstream_name +
                    " " + std::to_string(static_cast<int>(target.kind)) + " " +
                    std::to_string(target.slots) + " " + std::to_string(target.setting.context) +
                    (target.without_version ? " bare" : "");
    if (said == published_) return;
    published_ = std::move(said);
    publish_(owner_, std::move(catalog));
}

std::vector<std::string> Watch::complaints() const {
    std::vector<std::string> all;
    for (const auto& server : servers_) {
        const auto& plan = server->plan();
        if (plan.origin != WatchPlan::Origin::configured || server->trouble().empty()) continue;
        // A server that is told what it serves needs no list, and of the others hints() tells.
        const bool of_use = !plan.list_models || !advice_for(*server).empty();
        if (!server->answers() || server->is_sluice() || !of_use)
            all.push_back(plan.endpoint->url + ": " + server->trouble());
    }
    return all;
}

std::vector<std::string> Watch::hints() const {
    std::vector<std::string> all;
    for (const auto& server : servers_) {
        const auto& plan = server->plan();
        if (!plan.list_models || !server->lists_nothing()) continue;
        const std::string advice = advice_for(*server);
        if (advice.empty()) continue;
        all.push_back(
            plan.endpoint->url + ": " +
            (server->trouble().empty() ? "its list of models is empty" : server->trouble()) + "; " +
            advice);
    }
    return all;
}

std::vector<std::string> Watch::refusals() const {
    std::vector<std::string> all;
    for (const auto& server : servers_)
        if (!server->plan().list_models && server->lists_nothing() && wants_key(*server))
            all.push_back(server->plan().endpoint->url + ": " + server->trouble() + "; " +
                          key_advice_for(*server));
    return all;
}

std::vector<Sighting> Watch::sightings() const {
    std::vector<Sighting> all;
    for (const auto& server : servers_) {
        const auto& plan = server->plan();
        if (plan.generic()) continue;
        Sighting& seen = all.emplace_back();
        seen.url = plan.endpoint->url;
        seen.asked =
            asked_url(plan.endpoint->target, server->without_version() ? "/models" : "/v1/models");
        seen.origin = plan.origin;
        seen.kind = server->kind();
        for (const auto& entry : server->entries())
            seen.models.push_back(entry.id);
        seen.lists_nothing = server->lists_nothing();
        seen.trouble = server->trouble();
        if (seen.lists_nothing) seen.advice = advice_for(*server);
    }
    return all;
}

void Watch::add_models(Catalog& catalog, const Listing& server) {
    const auto& listed = server.entries();
    for (const auto& named : server.plan().models) {
        auto described = std::ranges::find(listed, named.own_name, &llm::ModelEntry::id);
        if (described == listed.end()) {
            const std::string plain = plain_name(named.own_name);
            described = std::ranges::find_if(listed, [&plain](const llm::ModelEntry& entry) {
                return plain_name(entry.id) == plain;
            });
        }
        // A server of one model answers to any name: what it lists describes it all the same.
        const bool only_one = listed.size() == 1;
        add_model(catalog, server, named,
                  described != listed.end() ? *described
                  : only_one                ? listed.front()
                                            : plain_entry(named.name));
    }
    if (!server.plan().list_models) return;
    for (const auto& entry : listed) {
        // The settings say what that name means on this server.
        const bool is_ollama = server.kind() == Kind::ollama;
        const bool is_said =
            std::ranges::any_of(server.plan().models, [&](const WatchPlan::Named& named) {
                return named.name == entry.id ||
                       (is_ollama && plain_name(named.name) == plain_name(entry.id));
            });
        if (is_said) continue;
        add_model(catalog, server, {entry.id, entry.id, server.plan().listing}, entry);
    }
}

void Watch::add_model(Catalog& catalog, const Listing& server, const WatchPlan::Named& named,
                      const llm::ModelEntry& entry) {
    const std::string place = std::to_string(server.plan().endpoint->id) + " ";
    // One llama-server is one engine, whatever names its model has; a router is many.
    const bool one_engine = server.kind() == Kind::llama_server && !server.props().router;
    Target target{.endpoint = server.plan().endpoint,
                  .upstream_name = named.own_name,
                  .kind = server.kind(),
                  .setting = named.setting,
                  .id = target_numbers_.of(place + named.own_name),
                  .slot_pool = slot_pool_numbers_.of(one_engine ? place : place + named.own_name),
                  .slots = named.setting.slots,
                  .without_version = server.without_version()};
    if (target.slots == 0 && one_engine) target.slots = server.props().total_slots.value_or(0);
    if (target.setting.context == 0 && one_engine) target.setting.context = server.props().context;
    Model& model = catalog.add(named.name, entry, std::move(target));
    SLUICE_ASSERT(!model.targets.empty());
    if (model.targets.size() > 1) return;
    model.id = model_numbers_.of(named.name);
    const auto said = std::ranges::find(models_, named.name, &config::ModelSetting::name);
    model.setting = said != models_.end() ? *said : defaults_;
    model.setting.backends.clear();
}

// One may stand for another one, in any order. What is meant is what the name would find if it were
// asked for: so a name that is found by less likeness waits for all that are found by more.
void Watch::add_given_aliases(Catalog& catalog) const {
    using enum Catalog::Likeness;
    const auto add = [&](Catalog::Likeness likeness) {
        bool any = false;
        for (const auto& alias : aliases_)
            if (likeness == exact || !is_given_alias(alias.model))
                any |= catalog.add_alias(alias.alias, alias.model, alias.listed, likeness);
        return any;
    };
    while (add(exact) || add(as_ollama) || add(by_wildcard)) {
    }
}

// What the settings say of names that comes to nothing with what the servers have.
void Watch::find_idle_names(const Catalog& catalog) {
    idle_names_.clear();
    std::vector<std::string_view> names;
    for (const auto& model : catalog.models())
        names.push_back(model->name);
    const auto missing = [&names](const std::string& name) {
        return "no server has a model '" + name + "'" + config::did_you_mean(name, names);
    };
    for (const auto& alias : aliases_) {
        const auto* const found = catalog.find(alias.alias);
        const bool meant = found != nullptr && found == catalog.find(alias.model);
        if (meant && found->name != alias.alias) continue;
        idle_names_.push_back("the alias '" + alias.alias + "': " +
                              (found != nullptr && found->name == alias.alias
                                   ? "a server has a model of that name, which is meant by it"
                                   : missing(alias.model)));
    }
    if (!default_model_.empty() && catalog.default_model().model == nullptr)
        idle_names_.push_back("the default model: " + missing(default_model_));
}

bool Watch::is_given_alias(std::string_view name) const {
    return std::ranges::find(aliases_, name, &config::AliasSetting::alias) != aliases_.end();
}

// A server's other names for what it lists. Where the settings say what of it is served, these are
// no names that somebody has asked for.
void Watch::add_aliases(Catalog& catalog, const Listing& server) const {
    for (const auto& entry : server.entries())
        for (const auto& alias : entry.aliases)
            // What the settings say before what a server does.
            if (!is_given_alias(alias))
                catalog.add_alias(alias, entry.id, server.plan().list_models);
}

void Watch::add_routes(Catalog& catalog) {
    for (std::size_t i = 0; i < routes_.size(); ++i) {
        const auto& [setting, endpoints] = routes_[i];
        SLUICE_ASSERT(setting.backends.size() == endpoints.size());
        // No name of a model holds a line end.
        const std::string number = "\n" + std::to_string(i);
        Model& model = catalog.add_route(setting.path);
        SLUICE_ASSERT(catalog.routes().size() == i + 1);  // it is found by its number
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
        if (server->plan().origin != WatchPlan::Origin::fallback) add_models(*catalog, *server);
    for (const auto& server : servers_)
        if (!server->heard()) catalog->await(*server->plan().endpoint);
    // Who may have models yet is waited for.
    if (catalog->empty() && !catalog->awaits_any())
        for (const auto& server : servers_)
            add_models(*catalog, *server);
    for (const auto& server : servers_) {
        add_aliases(*catalog, *server);
        if (!server->ollama_version().empty())
            catalog->set_ollama_version(server->ollama_version());
    }
    add_given_aliases(*catalog);
    catalog->set_default_model(default_model_);
    find_idle_names(*catalog);
    add_routes(*catalog);
    catalog->seal();
    return catalog;
}

}  // namespace sluice::upstream
