// Silence on virtual time: a whole shard between one client and one server that says nothing for
// minutes, with or without signs of life.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "network.h"
#include "peer.h"
#include "shard_box.h"

#include <doctest/doctest.h>

#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sluice;
using Probe = config::HealthSetting::Probe;

namespace {

constexpr Duration second = Duration::seconds(1);
constexpr Duration minute = Duration::seconds(60);
constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view beat = ": still there\n\n";

const net::Address server_address = net::Address::parse("127.0.0.1:9001").value();

std::string chunk(std::string_view data) {
    char size[16];
    const auto end = std::to_chars(std::begin(size), std::end(size), data.size(), 16).ptr;
    return std::string(size, end) + "\r\n" + std::string(data) + "\r\n";
}

std::string event(std::string_view text, std::string_view finish = "null") {
    return "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + std::string(text) +
           "\"},\"finish_reason\":" + std::string(finish) + "}]}\n\n";
}

std::string document(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t times = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
        ++times;
    return times;
}

const std::string rest =
    chunk(event("two")) + chunk(event("", R"("stop")")) + chunk("data: [DONE]\n\n") + "0\r\n\r\n";
const std::string whole_document =
    document(R"({"choices":[{"index":0,"message":{"content":"one"},"finish_reason":"stop"}]})");

// What the server does with a request: what it says, each after a pause.
struct Saying {
    Duration pause;
    std::string text;
};

struct Script {
    std::vector<Saying> says;
    bool hangs = false;  // from the request on no health check is answered
    bool hung = false;
};

struct Server final : sim::Peer {
    explicit Server(Script& s) : script(s) {}
    void on_data(std::string_view bytes) override {
        head += bytes;
        if (head.find("\r\n\r\n") == head.npos) return;
        if (head.starts_with("POST ")) {
            script.hung = script.hangs;
            head.clear();
            return say(0);
        }
        if (script.hung) return;
        send(
            document(R"({"object":"list","data":[{"id":"m","object":"model","owned_by":"sim"}]})"));
        head.clear();
    }
    void on_end() override { close(); }
    void say(std::size_t index) {
        if (index == script.says.size()) return;
        after(script.says[index].pause, [this, index] {
            send(script.says[index].text);
            say(index + 1);
        });
    }
    Script& script;
    std::string head;
};

struct Heard {
    std::string text;
    Instant ended;
    Duration longest_silence;
    bool over = false;
};

struct Client final : sim::Peer {
    Client(std::string r, Heard& h) : request(std::move(r)), heard(h) {}
    void on_connected() override {
        last = simulation().now();
        send(request);
    }
    void on_data(std::string_view bytes) override {
        note();
        heard.text += bytes;
        if (heard.text.ends_with("0\r\n\r\n") || heard.text.ends_with("}")) over_now();
    }
    void on_end() override { over_now(); }
    void on_reset() override { over_now(); }
    void note() {
        heard.longest_silence = std::max(heard.longest_silence, simulation().now() - last);
        last = simulation().now();
    }
    void over_now() {
        if (std::exchange(heard.over, true)) return;
        note();
        heard.ended = simulation().now();
        if (!over()) close();
    }
    std::string request;
    Heard& heard;
    Instant last;
};

struct Log final : LineSink {
    void write(std::string_view line) override { text += line; }
    std::string text;
};

struct Told {
    Heard heard;
    Duration took;
    std::string log;

    bool whole() const {
        return heard.text.find("[DONE]") != heard.text.npos && heard.text.ends_with("0\r\n\r\n");
    }
    bool says(std::string_view part) const { return heard.text.find(part) != heard.text.npos; }
};

struct Asked {
    bool stream = true;
    std::string path = "/v1/chat/completions";
    std::string fields;
    int times = 1;
};

// Asks one server that does as the script says; the last answer.
Told ask(Script script, const config::ModelSetting& model, const Asked& asked = {}) {
    sim::Simulation simulation(1, sim::Faults::none());
    simulation.network().serve(server_address, [&] { return std::make_unique<Server>(script); });
    config::Settings settings;
    settings.models.push_back(model);
    auto& backend = settings.models.back().backends.emplace_back();
    settings.models.back().name = "m";
    backend.url = "http://127.0.0.1:9001";
    backend.timeouts = model.timeouts;
    Log log;
    sim::ShardBoxes boxes;
    boxes.push_back(std::make_unique<sim::ShardBox>(settings, log, 1024, 7));
    const auto loops = sim::join(boxes, settings);
    REQUIRE(simulation.run(loops, [&] { return sim::have_catalogs(boxes); }));
    const std::string body = std::string(R"({"model":"m","messages":[],"input":"x","stream":)") +
                             (asked.stream ? "true}" : "false}");
    const std::string request =
        "POST " + asked.path +
        " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + asked.fields +
        "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    Told told;
    for (int i = 0; i < asked.times; ++i) {
        script.hung = false;
        told.heard = {};
        const Instant began = simulation.now();
        simulation.network().dial(sim::front, std::make_unique<Client>(request, told.heard));
        REQUIRE(simulation.run(loops, [&] { return told.heard.over; }));
        told.took = told.heard.ended - began;
    }
    boxes.front()->shard().drain();
    REQUIRE(simulation.run(loops, [&] { return boxes.front()->shard().done(); }));
    told.log = log.text;
    boxes.front()->check_empty();
    return told;
}

Script stream_that_is_silent(Duration silence, bool hangs = false) {
    return {.says = {{{}, std::string(stream_head) + chunk(event("one"))}, {silence, rest}},
            .hangs = hangs};
}

// The same words many times, each after that pause.
std::vector<Saying> repeated(std::vector<Saying> says, int times, Duration pause,
                             const std::string& text) {
    for (int i = 0; i < times; ++i)
        says.push_back({pause, text});
    return says;
}

}  // namespace

TEST_CASE("R5: a stream that is silent for 14 minutes ends well while its server lives") {
    const auto told = ask(stream_that_is_silent(minute * 14), {});
    CHECK(told.whole());
    CHECK(told.took >= minute * 14);
    CHECK(told.says("one"));
    CHECK(told.says("two"));
    // And its client heard something all the while.
    CHECK(told.heard.longest_silence <= second * 15 + Duration::millis(5));
    CHECK(count(told.heard.text, beat) >= 54);
    CHECK(count(told.heard.text, beat) <= 57);
    CHECK(told.log.find("\"event\":\"breaker\"") == told.log.npos);
}

TEST_CASE("R5: without signs of life it ends after a minute") {
    const auto told = ask(stream_that_is_silent(minute * 14, true), {});
    CHECK_FALSE(told.whole());
    CHECK(told.says("(silence)"));
    CHECK(told.took >= second * 55);
    CHECK(told.took <= second * 61);
}

TEST_CASE("R5: an answer in one piece may take 14 minutes as well, or is given up after one") {
    const auto patient = ask({.says = {{minute * 14, whole_document}}}, {}, {.stream = false});
    CHECK(patient.heard.text.starts_with("HTTP/1.1 200 "));
    CHECK(patient.took >= minute * 14);
    const auto dead =
        ask({.says = {{minute * 14, whole_document}}, .hangs = true}, {}, {.stream = false});
    CHECK(dead.heard.text.starts_with("HTTP/1.1 504 "));
    CHECK(dead.says("(silence)"));
    CHECK(dead.took >= second * 55);
    CHECK(dead.took <= second * 61);
}

TEST_CASE("R5: a long prefill is waited for, and its client is told") {
    const auto told = ask(
        {.says = {{minute * 10, std::string(stream_head) + chunk(event("one"))}, {second, rest}}},
        {});
    CHECK(told.whole());
    CHECK(told.heard.longest_silence <= second * 10 + Duration::millis(5));
    CHECK(count(told.heard.text, ": waiting\n\n") >= 58);
}

TEST_CASE("R8: what begins a stream is held back no longer than until something is due") {
    const std::string role =
        chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n");
    const std::string line =
        R"({"model":"m","message":{"content":"one"},"done":true,"done_reason":"stop"})"
        "\n";
    constexpr std::string_view lines_head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    const Script stream{.says = {{{}, std::string(stream_head) + role}, {minute * 10, rest}}};
    // With the first heartbeat.
    auto told = ask(stream, {});
    CHECK(told.whole());
    CHECK(told.heard.longest_silence <= second * 15 + Duration::millis(5));
    CHECK(told.heard.text.starts_with("HTTP/1.1 200 "));
    CHECK(count(told.heard.text, "assistant") == 1);
    // After as long where there is none: what was held back, and the head alone of lines of JSON.
    config::ModelSetting quiet;
    quiet.queue.notice_first = {};
    told = ask(stream, quiet);
    CHECK(told.whole());
    CHECK(count(told.heard.text, beat) >= 35);
    CHECK(told.heard.longest_silence <= second * 15 + Duration::millis(5));
    quiet.heartbeat = {};
    quiet.queue.notice_every = {};
    told = ask(stream, quiet);
    CHECK(told.whole());
    CHECK(told.heard.longest_silence <= minute * 10 - second * 14);
    CHECK(told.heard.longest_silence >= minute * 10 - second * 16);
    told = ask({.says = {{{}, std::string(lines_head)}, {minute * 10, chunk(line) + "0\r\n\r\n"}}},
               {}, {.path = "/api/chat"});
    CHECK(told.says("one"));
    CHECK(told.heard.longest_silence <= minute * 10 - second * 14);
    CHECK(told.heard.longest_silence >= minute * 10 - second * 16);
}

TEST_CASE("R5: bytes of the answer are signs of life where health checks are not answered") {
    const std::vector<Saying> begin = {{{}, std::string(stream_head) + chunk(event("one"))}};
    // Comments; and an event that comes letter by letter.
    for (const std::string& text : {chunk(":\n\n"), chunk("x")}) {
        Script script{.says = begin, .hangs = true};
        if (text == chunk("x"))
            script.says.push_back({second, chunk("data: {\"choices\":[],\"x\":\"")});
        script.says = repeated(script.says, 20, second * 30, text);
        if (text == chunk("x")) script.says.push_back({second, chunk("\"}\n\n")});
        script.says.push_back({second, rest});
        const auto told = ask(script, {});
        CHECK(told.whole());
        CHECK(told.took >= minute * 10);
        CHECK(told.heard.longest_silence <= second * 30);
    }
}

TEST_CASE("R5: comments alone keep nothing going for ever") {
    const auto told = ask({.says = repeated({{{}, std::string(stream_head) + chunk(event("one"))}},
                                            60, second * 30, chunk(":\n\n"))},
                          {});
    CHECK_FALSE(told.whole());
    CHECK(told.says("(gap)"));
    CHECK(told.took >= minute * 15);
    CHECK(told.took <= minute * 15 + second * 2);
}

TEST_CASE("R5, R5a: a limit that is set means what it says, and blames no server that lives") {
    config::ModelSetting model;
    model.timeouts.gap = second * 5;
    model.timeouts.first_byte = second * 5;
    for (const bool stream : {true, false}) {
        const Script script = stream ? stream_that_is_silent(minute * 14)
                                     : Script{.says = {{minute * 14, whole_document}}};
        const auto told = ask(script, model, {.stream = stream, .times = 6});
        CHECK(told.says(stream ? "(gap)" : "(first_byte)"));
        CHECK(told.took >= second * 5);
        CHECK(told.took <= second * 6);
        CHECK(told.log.find("\"event\":\"breaker\"") == told.log.npos);
    }
    // Where nobody asks how it is, silence is all that is known.
    model.health.probe = Probe::off;
    const auto told = ask(stream_that_is_silent(minute * 14), model, {.times = 3});
    CHECK(told.log.find("\"event\":\"breaker\"") != told.log.npos);
}

TEST_CASE("R5: who is not asked for its health is not given up for not answering") {
    config::ModelSetting model;
    model.health.probe = Probe::off;
    CHECK(ask(stream_that_is_silent(minute * 14, true), model).whole());
    config::ModelSetting patient;
    patient.timeouts.silence = {};
    CHECK(ask(stream_that_is_silent(minute * 14, true), patient).whole());
}

TEST_CASE("R5c: heartbeats come as often as is said, or never") {
    config::ModelSetting model;
    model.heartbeat = second * 2;
    const auto often = ask(stream_that_is_silent(minute), model);
    CHECK(often.whole());
    CHECK(count(often.heard.text, beat) >= 28);
    CHECK(count(often.heard.text, beat) <= 30);
    model.heartbeat = {};
    const auto never = ask(stream_that_is_silent(minute * 10), model);
    CHECK(never.whole());
    CHECK(never.heard.text.find("\n:") == never.heard.text.npos);
}

TEST_CASE("R5c: who counts events only gets some, before the first word and behind it") {
    const std::string created =
        chunk("event: response.created\ndata: {\"type\":\"response.created\"}\n\n");
    const std::string completed =
        chunk("event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n") +
        "0\r\n\r\n";
    const Script script{
        .says = {{minute * 6, std::string(stream_head) + created}, {minute * 6, completed}}};
    constexpr std::string_view alive = "event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n";
    const auto codex =
        ask(script, {}, {.path = "/v1/responses", .fields = "session-id: s\r\nthread-id: t\r\n"});
    CHECK(codex.says("response.completed"));
    CHECK(codex.heard.text.ends_with("0\r\n\r\n"));
    CHECK(count(codex.heard.text, alive) >= 36 + 23);
    CHECK(codex.heard.text.find("\n: ") == codex.heard.text.npos);
    const auto sdk = ask(script, {}, {.path = "/v1/responses", .fields = "session-id: s\r\n"});
    CHECK(sdk.says("response.completed"));
    CHECK_FALSE(sdk.says("keepalive"));
    CHECK(count(sdk.heard.text, beat) >= 23);
    CHECK(count(sdk.heard.text, ": waiting\n\n") >= 36);
}
