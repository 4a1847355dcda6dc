#include "sluice/upstream/fetch.h"

#include "loop_rig.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::test;
using sluice::upstream::Fetch;
using sluice::upstream::FetchAnswer;

namespace {

struct Asker final : io::Actor {
    void advance() override { ++told; }
    void bury() override {}
    int told = 0;
};

struct FetchRig : LoopRig {
    explicit FetchRig(std::string path = {})
        : server(*this), endpoint(endpoint_of(server.url() + path)), fetch(loop, asker) {}
    ~FetchRig() {
        fetch.stop();
        loop_until([&] { return fetch.idle(); });
        settle();
        CHECK(ring->in_flight() == 0);
        CHECK(loop.timers().armed() == 0);
    }

    const Result<FetchAnswer>& run(Duration timeout = patience, std::size_t bytes_max = 10'000) {
        fetch.start(*endpoint, "/v1/models", {}, timeout, bytes_max);
        CHECK_FALSE(fetch.idle());
        loop_until([&] { return fetch.idle(); });
        settle();
        REQUIRE(fetch.outcome().has_value());
        return *fetch.outcome();
    }
    const Result<FetchAnswer>& run_with(std::string answer, Duration timeout = patience) {
        server.answer_with([answer = std::move(answer)](const std::string&) { return answer; });
        return run(timeout);
    }
    void expect_body(const Result<FetchAnswer>& outcome, std::string_view body) {
        REQUIRE(outcome.ok());
        CHECK(outcome.value().status == 200);
        CHECK(outcome.value().body == body);
    }

    ScriptedServer server;
    std::shared_ptr<const upstream::Endpoint> endpoint;
    Asker asker;
    Fetch fetch;
};

constexpr Duration soon = Duration::millis(30);

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("a fetch asks for its path, once, and tells its owner the answer") {
        FetchRig rig("/prefix");
        std::string asked;
        rig.server.answer_with([&](const std::string& request) {
            asked = request;
            return http_answer("{}", "Server: llama.cpp\r\n");
        });
        const auto& outcome = rig.run();
        rig.expect_body(outcome, "{}");
        CHECK(outcome.value().server == "llama.cpp");
        CHECK(rig.asker.told > 0);
        CHECK(rig.server.requests == 1);
        CHECK(asked.starts_with("GET /prefix/v1/models HTTP/1.1\r\nHost: 127.0.0.1:"));
        CHECK(asked.find("\r\nConnection: close\r\n") != std::string::npos);
    }

    TEST_CASE("an answer is read in every framing, behind interim answers, and in any pieces") {
        const std::string ok = "HTTP/1.1 200 OK\r\n";
        for (const std::string& answer :
             {http_answer("body"),
              ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
              "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http_answer("body")}) {
            FetchRig rig;
            rig.expect_body(rig.run_with(answer), "body");
            // The same, byte by byte.
            rig.server.answer_with([](const std::string&) { return std::string{}; });
            rig.fetch.start(*rig.endpoint, "/v1/models", {}, patience, 10'000);
            rig.loop_until([&] { return rig.server.requests == 2; });
            for (const char c : answer) {
                write_all(rig.server.connections.back()->fd, {&c, 1});
                rig.settle();
            }
            rig.loop_until([&] { return rig.fetch.idle(); });
            rig.expect_body(*rig.fetch.outcome(), "body");
        }
    }

    TEST_CASE("an answer without a length ends with its connection") {
        FetchRig rig;
        rig.server.answer_with([&](const std::string&) {
            write_all(rig.server.connections.back()->fd, "HTTP/1.1 200 OK\r\n\r\nbody");
            rig.server.connections.back()->fd.close();
            return std::string{};
        });
        rig.expect_body(rig.run(), "body");
    }

    TEST_CASE("a status is an answer, not a failure") {
        FetchRig rig;
        const auto& outcome = rig.run_with(http_answer("no", {}, 404));
        REQUIRE(outcome.ok());
        CHECK(outcome.value().status == 404);
    }

    TEST_CASE("fault 63: a refused connection is the backend's error") {
        FetchRig rig;
        rig.server.stop_listening();
        const auto& outcome = rig.run();
        REQUIRE_FALSE(outcome.ok());
        CHECK(outcome.error().source == Source::backend);
        CHECK(outcome.error().message == "Connection refused");
    }

    TEST_CASE("fault 83: a server that says nothing is given up at the deadline") {
        FetchRig rig;
        const auto& outcome = rig.run(soon);
        REQUIRE_FALSE(outcome.ok());
        CHECK(outcome.error().status == 504);
    }

    TEST_CASE("an answer larger than allowed is refused, in every framing") {
        const std::string big(20'000, 'x');
        for (const std::string& answer : {http_answer(big), "HTTP/1.1 200 OK\r\n\r\n" + big}) {
            FetchRig rig;
            const auto& outcome = rig.run_with(answer);
            REQUIRE_FALSE(outcome.ok());
            CHECK(outcome.error().message == "the answer is too large");
        }
    }

    TEST_CASE("a fetch may be stopped in each of its states, and started again") {
        FetchRig rig;
        rig.fetch.start(*rig.endpoint, "/v1/models", {}, patience, 1000);
        rig.fetch.stop();  // connecting
        rig.loop_until([&] { return rig.fetch.idle(); });
        rig.fetch.start(*rig.endpoint, "/v1/models", {}, patience, 1000);
        rig.loop_until([&] {
            return !rig.server.connections.empty() && !rig.server.connections.back()->got.empty();
        });
        rig.fetch.stop();  // waiting
        CHECK_FALSE(rig.fetch.outcome()->ok());
        rig.loop_until([&] { return rig.fetch.idle(); });
        rig.expect_body(rig.run_with(http_answer("body")), "body");
    }

    TEST_CASE("faults 71, 74, 83: whatever ended a fetch before, the next one starts anew") {
        const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
        for (const std::string& bad :
             {std::string("nonsense\r\n\r\n"), std::string("HTTP/1.1 200 OK\n\n"), head + "part",
              std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npart"),
              std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx"),
              std::string("HTTP/1.1 200 OK\r\nCont"), std::string("HTTP/1.1 200 OK\r\n\r\npart")}) {
            CAPTURE(bad);
            FetchRig rig;
            CHECK_FALSE(rig.run_with(bad, soon).ok());
            rig.expect_body(rig.run_with(http_answer("body")), "body");
            // Cut by the server instead of by the deadline.
            rig.server.answer_with([&](const std::string&) {
                write_all(rig.server.connections.back()->fd, bad);
                rig.server.connections.back()->fd.reset();
                return std::string{};
            });
            CHECK_FALSE(rig.run().ok());
            rig.expect_body(rig.run_with(http_answer("body")), "body");
        }
    }
}
