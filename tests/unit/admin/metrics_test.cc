#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "sluice/admin/metrics.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using namespace sluice;
using proxy::End;
using shard::Snapshot;
using shard::Totals;

namespace {

Snapshot snapshot_of(std::size_t shard) {
    Snapshot snapshot;
    snapshot.shard = shard;
    return snapshot;
}

void learn(Totals& totals, Snapshot snapshot) {
    totals.learn(std::make_shared<const Snapshot>(std::move(snapshot)));
}

std::string text_of(const Totals& totals, std::string_view consumer = {}) {
    std::string text;
    admin::write_metrics(totals, consumer, text);
    return text;
}

void check_lines(const Totals& totals, std::initializer_list<std::string_view> lines) {
    const std::string text = "\n" + text_of(totals);
    for (const std::string_view line : lines) {
        CAPTURE(line);
        CHECK(text.find("\n" + std::string(line) + "\n") != text.npos);
    }
}

}  // namespace

TEST_CASE("before any shard was heard of there are zeros, and no row") {
    const Totals totals;
    check_lines(totals, {"sluice_connections_total 0", "sluice_retries_total 0",
                         "gen_ai_server_request_duration_seconds_count 0"});
    CHECK(text_of(totals).find("shard=") == std::string::npos);
    CHECK(text_of(totals).find("sluice_requests_total{") == std::string::npos);
}

TEST_CASE("T3: a consumer sees what is counted for it, and nothing else") {
    Totals totals;
    Snapshot snapshot = snapshot_of(0);
    snapshot.targets.push_back({.model = "m", .backend = "http://a", .labels = {{"gpu-0", "x"}}});
    for (const char* who : {"a", "b"}) {
        auto& row = snapshot.statistics.row(who, "m", "http://a");
        row.requests[2][static_cast<std::size_t>(End::ok)] = 7;
        row.prompt_tokens = 8;
    }
    learn(totals, std::move(snapshot));
    const std::string text = text_of(totals, "a");
    CHECK(text.find("sluice_requests_total{consumer=\"a\"") != text.npos);
    CHECK(text.find("sluice_tokens_total{consumer=\"a\"") != text.npos);
    for (const char* other : {"\"b\"", "sluice_backend", "sluice_connections", "seconds"})
        CHECK(text.find(other) == text.npos);
    check_lines(totals,
                {"sluice_backend_info{model=\"m\",backend=\"http://a\",label_gpu_0=\"x\"} 1"});
}

TEST_CASE("counters of all shards are added, row by row") {
    Totals totals;
    for (const std::size_t shard : {std::size_t{2}, std::size_t{0}}) {
        Snapshot snapshot = snapshot_of(shard);
        auto& statistics = snapshot.statistics;
        statistics.connections = 3;
        statistics.refused_clients = 4;
        statistics.retries = 5;
        statistics.uncounted = 6;
        statistics.duration.observe(Duration::millis(2));
        auto& row = statistics.row("", "m", "http://a");
        row.requests[2][static_cast<std::size_t>(End::ok)] = 7;
        row.requests[0][static_cast<std::size_t>(End::timeout)] = shard;
        row.prompt_tokens = 8;
        row.completion_tokens = 9;
        row.cached_tokens = 1;
        statistics.row("", "m", shard == 0 ? "http://b" : "http://c").prompt_tokens = 1;
        statistics.row("", "", "").requests[4][static_cast<std::size_t>(End::refused)] = 10;
        learn(totals, std::move(snapshot));
    }
    check_lines(
        totals,
        {"sluice_connections_total 6", "sluice_connections_refused_total 8",
         "sluice_retries_total 10", "sluice_answers_without_usage_total 12",
         "gen_ai_server_request_duration_seconds_bucket{le=\"0.001\"} 0",
         "gen_ai_server_request_duration_seconds_bucket{le=\"0.0025\"} 2",
         "gen_ai_server_request_duration_seconds_bucket{le=\"+Inf\"} 2",
         "gen_ai_server_request_duration_seconds_sum 0.004",
         "gen_ai_server_request_duration_seconds_count 2",
         R"(sluice_requests_total{model="m",backend="http://a",end="ok",status="2xx"} 14)",
         R"(sluice_requests_total{model="m",backend="http://a",end="timeout",status="none"} 2)",
         R"(sluice_requests_total{model="",backend="",end="refused",status="4xx"} 20)",
         R"(sluice_tokens_total{model="m",backend="http://a",type="input"} 16)",
         R"(sluice_tokens_total{model="m",backend="http://a",type="output"} 18)",
         R"(sluice_tokens_total{model="m",backend="http://a",type="cached"} 2)",
         R"(sluice_tokens_total{model="m",backend="http://b",type="input"} 1)",
         R"(sluice_tokens_total{model="m",backend="http://c",type="input"} 1)"});
    // What never reached a backend has no tokens.
    CHECK(text_of(totals).find(R"(sluice_tokens_total{model="")") == std::string::npos);
}

TEST_CASE("pools of one backend are added, gauges of shards stand side by side") {
    Totals totals;
    Snapshot zero = snapshot_of(0);
    zero.pools = {{"http://a", 1, 2, 3, 4, 5, 6, 7}, {"http://b", 1, 1, 1, 1, 1, 1, 1}};
    zero.buffers_in_use = 8;
    Snapshot two = snapshot_of(2);
    two.pools = {{"http://a", 10, 20, 30, 40, 50, 60, 70}};
    two.buffers_in_use = 9;
    learn(totals, std::move(two));
    learn(totals, std::move(zero));
    check_lines(totals,
                {R"(sluice_backend_connections{backend="http://a"} 11)",
                 R"(sluice_backend_connections_idle{backend="http://a"} 22)",
                 R"(sluice_backend_connects_total{backend="http://a"} 33)",
                 R"(sluice_backend_reuses_total{backend="http://a"} 44)",
                 R"(sluice_backend_idle_closes_total{backend="http://a"} 55)",
                 R"(sluice_backend_preconnects_total{backend="http://a"} 66)",
                 R"(sluice_backend_preconnects_used_total{backend="http://a"} 77)",
                 R"(sluice_backend_connections{backend="http://b"} 1)",
                 R"(sluice_buffers_in_use{shard="0"} 8)", R"(sluice_buffers_in_use{shard="2"} 9)"});
    // A shard that was not heard of is left out, which is not the same as zero.
    CHECK(text_of(totals).find("shard=\"1\"") == std::string::npos);
}

TEST_CASE("what shards know of a target is put together under its model and backend") {
    Totals totals;
    for (const std::size_t shard : {std::size_t{0}, std::size_t{1}}) {
        Snapshot snapshot = snapshot_of(shard);
        snapshot.targets.push_back({.model = "m",
                                    .backend = "http://a",
                                    .up = shard == 0,
                                    .breaker_open = true,
                                    .in_flight = 3,
                                    .slots = 4});
        learn(totals, std::move(snapshot));
    }
    check_lines(totals, {R"(sluice_backend_up{model="m",backend="http://a"} 0)",
                         R"(sluice_backend_breakers_open{model="m",backend="http://a"} 2)",
                         R"(sluice_backend_requests_in_flight{model="m",backend="http://a"} 6)",
                         R"(sluice_backend_slots{model="m",backend="http://a"} 4)"});
}

TEST_CASE("neither a model's name nor a consumer's can end its label or its line") {
    Totals totals;
    Snapshot snapshot = snapshot_of(0);
    snapshot.statistics.row("", "a\"b\\c\nd", "http://a").requests[2][0] = 1;
    auto& row = snapshot.statistics.row("team \"a\"", "m", "http://a");
    row.requests[2][0] = 2;
    row.cached_tokens = 3;
    learn(totals, std::move(snapshot));
    check_lines(
        totals,
        {R"(sluice_requests_total{model="a\"b\\c\nd",backend="http://a",end="ok",status="2xx"} 1)",
         R"(sluice_requests_total{consumer="team \"a\"",model="m",backend="http://a",)"
         R"(end="ok",status="2xx"} 2)",
         R"(sluice_tokens_total{consumer="team \"a\"",model="m",backend="http://a",)"
         R"(type="cached"} 3)"});
}
