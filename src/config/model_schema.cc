// The tables of a model and of what it has in common with a route.
#include "conflicts.h"
#include "schema.h"
#include "sluice/config/settings.h"
#include "values.h"

namespace sluice::config {
namespace {

constexpr std::int64_t requests_max = 1'000'000;
constexpr Duration day = Duration::seconds(24LL * 3600);
constexpr Duration year = Duration::seconds(365LL * 24 * 3600);

const Whole<std::uint64_t> context_tokens{0, 1'000'000'000, "tokens"};

const Choice<HashSetting::By> hash_by{{{"conversation", HashSetting::By::conversation},
                                       {"client", HashSetting::By::client},
                                       {"consumer", HashSetting::By::consumer},
                                       {"header", HashSetting::By::header}}};

const Choice<Balance> balances{{{"auto", Balance::automatic},
                                {"round-robin", Balance::round_robin},
                                {"least-busy", Balance::least_busy},
                                {"least-latency", Balance::least_latency},
                                {"hash", Balance::hash},
                                {"prefix", Balance::prefix}}};

const Choice<HealthSetting::Probe> probes{{{"auto", HealthSetting::Probe::automatic},
                                           {"http", HealthSetting::Probe::http},
                                           {"slots", HealthSetting::Probe::slots},
                                           {"off", HealthSetting::Probe::off}}};

Text named_model() {
    return model_reference();
}

const Section& fallback_section() {
    using F = FallbackSetting;
    static const Section section =
        Table<F>(
            "Models to turn to, in order, when no backend of this one can serve a request. A "
            "chain for a cause is taken instead of `any`. A fallback's own chain is not followed, "
            "so two models may be each other's.")
            .key("any", &F::any, Texts{named_model()},
                 {"For every cause that has no chain of its own", "[qwen-small, cloud-mini]"})
            .key("context_length", &F::context_length, Texts{named_model()},
                 {"The prompt is too long for this model", "[qwen-long]"})
            .key("policy_block", &F::policy_block, Texts{named_model()},
                 {"The provider refuses the content", "[qwen-small]"})
            .key("rate_limit", &F::rate_limit, Texts{named_model()},
                 {"429 of every backend, or a request beyond a minute's allowance", "[cloud-mini]"})
            .key("overload", &F::overload, Texts{named_model()},
                 {"529, a full queue, no memory left", "[qwen-small]"})
            .done();
    return section;
}

// A list for any cause, or a map of lists by cause.
void read_fallback(Reader& reader, const Node& node, ModelSetting& model) {
    if (node.kind == Node::Kind::list)
        return Texts{named_model()}.read(reader, node, model.fallback.any);
    if (node.kind == Node::Kind::map)
        return read_section(reader, fallback_section(), node, &model.fallback);
    reader.expected(node, "a list of models' names, or a map of such lists by cause");
}

Key fallback_key() {
    Key key;
    key.name = "fallback";
    key.type = "list of models' names, or map of lists by cause";
    key.doc =
        "Models to turn to, in order, when no backend of this one can serve; their own fallbacks "
        "are not followed";
    key.example = "[qwen-small, cloud-mini]";
    key.section = &fallback_section();
    return key;
}

const Section& alias_section() {
    using A = AliasSetting;
    static const Section section =
        Table<A>("Another name for the model.")
            .key("name", &A::alias, model_alias(), {"The name", "gpt-4o-mini", true})
            .key("list", &A::listed, Truth{}, {"Whether it stands in the lists of models", "false"})
            .done();
    return section;
}

// Each a name, or a map with one.
void read_aliases(Reader& reader, const Node& node, ModelSetting& model) {
    if (node.kind != Node::Kind::list)
        return reader.expected(node, "a list, each an alias or a map with its name");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const Reader::Step step(reader, "[" + std::to_string(i) + "]");
        AliasSetting alias;
        if (node.items[i]->kind == Node::Kind::map)
            read_section(reader, alias_section(), *node.items[i], &alias);
        else
            (void)model_alias().read(reader, *node.items[i], alias.alias);
        if (!alias.listed) model.unlisted_aliases.push_back(alias.alias);
        model.aliases.push_back(std::move(alias.alias));
    }
}

Key aliases_key() {
    Key key;
    key.name = "aliases";
    key.type = "list, each an alias or a map";
    key.doc = "Other names for it, which stand in the lists of models, too";
    key.example = "[gpt-4o-mini, {name: gpt-4o, list: false}]";
    key.section = &alias_section();
    key.below = "[]";
    return key;
}

BackendSetting backend_of(const ModelSetting& model) {
    BackendSetting backend;
    backend.timeouts = model.timeouts;
    return backend;
}

// What a model's backend and a route's have in common.
Table<BackendSetting> backend_table(std::string doc, Text url) {
    using B = BackendSetting;
    Table<B> table(std::move(doc));
    table
        .key("url", &B::url, std::move(url),
             {"Where it listens: http://host:port or unix:/path. Of a model server's, /v1 at the "
              "end "
              "may be there or not; any other path goes in front of what is asked",
              "http://127.0.0.1:8081", true})
        .key("weight", &B::weight, Whole<unsigned>{1, 1000},
             {"Its share of the requests beside the others of its tier", "2"})
        .key("priority", &B::priority, Whole<int>{-1000, 1000},
             {"Its tier: the lowest that has a healthy backend serves", "1"})
        .key("slots", &B::slots, Whole<unsigned>{0, 65536, "requests"},
             {"Requests that it serves at a time; 0: what it says itself, else as many as come",
              "4"})
        .key("labels", &B::labels, LabelMap{},
             {"What is known of it: stands with its requests in the log and with it in the metrics "
              "(sluice_backend_info)",
              "{locality: local}"})
        .key("key", &B::key, SecretPlace{},
             {"Where its API key is; a file that only its owner can read. The key itself is "
              "never written here",
              "env:OPENAI_API_KEY"})
        .map("timeouts", &B::timeouts, timeouts_section(),
             {"Its own deadlines; what is not said is that of its model or route, or of `defaults`",
              ""});
    return table;
}

}  // namespace

void check_pool(Reader& reader, Place at, std::size_t backends) {
    if (backends <= limits::pool_backends_max) return;
    reader.problem(at, "a pool has at most " + std::to_string(limits::pool_backends_max) +
                           " backends, found " + std::to_string(backends));
}

void check_hash(Reader& reader, const Node& node, Balance balance) {
    const Node* hash = node.find("hash");
    if (hash == nullptr || balance == Balance::hash) return;
    reader.problem(hash->at, "'hash' counts with 'balance: hash' only: say that too");
}

const Section& timeouts_section() {
    using M = ModelTimeouts;
    static const Section section =
        Table<M>("Deadlines of a request to a backend. 0 switches one off.")
            .key("connect", &M::connect, Time{}, {"To connect to the backend", "500ms"})
            .key("queue", &M::queue, Time{}, {"For a free slot", "30s"})
            .key("load", &M::load, Time{}, {"For a model that is being loaded", "10m"})
            .key("first_byte", &M::first_byte, Time{},
                 {"From the request sent to the first byte of the answer (prefill)", "2m"})
            .key("gap", &M::gap, Time{},
                 {"Between two events or reads of an answer. Comments put it off, but not for more "
                  "than 15m (or this, where it is longer)",
                  "5m"})
            .key("silence", &M::silence, Time{},
                 {"Instead of `first_byte` and `gap` while the server shows no sign of life: no "
                  "byte of the answer, no answered health check, of a llama-server in use no slot "
                  "at work by /slots. Not where `health.probe` is off: who is not asked cannot "
                  "answer",
                  "30s"})
            .key("total", &M::total, Time{}, {"From the request's head to the answer's end", "15m"})
            .done();
    return section;
}

const Section& hash_section() {
    using H = HashSetting;
    static const Section section =
        Table<H>("What requests have in common that go to the same place.")
            .key("by", &H::by, hash_by,
                 {"Whose requests stay together. A conversation is the session that an agent names "
                  "(x-claude-code-session-id, session-id, session_id, conversation_id, "
                  "x-session-affinity, prompt_cache_key, the session in metadata.user_id), else "
                  "how the prompt begins",
                  "header"})
            .key("header", &H::header, header_name(),
                 {"Requests with the same value of it, for `by: header`", "x-session-id"})
            .checked([](Reader& reader, const Node& node, HashSetting& hash) {
                if (hash.by == HashSetting::By::consumer)
                    reader.needs_consumers("'by: consumer'", node.at);
                const bool by_header = hash.by == HashSetting::By::header;
                if (by_header == !hash.header.empty()) return;
                reader.problem(node.at, by_header ? "'by: header' needs the key 'header'"
                                                  : "the key 'header' needs 'by: header'");
            });
    return section;
}

const Section& breaker_section() {
    using B = BreakerSetting;
    static const Section section =
        Table<B>("When a backend is left alone for a model, and when it is tried again.")
            .key("failures", &B::failures, Whole<unsigned>{0, 1000, "requests"},
                 {"Failures in a row that open it; 0: never by that", "5"})
            .key("error_rate", &B::error_rate, Share{},
                 {"Share of failures in the window that opens it; 0: never by that", "0.25"})
            .key("window", &B::window, Time{Duration::seconds(1), Duration::seconds(3600)},
                 {"What counts for `error_rate`", "1m"})
            .key("window_requests_min", &B::window_requests_min,
                 Whole<unsigned>{1, 100'000, "requests"}, {"Fewer in the window say nothing", "20"})
            .key("open", &B::open, Time{Duration::millis(1), day},
                 {"Left alone that long the first time, twice that the next, and so on", "5s"})
            .key("open_max", &B::open_max, Time{Duration::millis(1), day},
                 {"At most that long", "2m"})
            .key("hard_open", &B::hard_open, Time{Duration::millis(1), day},
                 {"Left alone that long when it refuses the key or the bill", "1h"})
            .key("successes", &B::successes, Whole<unsigned>{1, 1000, "requests"},
                 {"Probes in a row that have to succeed to close it", "2"})
            .checked([](Reader& reader, const Node& node, BreakerSetting& breaker) {
                if (breaker.open > breaker.open_max)
                    reader.problem(node.at, "'open' is longer than 'open_max'");
            });
    return section;
}

const Section& health_section() {
    using H = HealthSetting;
    static const Section section =
        Table<H>(
            "How it is found out whether a backend is well. No probe makes a token or loads "
            "a model.")
            .key("interval", &H::interval, Time{Duration::millis(10), day},
                 {"Between two probes, some random part more or less", "5s"})
            .key("timeout", &H::timeout, Time{Duration::millis(1), Duration::seconds(300)},
                 {"For the answer of a probe", "2s"})
            .key("probe", &H::probe, probes,
                 {"What is asked: what suits the server (a llama-server in use for its /slots, "
                  "which sees an engine that hangs), GET `path`, /slots always (an idle model then "
                  "never sleeps), or nothing",
                  "slots"})
            .key("path", &H::path, path_prefix(),
                 {"What `probe: http` asks for; without it what the kind of server has", "/health"})
            .done();
    return section;
}

// Of a model: a route is always asked by a path.
void check_probe(Reader& reader, const Node& node, const HealthSetting& health) {
    const Node* section = node.find("health");
    const Node* path = section != nullptr ? section->find("path") : nullptr;
    if (path == nullptr || health.probe == HealthSetting::Probe::http) return;
    reader.problem(section->at, "'health.path' is asked for by 'probe: http' only: add that");
}

const Section& queue_section() {
    using Q = QueueSetting;
    static const Section section =
        Table<Q>("Where requests wait while every slot of the model's backends is busy.")
            .key("length", &Q::length, Whole<std::size_t>{0, requests_max, "requests"},
                 {"More are refused with 429, on all shards together; 0: none waits", "32"})
            .key("notice_first", &Q::notice_first, Time{{}, day},
                 {"The client of a stream is told its place after this time; 0: never", "2s"})
            .key("notice_every", &Q::notice_every, Time{{}, day},
                 {"and again, also through load and prefill, until its first word; 0: as often as "
                  "`heartbeat` says",
                  "5s"})
            .key("priority_header", &Q::priority_header, header_name(),
                 {"A request's header that holds its priority: 0 to 15, lower first, 8 where it "
                  "says nothing",
                  "x-priority"})
            .key("age", &Q::age, Time{Duration::millis(1), day},
                 {"Whoever has waited that long goes up one class, again and again, so that no "
                  "class starves: 15 of these are the longest that newcomers go before the last "
                  "class",
                  "10s"})
            .done();
    return section;
}

const Section& cache_section() {
    using C = CacheSetting;
    static const Section section =
        Table<C>("Answers that are kept and given again to an equal request.")
            .key("answers", &C::answers, sharings,
                 {"Those of which requests. auto: of those that get the same answer each time "
                  "(temperature 0, a seed, embeddings, rerank, tokenize)",
                  "auto"})
            .key("ttl", &C::ttl, Time{Duration::seconds(1), year},
                 {"How long an answer is given again", "10m"})
            .key("share", &C::share,
                 Choice<C::Share>{{{"consumer", C::Share::consumer},
                                   {"group", C::Share::group},
                                   {"everybody", C::Share::everybody}}},
                 {"Who gets the answers to one another's requests, kept or under way: nobody but "
                  "the consumer itself, the consumers of one `group`, or everybody who may ask",
                  "group"})
            .done();
    return section;
}

const Section& model_backend_section() {
    using B = BackendSetting;
    static const Section section =
        backend_table("A server that serves the model.", server_url())
            .key("model", &B::model, model_name(),
                 {"What the server itself calls the model; without it the same", "qwen2.5-coder"})
            .key("context", &B::context, context_tokens,
                 {"The longest prompt with its answer; 0: what the server says itself", "32768"})
            .done();
    return section;
}

const Section& listing_backend_section() {
    using B = BackendSetting;
    static const Section section =
        backend_table("A server of which whatever it lists is served.", server_url())
            .key("context", &B::context, context_tokens,
                 {"The longest prompt with its answer; 0: what the server says itself", "32768"})
            .done();
    return section;
}

const Section& route_backend_section() {
    static const Section section =
        backend_table("A server behind the route.", backend_url()).done();
    return section;
}

const Section& model_section() {
    using M = ModelSetting;
    static const Section section =
        Table<M>(
            "A name that requests may ask for, or a wildcard like `gpt-4o*` for many, and who "
            "serves it.")
            .custom(aliases_key(), read_aliases)
            .key("list", &M::listed, Truth{},
                 {"Whether its own name stands in the lists of models; it can be asked for all the "
                  "same, and its aliases stand there",
                  "false"})
            .key("balance", &M::balance, balances,
                 {"How one of the backends is chosen. auto: prefix for several llama-servers, "
                  "else least-busy",
                  "round-robin"})
            .map("hash", &M::hash, hash_section(), {"For `balance: hash`", ""})
            .map("timeouts", &M::timeouts, timeouts_section(),
                 {"Its own deadlines; what is not said is that of `defaults`", ""})
            .maps("backends", &M::backends, model_backend_section(), backend_of,
                  {"Who serves it; at least one, at most " +
                       std::to_string(limits::pool_backends_max),
                   ""})
            .custom(fallback_key(), read_fallback)
            .map("breaker", &M::breaker, breaker_section(), {"When a backend is left alone", ""})
            .map("health", &M::health, health_section(), {"How backends are watched", ""})
            .map("queue", &M::queue, queue_section(), {"Where requests wait for a slot", ""})
            .key("heartbeat", &M::heartbeat, Time{{}, day},
                 {"The client of a stream that says nothing hears a comment that often, between "
                  "two events, behind the first word as before it; 0: never. A client that counts "
                  "only events (Codex on /v1/responses) gets one; streams of JSON lines get "
                  "nothing",
                  "5s"})
            .key("resume", &M::resume, Truth{},
                 {"A stream whose backend dies goes on on another one", "true"})
            .key("broken_stream", &M::broken_stream, stream_ends,
                 {"How a stream ends that broke; what is not said is that of `defaults`", "cut"})
            .key("coalesce", &M::coalesce, sharings,
                 {"Equal requests that are under way at the same time are one for the backend, and "
                  "each client "
                  "gets the whole answer. auto: those that get the same answer each time "
                  "(temperature 0, a seed, embeddings, rerank, tokenize)",
                  "auto"})
            .map("cache", &M::cache, cache_section(), {"Answers that are kept", ""})
            .checked([](Reader& reader, const Node& node, ModelSetting& model) {
                check_hash(reader, node, model.balance);
                check_probe(reader, node, model.health);
                const Node* backends = node.find("backends");
                if (backends == nullptr) return;
                check_pool(reader, backends->at, model.backends.size());
                check_twice(reader, *backends, model.backends);
            });
    return section;
}

ModelSetting standard_model(const Settings& settings) {
    ModelSetting model;
    model.timeouts = settings.model_timeouts;
    model.breaker = settings.model_breaker;
    model.health = settings.model_health;
    model.queue = settings.model_queue;
    model.heartbeat = settings.model_heartbeat;
    model.broken_stream = settings.model_broken_stream;
    model.coalesce = settings.model_coalesce;
    model.cache = settings.model_cache;
    return model;
}

}  // namespace sluice::config
