// The table of the whole file.
#include "conflicts.h"
#include "schema.h"
#include "sluice/config/wildcard.h"
#include "values.h"

#include <algorithm>

namespace sluice::config {
namespace {

constexpr std::int64_t connections_max = 1'000'000;
constexpr std::size_t models_max = 4096;
// A shard has no more of them.
constexpr std::size_t buffers_max = limits::buffers_max * limits::buffer_bytes;
// Each is tried on every name that is nothing else.
constexpr std::ptrdiff_t wildcards_max = 256;

auto in(auto Settings::* group, auto member) {
    return [=](Settings& settings) -> auto& { return settings.*group.*member; };
}

const Section& limits_section() {
    using S = Settings;
    constexpr std::size_t size_max = std::size_t{1} << 40;
    static const Section section =
        Table<S>("What the gateway takes at most.")
            .key("body", &S::body_bytes_max, Size{limits::KiB, size_max},
                 {"Largest request body", "32MiB"})
            .key("connections", &S::connections_max, Whole<std::size_t>{1, connections_max},
                 {"Client connections, a shard", "5000"})
            .key("connections_per_client", &S::connections_per_client_max,
                 Whole<std::size_t>{1, connections_max},
                 {"Connections from one address, a shard", "100"})
            .key("buffers", &S::buffer_memory, Size{limits::MiB, buffers_max},
                 {"Memory for bytes on their way, a shard; taken only as needed", "64MiB"})
            .key("cache", &S::cache_memory, Size{limits::MiB, buffers_max},
                 {"Memory for answers that are kept, all shards together; taken once a model has a "
                  "cache",
                  "256MiB"})
            .done();
    return section;
}

const Section& kept_answers_section() {
    using S = Settings;
    static const Section section =
        Table<S>("Where kept answers are beside the memory of `limits.cache`.")
            .key("disk", &S::cache_disk, kept_file(),
                 {"A file for them, of this gateway alone: what is kept is written there, too, and "
                  "found again where memory has it no more, also after a restart",
                  "/var/lib/sluice/answers.db"})
            .key("disk_bytes", &S::cache_disk_bytes, Size{4 * limits::MiB, std::size_t{1} << 40},
                 {"How large it may become, its journal included; the oldest make room", "4GiB"})
            .done();
    return section;
}

const Section& client_timeouts_section() {
    using S = Settings;
    using T = Timeouts;
    static const Section section =
        Table<S>(
            "Deadlines of clients; those of backends are in `defaults` and in the models. 0 "
            "switches one off.")
            .key("head", in(&S::timeouts, &T::head), Time{}, {"For a request's whole head", "5s"})
            .key("body_gap", in(&S::timeouts, &T::body_gap), Time{},
                 {"Between two reads of a request's body", "10s"})
            .key("body_total", in(&S::timeouts, &T::body_total), Time{},
                 {"For a request's whole body", "1m"})
            .key("idle", in(&S::timeouts, &T::idle), Time{},
                 {"For a kept-alive connection without a request", "2m"})
            .key("write_stall", in(&S::timeouts, &T::write_stall), Time{},
                 {"For a client that takes nothing of its answer", "30s"})
            .key("linger", in(&S::timeouts, &T::linger), Time{},
                 {"For the next 64 KiB of a body that is still sent behind its answer: it is read "
                  "and "
                  "thrown away, up to 128 MiB and a minute, so that the client sees the answer",
                  "2s"})
            .key("drain", in(&S::timeouts, &T::drain), Time{},
                 {"From SIGTERM until streams that still run are ended", "10s"})
            .key("pool_idle", &S::pool_idle, Time{},
                 {"Unused connections to a backend are kept that long (llama-server closes after "
                  "5s)",
                  "3s"})
            .done();
    return section;
}

const Section& log_section() {
    using S = Settings;
    static const Section section =
        Table<S>("What is written down.")
            .key("access", &S::access_log, log_target(),
                 {"Where a line for each request goes", "off"})
            .key("probes", &S::log_probes, Truth{},
                 {"Also of health checks and scrapes that were answered (/healthz, /readyz, "
                  "/health, /metrics)",
                  "true"})
            .done();
    return section;
}

const Section& defaults_section() {
    using S = Settings;
    static const Section section =
        Table<S>("What a model has that says nothing of its own.")
            .map("timeouts", &S::model_timeouts, timeouts_section(), {"Deadlines of backends", ""})
            .map("breaker", &S::model_breaker, breaker_section(),
                 {"When a backend is left alone", ""})
            .map("health", &S::model_health, health_section(), {"How backends are watched", ""})
            .map("queue", &S::model_queue, queue_section(), {"Where requests wait for a slot", ""})
            .key("heartbeat", &S::model_heartbeat, Time{{}, Duration::seconds(24LL * 3600)},
                 {"How often the client of a stream that says nothing hears a comment; 0: never",
                  "5s"})
            .key(
                "broken_stream", &S::model_broken_stream, stream_ends,
                {"How the body of a stream ends that broke, behind the event that says why: as one "
                 "that is whole (end), or cut off. Those of /v1/responses and of Ollama always "
                 "end",
                 "cut"})
            .key(
                "coalesce", &S::model_coalesce, sharings,
                {"Which equal requests that are under way at the same time are one for the backend",
                 "auto"})
            .map("cache", &S::model_cache, cache_section(), {"Answers that are kept", ""})
            .done();
    return section;
}

Settings& itself(Settings& settings) {
    return settings;
}

// A key as the text that it is.
Node key_of(const Entry& entry) {
    Node name;
    name.kind = Node::Kind::text;
    name.at = entry.at;
    name.text = entry.key;
    return name;
}

void read_model(Reader& reader, const Entry& entry, Settings& settings) {
    const Reader::Step step(reader, entry.key);
    ModelSetting model = standard_model(settings);
    if (!model_name().read(reader, key_of(entry), model.name)) return;
    const std::size_t problems = reader.problems().size();
    reader.model = model.name;
    reader.names_model(model.name, entry.at);
    read_section(reader, model_section(), *entry.value, &model);
    reader.model.clear();
    const bool sound = reader.problems().size() == problems;
    if (sound && model.backends.empty() && !reader.flagged_models.contains(model.name))
        reader.problem(entry.at, "a model needs at least one backend: the key 'backends'");
    settings.models.push_back(std::move(model));
}

void read_model_entries(Reader& reader, const Node& node, Settings& settings) {
    if (node.kind != Node::Kind::map)
        return reader.expected(node, "a map of models by their names");
    if (node.entries.size() > models_max)
        return reader.problem(node.at, "more than " + std::to_string(models_max) + " models");
    const auto wildcards = std::ranges::count_if(
        node.entries, is_wildcard, [](const Entry& entry) { return std::string_view(entry.key); });
    if (wildcards > wildcards_max)
        return reader.problem(node.at, "more than " + std::to_string(wildcards_max) + " wildcards");
    for (const Entry& entry : node.entries)
        read_model(reader, entry, settings);
}

Key models_key() {
    Key key;
    key.name = "models";
    key.type = "map of maps";
    key.doc = "The models by their names";
    key.section = &model_section();
    key.below = ".NAME";
    return key;
}

const Section& alias_entry_section() {
    using A = AliasSetting;
    static const Section section =
        Table<A>("What another name means.")
            .key("model", &A::model, model_reference(), {"The model", "qwen-coder", true})
            .key("list", &A::listed, Truth{}, {"Whether it stands in the lists of models", "false"})
            .done();
    return section;
}

// Each a model's name, or a map with one.
void read_alias_entries(Reader& reader, const Node& node, Settings& settings) {
    settings.aliases.clear();
    if (node.kind != Node::Kind::map)
        return reader.expected(node, "a map of aliases to models' names");
    for (const Entry& entry : node.entries) {
        const Reader::Step step(reader, entry.key);
        AliasSetting alias;
        const bool named = model_alias().read(reader, key_of(entry), alias.alias);
        if (entry.value->kind == Node::Kind::map)
            read_section(reader, alias_entry_section(), *entry.value, &alias);
        else
            (void)model_reference().read(reader, *entry.value, alias.model);
        if (named && !alias.model.empty()) settings.aliases.push_back(std::move(alias));
    }
}

Key alias_entries_key() {
    Key key;
    key.name = "aliases";
    key.type = "map of an alias to a model's name, or to a map";
    key.doc =
        "Other names for models, also for those that servers list themselves; they stand in the "
        "lists of models, too";
    key.example = "{gpt-4o-mini: qwen-coder, gpt-4o: {model: qwen-coder, list: false}}";
    key.section = &alias_entry_section();
    key.below = ".NAME";
    return key;
}

void read_box_backends(Reader& reader, const Node& node, Settings& settings) {
    if (node.kind != Node::Kind::list)
        return reader.expected(node, "a list, each a URL or a map with one");
    std::vector<BackendSetting> backends;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const Reader::Step step(reader, "[" + std::to_string(i) + "]");
        const Node& item = *node.items[i];
        BackendSetting& backend = backends.emplace_back();
        backend.timeouts = settings.model_timeouts;
        if (item.kind == Node::Kind::map)
            read_section(reader, listing_backend_section(), item, &backend);
        else
            (void)server_url().read(reader, item, backend.url);
    }
    if (const auto twice = find_twice(backends)) {
        const Reader::Step step(reader, "[" + std::to_string(twice->second) + "]");
        reader.problem(node.items[twice->second]->at,
                       "the same server stands there twice, first in line " +
                           std::to_string(node.items[twice->first]->at.line));
    }
    // Those of the flags are there already, and win.
    if (settings.backends.empty()) settings.backends = std::move(backends);
}

Key backends_key() {
    Key key;
    key.name = "backends";
    key.type = "list, each a URL or a map";
    key.doc = "Servers of which whatever they list is served";
    key.example = "[\"http://127.0.0.1:8080/v1\", {url: \"http://127.0.0.1:8081\", slots: 4}]";
    key.section = &listing_backend_section();
    key.below = "[]";
    return key;
}

const Section& cors_section() {
    using L = ListenSetting;
    static const Section section =
        Table<L>(
            "Which pages a browser lets read the answers, beside those of this machine "
            "(localhost) and of `allowed_hosts`. Whoever is let in gets its preflight answered.")
            .key("origins", &L::origins, Texts{origin()},
                 {"Origins as browsers name them, where `*` is any run of characters; `null` for "
                  "pages of files; `\"*\"` for any page at all",
                  "[https://app.example, \"app://obsidian.md\", \"vscode-webview://*\"]"})
            .key("any_origin_with_keys", &L::any_origin_with_keys, Truth{},
                 {"Allow `\"*\"` although consumers or backends have keys: any page may then use "
                  "the keys that it knows, and those of the backends",
                  "true"})
            .done();
    return section;
}

ListenSetting& same_listener(ListenSetting& listener) {
    return listener;
}

const Section& listen_section() {
    using L = ListenSetting;
    static const Section section =
        Table<L>("Where to listen, and for which pages.")
            .key("address", &L::address, listen_address(),
                 {"host:port or unix:/path; port 0 takes a free one", "127.0.0.1:8642", true})
            .map("cors", same_listener, cors_section(), {"Pages that may read the answers", ""})
            .done();
    return section;
}

void read_listener(Reader& reader, const Node& node, Settings& settings) {
    ListenSetting listener;
    const std::size_t problems = reader.problems().size();
    if (node.kind == Node::Kind::text)
        listen_address().read(reader, node, listener.address);
    else
        read_section(reader, listen_section(), node, &listener);
    if (reader.problems().size() != problems) return;
    reader.names_listener(listener.address, node.at);
    // Port 0 is another one each time.
    if (!listener.address.ends_with(":0"))
        reader.given_once("address to listen on", listener.address, node.at);
    settings.listen.push_back(std::move(listener));
}

void read_listeners(Reader& reader, const Node& node, Settings& settings) {
    settings.listen.clear();
    if (node.kind == Node::Kind::text) return read_listener(reader, node, settings);
    if (node.kind != Node::Kind::list || node.items.empty())
        return reader.expected(node, "an address, or a list of addresses or maps with them");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const Reader::Step step(reader, "[" + std::to_string(i) + "]");
        read_listener(reader, *node.items[i], settings);
    }
}

Key listen_key() {
    Key key;
    key.name = "listen";
    key.type = "address, or list of addresses or maps";
    key.doc = "Where to listen: host:port or unix:/path; port 0 takes a free one";
    key.example = "[127.0.0.1:8642, \"unix:/run/sluice.sock\"]";
    key.standard = Settings{}.listen.front().address;
    key.section = &listen_section();
    key.below = "[]";
    return key;
}

RouteSetting standard_route(const Settings& settings) {
    RouteSetting route;
    route.timeouts = settings.model_timeouts;
    route.breaker = settings.model_breaker;
    route.health = settings.model_health;
    return route;
}

}  // namespace

const Section& root_section() {
    using S = Settings;
    static const Section section =
        Table<S>("The file is YAML: one map.")
            .custom(listen_key(), read_listeners)
            .key("allowed_hosts", &S::allowed_hosts, Texts{host_name()},
                 {"Further names by which clients and their pages may call the gateway; localhost "
                  "and IP addresses always may",
                  "[gpu-box.lan]"})
            .key("insecure_listen", &S::insecure_listen, Truth{},
                 {"Allow listening on addresses that other machines can reach, without keys",
                  "true"})
            .key("half_close", &S::half_close_tolerated,
                 Choice<bool>{{{"abort", false}, {"tolerate", true}}},
                 {"A client that ends its sending side has left (abort), or still waits (tolerate)",
                  "tolerate"})
            .key("shards", &S::shards, Whole<std::size_t>{1, 64, "threads"},
                 {"Threads, each with its own ring", "2"})
            .map("limits", itself, limits_section(), {"What the gateway takes at most", ""})
            .map("cache", itself, kept_answers_section(),
                 {"Where answers are kept; which ones say the models, or `defaults`", ""})
            .map("timeouts", itself, client_timeouts_section(), {"Deadlines of clients", ""})
            .key("relay", &S::relay,
                 Choice<RelayMode>{{{"auto", RelayMode::automatic},
                                    {"buffer", RelayMode::buffer},
                                    {"splice", RelayMode::splice}}},
                 {"How bodies pass: as suits each, through buffers, or spliced by the kernel "
                  "wherever no byte has to be read",
                  "buffer"})
            .map("log", itself, log_section(), {"What is written down", ""})
            .key("fallback_backend", &S::fallback_backend, server_url(),
                 {"Used when no model server is found on this machine", "http://127.0.0.1:9000"})
            .key("discover", &S::discover, Truth{},
                 {"Look for model servers on the well-known local ports and llama-server's "
                  "neighbouring "
                  "ones, when there are neither `models` nor `backends`: `sluice discover` shows "
                  "what is there",
                  "false"})
            .key("default_model", &S::default_model, model_reference(),
                 {"Serves requests that name no model, or none that there is", "qwen-coder"})
            .custom(alias_entries_key(), read_alias_entries)
            .map("defaults", itself, defaults_section(),
                 {"What a model has that says nothing of its own", ""})
            .custom(backends_key(), read_box_backends)
            .custom(models_key(), read_model_entries)
            .maps("consumers", &S::consumers, consumer_section(),
                  [](const S&) { return ConsumerSetting{}; },
                  {"Who may ask, known by keys; without any, everybody who can connect", ""})
            .maps("rules", &S::rules, rule_section(), [](const S&) { return RuleSetting{}; },
                  {"Which model serves a request, by more than the name it asks for", ""})
            .maps("routes", &S::routes, route_section(), standard_route,
                  {"Paths that are relayed as they are", ""})
            .done();
    return section;
}

std::size_t model_part() {
    const auto& keys = root_section().keys;
    return static_cast<std::size_t>(std::ranges::find(keys, "backends", &Key::name) - keys.begin());
}

}  // namespace sluice::config
