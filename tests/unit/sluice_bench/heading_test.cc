#include "heading.h"

#include "json_check.h"
#include "report.h"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::bench;

namespace {

std::string value(const Heading& heading, std::string_view key) {
    for (const auto& fact : heading.facts)
        if (fact.key == key) return fact.json;
    return "missing";
}

// 2026-02-28T23:59:59Z
constexpr std::int64_t date = 1'772'323'199;

Options options_for(const char* url) {
    Options options;
    options.targets.push_back({.name = {}, .url = url, .pid = 0, .stalled = {}});
    return options;
}

}  // namespace

TEST_CASE("a report says what was measured, when and how") {
    Options options = options_for("http://127.0.0.1:1/a\"b");
    options.title = "mine";
    options.targets[0].pid = 77;
    options.load.connections = 64;
    options.load.seed = 5;
    options.window.length = Duration::millis(2500);
    options.fields = {"X-Key: secret"};
    const std::vector<RequestKind> kinds{{.stream = true, .prompt_bytes = 2048, .max_tokens = 9}};
    const Heading heading = heading_of(options, kinds, date);
    constexpr std::pair<const char*, const char*> wanted[] = {
        {"program", "\"sluice-bench " SLUICE_VERSION "\""},
        {"date", "\"2026-02-28T23:59:59Z\""},
        {"targets", R"([{"name":"","url":"http://127.0.0.1:1/a\"b","pid":77,"stalled":0}])"},
        {"mix", R"([{"kind":"chat","path":"/v1/chat/completions","model":"sim",)"
                R"("stream":true,"usage":true,"prompt_bytes":2048,"max_tokens":9,)"
                R"("weight":1}])"},
        {"loop", "\"closed\""},
        {"connections", "64"},
        {"rate_per_s", "null"},
        {"poisson", "false"},
        {"keep_alive", "true"},
        {"duration_s", "2.5"},
        {"requests_max", "null"},
        {"warmup_s", "0.5"},
        {"rounds", "null"},
        {"think_s", "0"},
        {"ramp_s", "0"},
        {"timeout_s", "60"},
        {"stall_s", "1"},
        {"threads", "1"},
        {"spin", "false"},
        {"seed", "5"},
        {"headers", R"(["X-Key"])"},
        {"origin", "null"},
    };
    CHECK(heading.title == "mine");
    CHECK(heading.facts.size() == std::size(wanted));
    for (const auto& [key, json] : wanted) {
        CAPTURE(key);
        CHECK(value(heading, key) == json);
        CHECK(JsonCheck::valid(value(heading, key)));
    }
}

TEST_CASE("an open loop, a comparison, a mix and a backend of the bench's own") {
    Options options = options_for("unix:/a");
    options.targets.push_back({.name = "b", .url = "unix:/b", .pid = 0, .stalled = 3});
    options.compare = true;
    options.rounds = 4;
    options.load.rate = 0.5;
    options.load.requests_max = 10;
    options.origin = "127.0.0.1:9";
    const std::vector<RequestKind> kinds{
        {.stream = true, .usage = false, .weight = 3},
        {.shape = RequestKind::Shape::get, .path = "/x", .prompt_bytes = 0}};
    const Heading heading = heading_of(options, kinds, date);
    CHECK(value(heading, "loop") == "\"open\"");
    CHECK(value(heading, "rate_per_s") == "0.5");
    CHECK(value(heading, "rounds") == "4");
    CHECK(value(heading, "requests_max") == "10");
    CHECK(value(heading, "warmup_s") == "0");  // a given number is measured from its first one
    CHECK(value(heading, "targets").find(R"("stalled":3)") != std::string::npos);
    CHECK(value(heading, "mix").find(R"("usage":false)") != std::string::npos);
    CHECK(value(heading, "mix").find(R"("kind":"get","path":"/x")") != std::string::npos);
    CHECK(value(heading, "origin") ==
          R"({"address":"127.0.0.1:9","answer_bytes":600,"event_bytes":200,"events":null,)"
          R"("period_s":0.01,"lock_step":false})");
    for (const auto& fact : heading.facts) {
        CAPTURE(fact.key);
        CHECK(JsonCheck::valid(fact.json));
    }
}

TEST_CASE("both reports have it in their heads, and no secret") {
    Options options = options_for("unix:/a");
    options.fields = {"X-Key: secret"};
    options.api_key = "secret";
    const Heading heading = heading_of(options, {{}}, date);
    Measured measured;
    measured.seconds = 1;
    Comparison comparison({"a"});
    comparison.add(0, measured);
    for (const auto& json :
         {json_report(heading, measured, {}), json_report(heading, comparison)}) {
        CHECK(JsonCheck::valid(json));
        CHECK(json.find(R"("date":"2026-02-28T23:59:59Z")") != std::string::npos);
        CHECK(json.find(R"("url":"unix:/a")") != std::string::npos);
        CHECK(json.find("secret") == std::string::npos);
    }
    for (const auto& page :
         {html_report(heading, measured, {}), html_report(heading, comparison)}) {
        for (const char* words : {"date: 2026-02-28T23:59:59Z", "targets: unix:/a",
                                  "mix: chat of sim with a prompt of 1024 bytes",
                                  "loop: closed, 1 connections", "duration_s: 10 s"})
            CHECK(page.find(words) != std::string::npos);
        CHECK(page.find("secret") == std::string::npos);
    }
}
