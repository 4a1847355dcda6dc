// WatchPlan: which servers are asked, for what, and what is wrong with a setting.
#include "sluice/upstream/watch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace sluice;
using namespace sluice::upstream;

namespace {

using Origin = WatchPlan::Origin;

WatchPlan plan_of(const config::Settings& settings, const std::vector<std::uint16_t>& own = {}) {
    auto plan = WatchPlan::create(settings, own);
    REQUIRE(plan.ok());
    return std::move(*plan);
}

std::string problem_of(const config::Settings& settings) {
    const auto plan = WatchPlan::create(settings, {});
    REQUIRE_FALSE(plan.ok());
    return plan.error().message;
}

std::vector<config::ModelSetting> models(std::initializer_list<const char*> texts) {
    std::vector<config::ModelSetting> all;
    for (const char* text : texts)
        all.push_back(config::parse_model(text).value());
    return all;
}

std::vector<config::BackendSetting> listing(std::initializer_list<const char*> urls) {
    std::vector<config::BackendSetting> all;
    for (const char* url : urls)
        all.push_back({.url = url});
    return all;
}

bool says(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("servers of models and backends are asked, each once, and nothing else") {
    config::Settings settings;
    settings.models = models({"a=http://127.0.0.1:1", "b=http://127.0.0.1:1#up"});
    settings.models[0].backends.push_back({.url = "http://127.0.0.1:2", .model = "other"});
    settings.models[1].aliases = {"y"};
    settings.backends = listing({"http://127.0.0.1:2", "http://127.0.0.1:3"});
    settings.fallback_backend = "http://127.0.0.1:4";
    settings.aliases = {{"x", "a"}};
    const WatchPlan plan = plan_of(settings);
    REQUIRE(plan.servers.size() == 3);
    CHECK(plan.servers[0].models.size() == 2);
    CHECK_FALSE(plan.servers[0].list_models);
    CHECK(plan.servers[1].models.size() == 1);
    CHECK(plan.servers[1].list_models);
    CHECK(plan.servers[2].models.empty());
    CHECK(plan.servers[2].list_models);
    for (std::size_t i = 0; i < plan.servers.size(); ++i) {
        CHECK(plan.servers[i].endpoint->id == i);
        CHECK(plan.servers[i].origin == Origin::configured);
    }
    REQUIRE(plan.aliases.size() == 2);
    CHECK(plan.aliases[1].alias == "y");
    CHECK(plan.aliases[1].model == "b");
    CHECK(plan.servers[0].models[0].own_name == "a");
    CHECK(plan.servers[0].models[1].own_name == "up");
    CHECK(plan.servers[1].models[0].name == "a");
    CHECK(plan.servers[1].models[0].own_name == "other");
}

TEST_CASE("without a server in the settings the well-known ports are asked, but never our own") {
    const auto ports = well_known_ports();
    config::Settings settings;
    settings.fallback_backend = "http://127.0.0.1:4";
    const WatchPlan plan = plan_of(settings, {ports[1], 4242});
    REQUIRE(plan.servers.size() == ports.size());  // one is ours, one is the fallback
    for (const auto& server : plan.servers) {
        CHECK(server.list_models);
        CHECK(server.endpoint->target.address.is_loopback());
        CHECK(server.endpoint->target.address.port() != ports[1]);
    }
    CHECK(plan.servers.back().origin == Origin::fallback);
    CHECK(plan.servers.front().origin == Origin::discovered);
}

TEST_CASE("discovery that is switched off asks nobody") {
    config::Settings settings;
    settings.discover = false;
    CHECK(plan_of(settings).servers.empty());
}

TEST_CASE("a setting that is wrong is named in the error") {
    config::Settings settings;
    settings.models = models({"good=http://127.0.0.1:1", "bad=ftp://x"});
    CHECK(says(problem_of(settings), "model bad: 'ftp://x'"));
    settings.models = models({"bad=http://127.0.0.1:99999"});
    CHECK(says(problem_of(settings), "model bad: "));
    settings.models.clear();
    settings.backends = listing({"https://127.0.0.1"});
    CHECK(says(problem_of(settings), "--backend: 'https://127.0.0.1': TLS"));
    settings.backends.clear();
    settings.fallback_backend = "nonsense";
    CHECK(says(problem_of(settings), "--fallback-backend: 'nonsense'"));
}

TEST_CASE("a password in a URL is refused and not repeated") {
    config::Settings settings;
    settings.backends = listing({"http://me:secret@127.0.0.1:1"});
    CHECK_FALSE(says(problem_of(settings), "secret"));
}

TEST_CASE("the same server written in two ways is one server") {
    config::Settings settings;
    settings.backends = listing({"http://127.0.0.1:3", "http://127.0.0.1:3/v1"});
    settings.models = models({"m=http://127.0.0.1:3/v1/"});
    CHECK(plan_of(settings).servers.size() == 1);
}

TEST_CASE("a server that only routes lead to is not asked what it serves, nor is one discovered") {
    config::Settings settings;
    config::RouteSetting route{.path = "/a"};
    route.backends = {{.url = "http://127.0.0.1:8000"}, {.url = "http://127.0.0.1:1"}};
    route.health.path = "/live";
    settings.routes = {route};
    const WatchPlan plan = plan_of(settings);
    REQUIRE(plan.routes.size() == 1);
    REQUIRE(plan.routes[0].endpoints.size() == 2);
    CHECK(plan.routes[0].endpoints[0] == plan.servers[0].endpoint);
    std::size_t generic = 0;
    for (const auto& server : plan.servers) {
        const bool of_route = server.endpoint->id < 2;
        CHECK(server.generic() == of_route);
        CHECK((server.health.path == "/live") == of_route);
        generic += server.generic() ? 1 : 0;
    }
    CHECK(generic == 2);
    // The models' servers are still looked for, but not where the route leads.
    CHECK(plan.servers.size() == well_known_ports().size() - 1 + generic);

    settings.models = models({"m=http://127.0.0.1:1"});
    const WatchPlan with_model = plan_of(settings);
    CHECK(with_model.servers.size() == 2);
    CHECK_FALSE(with_model.servers[0].generic());
    CHECK(with_model.routes[0].endpoints[1] == with_model.servers[0].endpoint);

    settings.routes[0].backends[0].url = "nonsense";
    CHECK(says(problem_of(settings), "route /a: "));
}

TEST_CASE("S1: /v1 at the end of a URL is taken off, and any other path stays") {
    for (const auto& [url, asked] :
         {std::pair{"http://h:1", "http://h:1/v1/models"},
          std::pair{"http://h:1/v1", "http://h:1/v1/models"},
          std::pair{"http://h:1/v1//", "http://h:1/v1/models"},
          std::pair{"http://h:1/a/v1", "http://h:1/a/v1/models"},
          std::pair{"http://h:1/a//v1", "http://h:1/a/v1/models"},
          std::pair{"http://h:1/xv1", "http://h:1/xv1/v1/models"},
          std::pair{"http://h:1/v1/v1", "http://h:1/v1/v1/models"},
          std::pair{"unix:/tmp/v1", "unix:/tmp/v1:http://localhost/v1/models"}}) {
        const auto server = parse_server_url(url);
        REQUIRE(server.ok());
        CHECK(asked_url(server.value(), "/v1/models") == asked);
    }
    CHECK_FALSE(parse_server_url("ftp://h").ok());
    for (const std::string url :
         {"http://h/v1/chat/completions", "http://h/x/v1/models/", "http://h/api/chat"}) {
        const auto server = parse_server_url(url);
        REQUIRE_FALSE(server.ok());
        CHECK(says(server.error().message, "leave that away"));
    }
    CHECK(parse_server_url("http://h/api").ok());
    CHECK(parse_server_url("http://h/chat/completions").ok());
}

TEST_CASE("S2: what is said of a server is so for whatever it lists") {
    config::Settings settings;
    settings.backends = listing({"http://127.0.0.1:3/v1"});
    settings.backends[0].slots = 4;
    settings.backends[0].timeouts.gap = Duration::seconds(7);
    const WatchPlan plan = plan_of(settings);
    REQUIRE(plan.servers.size() == 1);
    CHECK(plan.servers[0].list_models);
    CHECK(plan.servers[0].listing.slots == 4);
    CHECK(plan.servers[0].listing.timeouts.gap == Duration::seconds(7));
}

TEST_CASE("S3: ports are told in ranges") {
    CHECK(ports_text({}) == "");
    CHECK(ports_text({8082, 1, 8080, 8081, 3, 2000, 2001}) == "1, 3, 2000, 2001, 8080 to 8082");
    const auto ports = well_known_ports();
    for (const int port : {8080, 8085, 8089, 9931, 9932, 11434})
        CHECK(std::ranges::count(ports, port) == 1);
}
