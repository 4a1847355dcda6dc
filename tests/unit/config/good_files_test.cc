// Files that are sound: what each key sets, what is inherited from where, and what flags change.
#include "sluice/config/load.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace sluice;
using namespace sluice::config;

namespace {

Settings settings_of(std::string_view text, const Override& flags = {}) {
    auto outcome = load_text(text, {}, flags);
    for (const Problem& problem : outcome.problems)
        FAIL_CHECK(problem.to_text("file"));
    return std::move(outcome.settings);
}

constexpr auto seconds = Duration::seconds;

}  // namespace

TEST_CASE("a file that says nothing leaves every default") {
    const Settings standard;
    for (const char* text : {"", "\n", "# only a comment\n", "---\n", "{}", "~"}) {
        CAPTURE(text);
        const Settings settings = settings_of(text);
        CHECK(settings.listen == standard.listen);
        CHECK(settings.models.empty());
        CHECK(settings.rules.empty());
        CHECK(settings.routes.empty());
        CHECK(settings.discover);
        CHECK(settings.shards == standard.shards);
        CHECK(settings.model_timeouts == standard.model_timeouts);
        CHECK(settings.model_breaker == standard.model_breaker);
        CHECK(settings.model_health == standard.model_health);
        CHECK(settings.model_queue == standard.model_queue);
    }
    const auto model = settings_of("models: {m: {backends: [{url: http://a}]}}").models.at(0);
    ModelSetting expected;
    expected.name = "m";
    expected.backends.push_back({.url = "http://a"});
    CHECK(model == expected);
    const auto route =
        settings_of("routes: [{path: /a, backends: [{url: http://a}]}]").routes.at(0);
    RouteSetting standard_route;
    standard_route.path = "/a";
    standard_route.backends.push_back({.url = "http://a"});
    CHECK(route == standard_route);
    CHECK(route.hash.by == HashSetting::By::client);
}

TEST_CASE("general keys set what they are named after") {
    const Settings settings = settings_of(R"(
listen: [127.0.0.1:1, "unix:/run/s.sock"]
allowed_hosts: [box.lan]
insecure_listen: true
half_close: tolerate
shards: 3
limits: {body: 1MiB, connections: 7, connections_per_client: 6, buffers: 8MiB}
timeouts: {head: 1s, body_gap: 2s, body_total: 3s, idle: 4s, write_stall: 5s, linger: 6s,
           drain: 7s, pool_idle: 8s}
relay: splice
log: {access: /var/log/s}
backends: [http://a, http://b]
discover: false
default_model: q
aliases: {x: q, "y": q}
)");
    CHECK(settings.listen == std::vector<ListenSetting>{{"127.0.0.1:1"}, {"unix:/run/s.sock"}});
    CHECK(settings.allowed_hosts == std::vector<std::string>{"box.lan"});
    CHECK(settings.insecure_listen);
    CHECK(settings.half_close_tolerated);
    CHECK(settings.shards == 3);
    CHECK(settings.body_bytes_max == limits::MiB);
    CHECK(settings.connections_max == 7);
    CHECK(settings.connections_per_client_max == 6);
    CHECK(settings.buffer_memory == 8 * limits::MiB);
    CHECK(settings.timeouts.head == seconds(1));
    CHECK(settings.timeouts.body_gap == seconds(2));
    CHECK(settings.timeouts.body_total == seconds(3));
    CHECK(settings.timeouts.idle == seconds(4));
    CHECK(settings.timeouts.write_stall == seconds(5));
    CHECK(settings.timeouts.linger == seconds(6));
    CHECK(settings.timeouts.drain == seconds(7));
    CHECK(settings.pool_idle == seconds(8));
    CHECK(settings.relay == RelayMode::splice);
    CHECK(settings.access_log == "/var/log/s");
    REQUIRE(settings.backends.size() == 2);
    CHECK(settings.backends[0].url == "http://a");
    CHECK(settings.backends[1].url == "http://b");
    CHECK_FALSE(settings.discover);
    CHECK(settings.default_model == "q");
    REQUIRE(settings.aliases.size() == 2);
    CHECK(settings.aliases[1].alias == "y");
    CHECK(settings.aliases[1].model == "q");
    CHECK(settings_of("fallback_backend: http://c").fallback_backend == "http://c");
    CHECK(settings_of("listen: 127.0.0.1:5").listen == std::vector<ListenSetting>{{"127.0.0.1:5"}});
}

TEST_CASE("C5: a listener has an address, and origins of pages") {
    const Settings settings = settings_of(R"(
listen:
  - 127.0.0.1:1
  - {address: 127.0.0.1:2}
  - address: unix:/run/s
    cors: {origins: [HTTPS://App.Example:8443, "app://obsidian.md", "vscode-webview://*", "null"]}
  - {address: 127.0.0.1:3, cors: {origins: ["*"], any_origin_with_keys: true}}
routes: [{path: /ui, navigate: true, backends: [{url: http://a}]}]
)");
    REQUIRE(settings.listen.size() == 4);
    CHECK(settings.listen[1] == ListenSetting("127.0.0.1:2"));
    CHECK(settings.listen[2].origins == std::vector<std::string>{"https://app.example:8443",
                                                                 "app://obsidian.md",
                                                                 "vscode-webview://*", "null"});
    CHECK(settings.listen[3].origins == std::vector<std::string>{"*"});
    CHECK(settings.listen[3].any_origin_with_keys);
    CHECK(settings.routes.at(0).navigate);
}

TEST_CASE("a model and its backends have what the file says of them") {
    ::setenv("SLUICE_TEST_KEY", "sk-1", 1);
    const Settings settings = settings_of(R"(
models:
  qwen:
    aliases: [gpt-4o-mini, q]
    balance: hash
    hash: {by: header, header: X-Session}
    backends:
      - url: http://a
        model: theirs
        weight: 2
        priority: -1
        slots: 4
        context: 32768
        labels: {locality: local, gpu: "0"}
        key: env:SLUICE_TEST_KEY
    fallback: {any: [a], context_length: [b], policy_block: [c], rate_limit: [d], overload: [e]}
    breaker: {failures: 5, error_rate: 0.25, window: 10s, window_requests_min: 4, open: 1s,
              open_max: 9s, hard_open: 1h, successes: 2}
    health: {interval: 5s, timeout: 2s, probe: http, path: /up}
    queue: {length: 9, notice_first: 1s, notice_every: 0, priority_header: X-Priority}
    resume: true
    broken_stream: cut
  "?": {backends: [{url: "unix:/run/o"}], fallback: [qwen, "gpt-x"]}
  gpt-*: {balance: prefix, backends: [{url: http://b}]}
backends: [http://any]
)");
    REQUIRE(settings.models.size() == 3);
    const ModelSetting& qwen = settings.models[0];
    CHECK(qwen.aliases == std::vector<std::string>{"gpt-4o-mini", "q"});
    CHECK(qwen.balance == Balance::hash);
    CHECK(qwen.hash == HashSetting{HashSetting::By::header, "x-session"});
    REQUIRE(qwen.backends.size() == 1);
    const BackendSetting& backend = qwen.backends[0];
    CHECK(backend.url == "http://a");
    CHECK(backend.model == "theirs");
    CHECK(backend.weight == 2);
    CHECK(backend.priority == -1);
    CHECK(backend.slots == 4);
    CHECK(backend.context == 32768);
    CHECK(backend.labels.at("locality") == "local");
    CHECK(backend.labels.at("gpu") == "0");
    CHECK(backend.key.value() == "sk-1");
    CHECK(qwen.fallback == FallbackSetting{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}});
    CHECK(qwen.breaker ==
          BreakerSetting{5, 0.25, seconds(10), 4, seconds(1), seconds(9), seconds(3600), 2});
    CHECK(qwen.health == HealthSetting{seconds(5), seconds(2), HealthSetting::Probe::http, "/up"});
    CHECK(qwen.queue == QueueSetting{9, seconds(1), {}, "x-priority"});
    CHECK(qwen.resume);
    CHECK(qwen.broken_stream == BrokenStream::cut);
    CHECK(settings.models[1].fallback.any == std::vector<std::string>{"qwen", "gpt-x"});
    CHECK(settings.models[2].name == "gpt-*");
    CHECK(settings.models[2].balance == Balance::prefix);
}

TEST_CASE("what a backend does not say is its model's, and what that does not say the default") {
    const Settings settings = settings_of(R"(
# Read before what inherits from it, wherever it stands.
models:
  m:
    backends:
      - {url: http://a, timeouts: {gap: 3s}}
      - url: http://b
    timeouts: {connect: 2s}
    queue: {length: 5}
defaults:
  timeouts: {connect: 9s, gap: 9s, total: 9s}
  queue: {length: 1, notice_every: 1s}
  breaker: {failures: 9}
  health: {interval: 9s}
routes: [{path: /r, backends: [{url: http://r, timeouts: {gap: 4s}}], timeouts: {total: 8s}}]
)");
    const ModelSetting& model = settings.models.at(0);
    CHECK(model.timeouts ==
          ModelTimeouts{.connect = seconds(2), .gap = seconds(9), .total = seconds(9)});
    CHECK(model.backends.at(0).timeouts ==
          ModelTimeouts{.connect = seconds(2), .gap = seconds(3), .total = seconds(9)});
    CHECK(model.backends.at(1).timeouts == model.timeouts);
    CHECK(model.queue.length == 5);
    CHECK(model.queue.notice_every == seconds(1));
    CHECK(model.breaker.failures == 9);
    CHECK(model.health.interval == seconds(9));
    const RouteSetting& route = settings.routes.at(0);
    CHECK(route.backends.at(0).timeouts ==
          ModelTimeouts{.connect = seconds(9), .gap = seconds(4), .total = seconds(8)});
}

TEST_CASE("rules and routes have what the file says of them") {
    const Settings settings = settings_of(R"(
backends: [http://any]
consumers:
  - name: a
    keys: [{id: a1, sha256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}]
rules:
  - name: long
    when:
      path: /v1/
      method: POST
      headers: {X-Team: "a*"}
      query: {beta: "1"}
      model: gpt-*
      stream: true
      tools: false
      max_tokens: {min: 10}
      prompt_bytes: {min: 5, max: 9}
      consumer: {team: a}
    use: big
  - name: canary
    split: [{model: one, percent: 90}, {model: two, percent: 10}]
    sticky: {by: client}
routes:
  - path: /ai/predict
    methods: [GET, POST]
    headers: {X-Version: "2*"}
    balance: hash
    hash: {by: consumer}
    backends: [{url: http://a}, {url: http://b, weight: 3}]
    strip_prefix: true
    rewrite: {pattern: "^/(.*)$", replacement: "/api/$1"}
)");
    REQUIRE(settings.rules.size() == 2);
    RuleSetting rule;
    rule.name = "long";
    rule.when = {.path = "/v1/",
                 .method = "POST",
                 .headers = {{"x-team", "a*"}},
                 .query = {{"beta", "1"}},
                 .model = "gpt-*",
                 .stream = true,
                 .tools = false,
                 .max_tokens = Range{.min = 10},
                 .prompt_bytes = Range{5, 9},
                 .consumer = {{"team", "a"}}};
    rule.use = "big";
    CHECK(settings.rules[0] == rule);
    CHECK_FALSE(settings.rules[1].when.stream.has_value());
    CHECK(settings.rules[1].split == std::vector<RuleShare>{{"one", 90}, {"two", 10}});
    CHECK(settings.rules[1].sticky.by == HashSetting::By::client);
    RouteSetting route;
    route.path = "/ai/predict";
    route.methods = {"GET", "POST"};
    route.headers = {{"x-version", "2*"}};
    route.balance = Balance::hash;
    route.hash.by = HashSetting::By::consumer;
    route.backends = {{.url = "http://a"}, {.url = "http://b", .weight = 3}};
    route.strip_prefix = true;
    route.rewrite = RewriteSetting{"^/(.*)$", "/api/$1"};
    REQUIRE(settings.routes.size() == 1);
    CHECK(settings.routes[0] == route);
}

TEST_CASE("consumers have what the file says of them") {
    const Settings settings = settings_of(R"(
consumers:
  - name: team-a
    labels: {team: a, env: dev}
    priority: 2
    keys:
      - {id: a1, sha256: "2C26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}
      - {id: a2, sha256: fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9}
  - name: team-b
    keys: [{id: b1, sha256: 248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1}]
)");
    REQUIRE(settings.consumers.size() == 2);
    ConsumerSetting a;
    a.name = "team-a";
    a.labels = {{"team", "a"}, {"env", "dev"}};
    a.priority = 2;
    a.keys = {{"a1", sha256("foo")}, {"a2", sha256("bar")}};
    CHECK(settings.consumers[0] == a);
    CHECK(settings.consumers[1].name == "team-b");
    CHECK_FALSE(settings.consumers[1].priority.has_value());
    CHECK(settings.consumers[1].labels.empty());
}

TEST_CASE("anchors, aliases and merges of YAML are followed") {
    const Settings settings = settings_of(R"(
models:
  one: &one
    backends: &servers [{url: http://a}]
    queue: {length: 7}
  two: {<<: *one, queue: {length: 8}}
  three: {backends: *servers, balance: &way hash}
  four: {<<: [{balance: *way}, *one, {balance: prefix}]}
)");
    REQUIRE(settings.models.size() == 4);
    for (const ModelSetting& model : settings.models)
        CHECK(model.backends.at(0).url == "http://a");
    CHECK(settings.models[1].queue.length == 8);
    CHECK(settings.models[2].balance == Balance::hash);
    CHECK(settings.models[3].queue.length == 7);
    CHECK(settings.models[3].balance == Balance::hash);
}

TEST_CASE("flags win over the file, and models without a word of their own inherit from them") {
    const Settings settings = settings_of(
        R"(
shards: 2
listen: [127.0.0.1:1, 127.0.0.1:2]
default_model: added
defaults: {timeouts: {connect: 5s, gap: 5s}}
models:
  kept: {backends: [{url: http://a}], timeouts: {gap: 2s}}
  moved:
    backends: [{url: http://b, weight: 5}, {url: http://c}]
    queue: {length: 3}
    timeouts: {total: 7s}
  bare: {balance: hash}
)",
        [](Settings& all) {
            all.shards = 4;
            all.listen = {{"127.0.0.1:9"}};
            all.model_timeouts.connect = seconds(1);
            for (const char* text : {"moved=http://d#x", "added=http://e", "bare=http://f"})
                all.models.push_back(parse_model(text).value());
        });
    CHECK(settings.shards == 4);
    CHECK(settings.listen == std::vector<ListenSetting>{{"127.0.0.1:9"}});
    REQUIRE(settings.models.size() == 4);
    const ModelTimeouts inherited{.connect = seconds(1), .gap = seconds(5)};
    CHECK(settings.models[0].timeouts == ModelTimeouts{.connect = seconds(1), .gap = seconds(2)});
    const ModelSetting& moved = settings.models[1];
    REQUIRE(moved.backends.size() == 1);
    CHECK(moved.backends[0].url == "http://d");
    CHECK(moved.backends[0].model == "x");
    CHECK(moved.backends[0].weight == 1);
    CHECK(moved.backends[0].timeouts.total == seconds(7));
    CHECK(moved.queue.length == 3);
    CHECK(settings.models[2].backends.at(0).url == "http://f");
    CHECK(settings.models[2].balance == Balance::hash);
    CHECK(settings.models[3].name == "added");
    CHECK(settings.models[3].timeouts == inherited);
    CHECK(settings.models[3].backends.at(0).timeouts == inherited);
    // Without a file the same: an empty one is read.
    const Settings none = settings_of("", [](Settings& all) {
        all.model_timeouts.gap = seconds(3);
        all.models.push_back(parse_model("m=http://a").value());
    });
    CHECK(none.models.at(0).timeouts.gap == seconds(3));
}

TEST_CASE("the file of the README can be read") {
    std::string text;
    std::FILE* file = std::fopen(SLUICE_SOURCE_ROOT "/README.md", "rb");
    REQUIRE(file != nullptr);
    char part[4096];
    while (const std::size_t length = std::fread(part, 1, sizeof(part), file))
        text.append(part, length);
    std::fclose(file);
    const std::string fence = "```yaml\n";
    const std::size_t begin = text.find(fence);
    REQUIRE(begin != std::string::npos);
    const std::size_t end = text.find("```", begin + fence.size());
    const Settings settings =
        settings_of(text.substr(begin + fence.size(), end - begin - fence.size()));
    CHECK(settings.models.size() >= 2);
}

TEST_CASE("C1: an alias is a name, or a map that says whether it is listed") {
    const Settings settings = settings_of(
        "models: {m: {list: false, aliases: [a, {name: b, list: false}, {name: c}],"
        " backends: [{url: http://x}]}}\n"
        "aliases: {d: m, e: {model: m, list: false}, f: {model: m}}\n");
    CHECK_FALSE(settings.models[0].listed);
    CHECK(settings.models[0].aliases == std::vector<std::string>{"a", "b", "c"});
    CHECK(settings.models[0].unlisted_aliases == std::vector<std::string>{"b"});
    REQUIRE(settings.aliases.size() == 3);
    CHECK(settings.aliases[0].listed);
    CHECK_FALSE(settings.aliases[1].listed);
    CHECK(settings.aliases[1].model == "m");
    CHECK(settings.aliases[2].listed);
}

TEST_CASE("S2: a server whose list is served is a URL, or a map like a model's backend") {
    const Settings settings = settings_of(
        "defaults: {timeouts: {gap: 7s}}\n"
        "backends: [http://a/v1, {url: http://b, slots: 3, context: 9, labels: {x: y},"
        " timeouts: {connect: 2s}}]\n");
    REQUIRE(settings.backends.size() == 2);
    CHECK(settings.backends[0].url == "http://a/v1");
    CHECK(settings.backends[0].timeouts.gap == seconds(7));
    CHECK(settings.backends[1].slots == 3);
    CHECK(settings.backends[1].context == 9);
    CHECK(settings.backends[1].labels.at("x") == "y");
    CHECK(settings.backends[1].timeouts.connect == seconds(2));
    CHECK(settings.backends[1].timeouts.gap == seconds(7));
    const auto flagged = load_text("backends: [http://a]\n", {}, [](Settings& over) {
        over.backends = {{.url = "http://flag"}};
        over.model_timeouts.gap = seconds(9);
    });
    REQUIRE(flagged.ok());
    REQUIRE(flagged.settings.backends.size() == 1);
    CHECK(flagged.settings.backends[0].url == "http://flag");
    CHECK(flagged.settings.backends[0].timeouts.gap == seconds(9));
}
