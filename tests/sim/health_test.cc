// Health checks on virtual time: what a server is asked, how often, and what its answers make of
// it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "health_rig.h"

#include <cstdlib>

using namespace sluice;
using namespace sluice::upstream;

TEST_CASE("a server that answers is asked at its interval, give or take a fifth, and stays up") {
    Box box;
    box.wait(Duration::seconds(60));
    CHECK(box.changes.empty());
    REQUIRE(box.asked.size() >= 25);
    REQUIRE(box.asked.size() <= 38);
    bool jitters = false;
    for (std::size_t i = 1; i < box.asked.size(); ++i) {
        const Duration gap = box.asked[i].at - box.asked[i - 1].at;
        CHECK(gap >= Duration::millis(1600));
        CHECK(gap <= Duration::millis(2410));
        jitters |= gap < Duration::millis(1900) || gap > Duration::millis(2100);
    }
    CHECK(jitters);
}

TEST_CASE("each kind is asked for what loads no model and makes no token") {
    struct Row {
        Kind kind;
        config::HealthSetting setting;
        std::vector<std::string> paths;
        std::uint64_t in_flight = 1;
    };
    config::HealthSetting own;
    own.probe = Probe::http;
    own.path = "/ping?x=1";
    config::HealthSetting plain;
    plain.probe = Probe::http;
    config::HealthSetting slots;
    slots.probe = Probe::slots;
    for (const Row& row :
         {Row{Kind::llama_server, {}, {"/health", "/props", "/slots"}},
          Row{Kind::llama_server, slots, {"/health", "/props", "/slots"}},
          Row{Kind::llama_server, {}, {"/health"}, 0},
          Row{Kind::llama_server, slots, {"/health", "/props", "/slots"}, 0},
          Row{Kind::llama_server, plain, {"/health"}}, Row{Kind::llama_server, own, {"/ping?x=1"}},
          Row{Kind::vllm, {}, {"/health"}}, Row{Kind::ollama, {}, {"/api/version"}},
          Row{Kind::unknown, {}, {"/v1/models"}}, Row{Kind::unknown, own, {"/ping?x=1"}}}) {
        Box box(row.kind, row.setting);
        box.traffic.in_flight = row.in_flight;
        box.wait(Duration::seconds(3));
        REQUIRE(box.asked.size() >= row.paths.size());
        auto paths = box.paths();
        paths.resize(row.paths.size());
        CHECK(paths == row.paths);
        // No other ever.
        for (const auto& path : box.paths())
            CHECK(std::ranges::find(row.paths, path) != row.paths.end());
    }
}

TEST_CASE("the engine is asked only where the server says that this wakes and loads nothing") {
    struct Row {
        std::string props;
        bool asked;
    };
    for (const Row& row :
         {Row{answer_of(fine_props), true}, Row{answer_of(R"({"endpoint_slots":false})"), false},
          Row{answer_of(R"({"endpoint_slots":true,"is_sleeping":true})"), false},
          Row{answer_of(R"({"endpoint_slots":true,"role":"router"})"), false},
          Row{answer_of("{}", 404), false}, Row{answer_of("<html>"), false}}) {
        CAPTURE(row.props);
        Box box(Kind::llama_server);
        box.traffic.in_flight = 1;
        box.answer = [&](std::string_view path) {
            return path == "/props" ? row.props : answer_of("{}");
        };
        box.wait(Duration::seconds(10));
        const auto paths = box.paths();
        CHECK((std::ranges::find(paths, "/slots") != paths.end()) == row.asked);
        CHECK(box.changes.empty());
    }
}

TEST_CASE("a refused connection is believed at once, and asked again soon until it is accepted") {
    Box box;
    box.wait(Duration::seconds(1));
    box.stop_serving();
    box.wait_change(1);
    CHECK(box.changes[0].health == Health::down);
    CHECK(box.changes[0].cause == "Connection refused");
    box.wait(Duration::seconds(10));
    CHECK(box.changes.size() == 1);
    const Instant back = box.loop.now();
    box.serve();
    box.wait_change(2);
    CHECK(box.changes[1].health == Health::up);
    CHECK(box.changes[1].at - back <= Duration::millis(310));
}

TEST_CASE("silence is believed the second time in a row") {
    Box box;
    int silent = 1;
    box.answer = [&](std::string_view) -> std::optional<std::string> {
        if (silent-- > 0) return std::nullopt;
        return answer_of("{}");
    };
    box.wait(Duration::seconds(20));
    CHECK(box.changes.empty());
    silent = 1'000'000;
    const Instant since = box.loop.now();
    box.wait_change(1);
    CHECK(box.changes[0].health == Health::down);
    CHECK_FALSE(box.changes[0].cause.empty());
    // Two intervals and two timeouts at most.
    CHECK(box.changes[0].at - since <= Duration::millis(2 * 2400 + 2 * 1000 + 20));
    silent = 0;
    box.wait_change(2);
    CHECK(box.changes[1].health == Health::up);
}

TEST_CASE("a check that is answered with an error is silence; what is no error is an answer") {
    struct Row {
        int status;
        bool well;
    };
    for (const Row& row : {Row{200, true}, Row{204, true}, Row{401, true}, Row{404, true},
                           Row{500, false}, Row{503, false}}) {
        CAPTURE(row.status);
        Box box(Kind::vllm);
        box.answer = [&](std::string_view) { return answer_of("", row.status); };
        box.wait(Duration::seconds(20));
        CHECK(box.changes.empty() == row.well);
        if (row.well) continue;
        CHECK(box.changes[0].cause == "its health check answered " + std::to_string(row.status));
    }
}

TEST_CASE("a server that loads its model is asked every 25 ms, for requests wait for it") {
    Box box(Kind::llama_server);
    bool loads = true;
    box.answer = [&](std::string_view path) {
        if (loads) return answer_of(loading, 503);
        return answer_of(path == "/props" ? fine_props : "{}");
    };
    box.wait_change(1);
    CHECK(box.changes[0].health == Health::loading);
    const std::size_t before = box.asked.size();
    box.wait(Duration::seconds(5));
    const std::size_t times = box.asked.size() - before;
    CHECK(times >= 150);
    CHECK(times <= 260);
    CHECK(box.changes.size() == 1);
    loads = false;
    const Instant loaded = box.loop.now();
    box.wait_change(2);
    CHECK(box.changes[1].health == Health::up);
    CHECK(box.changes[1].at - loaded <= Duration::millis(40));
}

TEST_CASE("an engine that hangs behind a server that answers is seen") {
    Box box(Kind::llama_server);
    box.traffic.in_flight = 1;
    bool hangs = true;
    box.answer = [&](std::string_view path) -> std::optional<std::string> {
        if (path == "/slots" && hangs) return std::nullopt;
        return answer_of(path == "/props" ? fine_props : "{}");
    };
    box.wait_change(1);
    CHECK(box.changes[0].health == Health::down);
    CHECK(box.changes[0].cause.starts_with("its engine does not answer GET /slots: "));
    // Nobody sends it anything now, and its /health says that all is well.
    box.traffic.in_flight = 0;
    box.wait(Duration::seconds(60));
    CHECK(box.changes.size() == 1);
    hangs = false;
    box.wait_change(2);
    CHECK(box.changes[1].health == Health::up);
    const std::size_t before = box.asked.size();
    box.wait(Duration::seconds(60));
    CHECK(box.times("/slots", before) == 0);
    CHECK(box.changes.size() == 2);
}

TEST_CASE("an engine that is silent once is asked again, though its server has become idle") {
    Box box(Kind::llama_server);
    int silences = 1;
    box.traffic.placed = 1;
    box.answer = [&](std::string_view path) -> std::optional<std::string> {
        if (path == "/slots" && silences-- > 0) return std::nullopt;
        return answer_of(path == "/props" ? fine_props : "{}");
    };
    box.wait(Duration::seconds(60));
    CHECK(box.times("/slots") == 2);
    CHECK(box.changes.empty());
}

TEST_CASE("the engine of a server that is not in use is left alone, so that its model may sleep") {
    Box box(Kind::llama_server);
    const auto engine_asked = [&](Duration within) {
        const std::size_t before = box.asked.size();
        box.wait(within);
        CHECK(box.times("/health", before) >= within.ns / Duration::millis(2410).ns);
        CHECK(box.times("/props", before) == box.times("/slots", before));
        return box.times("/slots", before);
    };
    const Duration minute = Duration::seconds(60);
    CHECK(engine_asked(minute) == 0);
    // A request that came and went between two checks.
    ++box.traffic.placed;
    CHECK(engine_asked(minute) == 1);
    CHECK(engine_asked(minute) == 0);
    // One that takes its time.
    ++box.traffic.placed;
    ++box.traffic.in_flight;
    CHECK(engine_asked(minute) >= 25);
    --box.traffic.in_flight;
    CHECK(engine_asked(minute) == 0);
    // Traffic has found something.
    box.watch->suspect(box.endpoint->id, Health::down, "traffic says so");
    CHECK(engine_asked(minute) == 1);
    CHECK(engine_asked(minute) == 0);
}

TEST_CASE("what traffic has seen is so until the server has been asked") {
    for (const auto seen : {Health::down, Health::loading}) {
        Box box;
        box.wait(Duration::seconds(3));
        box.watch->suspect(box.endpoint->id, seen, "traffic says so");
        REQUIRE(box.changes.size() == 1);
        CHECK(box.changes[0].health == seen);
        CHECK(box.changes[0].cause == "traffic says so");
        // Told once, however often it is seen.
        box.watch->suspect(box.endpoint->id, seen, "traffic says so");
        CHECK(box.changes.size() == 1);
        box.wait_change(2);
        CHECK(box.changes[1].health == Health::up);
        CHECK(box.changes[1].at - box.changes[0].at <= Duration::millis(310));
    }
    Box box;
    box.watch->suspect(77, Health::down, "nobody knows that one");
    CHECK(box.changes.empty());
}

TEST_CASE("where checks are switched off nobody is asked, and nothing is said of them") {
    config::HealthSetting off;
    off.probe = Probe::off;
    Box box(Kind::llama_server, off);
    box.stop_serving();
    box.wait(Duration::seconds(60));
    box.watch->suspect(box.endpoint->id, Health::down, "traffic says so");
    box.wait(Duration::seconds(60));
    CHECK(box.asked.empty());
    CHECK(box.changes.empty());
}

TEST_CASE("a server that is served no more is forgotten, and asked anew when it comes back") {
    Box box;
    box.stop_serving();
    box.wait_change(1);
    box.watch->follow(nothing);
    CHECK(box.states() == std::vector{Health::down, Health::up});
    box.serve();
    box.wait(Duration::seconds(30));
    CHECK(box.asked.empty());
    box.watch->suspect(box.endpoint->id, Health::down, "a late request");
    CHECK(box.changes.size() == 2);
    box.watch->follow(box.models.catalog);
    box.watch->follow(box.models.catalog);
    box.wait(Duration::seconds(30));
    CHECK(box.asked.size() >= 12);
    CHECK(box.asked.size() <= 19);
    CHECK(box.changes.size() == 2);
}

TEST_CASE("a server that leaves in the middle of a question and comes back at once is well") {
    Box box;
    bool silent = true;
    box.answer = [&](std::string_view) -> std::optional<std::string> {
        if (silent) return std::nullopt;
        return answer_of("{}");
    };
    for (int i = 0; i < 3; ++i) {
        const std::size_t before = box.asked.size();
        REQUIRE(box.run([&] { return box.asked.size() > before; }));
        box.watch->follow(nothing);
        box.watch->follow(box.models.catalog);
    }
    silent = false;
    box.wait(Duration::seconds(30));
    CHECK(box.changes.empty());
}

TEST_CASE("a watch stops in each of its states") {
    for (int step = 0; step < 12; ++step) {
        CAPTURE(step);
        Box box(Kind::llama_server);
        box.traffic.in_flight = 1;
        box.answer = [](std::string_view path) -> std::optional<std::string> {
            if (path == "/slots") return std::nullopt;
            return answer_of(path == "/props" ? fine_props : "{}");
        };
        box.wait(Duration::millis(400 * step));
        box.watch->stop();
        CHECK(box.run([&] { return box.watch->stopped(); }));
        box.watch->suspect(box.endpoint->id, Health::down, "too late");
        box.wait(Duration::seconds(3));
        CHECK(box.changes.empty());
    }
}

TEST_CASE("a server is asked with its own key") {
    ::setenv("SLUICE_TEST_HEALTH_KEY", "sk-own", 1);
    const auto key = config::Secret::from_reference("env:SLUICE_TEST_HEALTH_KEY");
    REQUIRE(key.ok());
    Box box(Kind::llama_server, {}, key.value());
    box.traffic.in_flight = 1;
    box.wait(Duration::seconds(3));
    REQUIRE(box.asked.size() >= 3);
    for (const Asked& each : box.asked)
        CHECK(each.head.find("\r\nAuthorization: Bearer sk-own\r\n") != std::string::npos);
}
