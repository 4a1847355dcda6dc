// A whole shard against a scripted backend in one thread: what it does when it drains, when its
// time is over, when a client leaves and when a deadline passes, in each state of a request.
#include "sluice/shard/shard.h"

#include "loop_rig.h"
#include "sluice/io/socket.h"
#include "sluice/llm/model_list.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::test;
using proxy::End;

namespace {

struct Lines final : LineSink {
    void write(std::string_view line) override { text += line; }
    std::string text;
};

constexpr Duration soon = Duration::millis(40);
constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
// The event of a word: what comes before the first one may still be anything.
constexpr std::string_view event_chunk =
    "2f\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"1\"}}]}\n\n\r\n";
constexpr std::string_view done_chunk = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

std::string post(std::string_view body = R"({"model":"m","stream":true})") {
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
           "Content-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// All of a request but its end.
std::string most_of_post() {
    const std::string text = post();
    return text.substr(0, text.size() - 3);
}

config::Settings with_timeouts(config::Timeouts timeouts) {
    config::Settings settings;
    settings.timeouts = timeouts;
    return settings;
}

config::Settings with_model_timeouts(config::ModelTimeouts timeouts) {
    config::Settings settings;
    settings.timeouts.linger = soon;
    settings.model_timeouts = timeouts;
    return settings;
}

struct ShardRig : LoopRig {
    explicit ShardRig(config::Settings all = {}) : settings(std::move(all)), server(*this) {
        shard.emplace(*ring, pool, nodes, settings, log, 1);
        address = loopback(0);
        auto fd =
            io::open_listener(reinterpret_cast<const sockaddr*>(&address), sizeof(address), {});
        REQUIRE(fd.ok());
        socklen_t size = sizeof(address);
        REQUIRE(::getsockname(*fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        shard->listen(*fd);
        auto catalog = std::make_shared<upstream::Catalog>();
        const auto entries = llm::parse_model_list(R"({"data":[{"id":"m"}]})");
        REQUIRE(entries.ok());
        upstream::Target target;
        target.endpoint = endpoint_of(server.url());
        target.upstream_name = "m";
        target.setting.timeouts = settings.model_timeouts;
        catalog->add("m", entries.value().front(), std::move(target)).setting.timeouts =
            settings.model_timeouts;
        catalog->seal();
        shard->use(std::move(catalog));
    }
    ~ShardRig() {
        shard->drain();
        clients.clear();
        for (auto& connection : server.connections)
            connection->fd.close();
        until([&] { return shard->done(); });
        // Each request was settled once.
        const auto& statistics = shard->service().statistics;
        CHECK(statistics.exchanges_begun == statistics.settled());
        shard.reset();
        CHECK(nodes.in_use() == 0);
    }

    template <class Condition>
    void until(Condition&& holds) {
        const Instant limit = monotonic_now() + patience;
        while (!holds()) {
            REQUIRE(monotonic_now() < limit);
            for (const auto& step : steps)
                step();
            shard->turn(monotonic_now() + Duration::millis(2));
        }
    }
    const Fd& connect() {
        clients.push_back(plain_client(address));
        return clients.back();
    }
    // A client that has sent this, and a backend that has got a request of it.
    const Fd& ask(std::string_view text = post()) {
        const Fd& client = connect();
        write_all(client, text);
        until([&] {
            return !server.connections.empty() && server.connections.back()->got.ends_with("}");
        });
        return client;
    }
    void backend_says(std::string_view text) { write_all(server.connections.back()->fd, text); }
    // All until the gateway ends the connection.
    std::string hear_all(const Fd& client) {
        std::string text;
        bool ended = false;
        until([&] {
            char part[4096];
            ssize_t n = 0;
            while ((n = ::recv(client.get(), part, sizeof(part), MSG_DONTWAIT)) > 0)
                text.append(part, static_cast<std::size_t>(n));
            ended = n == 0 || (n < 0 && errno == ECONNRESET);
            return ended;
        });
        return text;
    }
    std::string hear(const Fd& client, std::string_view last) {
        std::string text;
        until([&] {
            text += read_now(client);
            return text.ends_with(last);
        });
        return text;
    }
    void backend_is_left() {
        until([&] { return server.connections.back()->ended; });
    }
    void ended_as(End end) {
        const auto& ended = shard->service().statistics.exchanges_ended;
        until([&] { return ended[static_cast<std::size_t>(end)] == 1; });
    }

    config::Settings settings;
    Lines log;
    ScriptedServer server;
    std::optional<shard::Shard> shard;
    sockaddr_in address{};
    std::vector<Fd> clients;
};

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("fault 120: draining lets a request in each state have its answer") {
        ShardRig rig;
        rig.clients.reserve(4);
        const Fd& idle = rig.connect();
        const Fd& streaming = rig.ask();
        rig.backend_says(std::string(stream_head) + std::string(event_chunk));
        rig.hear(streaming, event_chunk);
        const Fd& waiting = rig.ask();
        const Fd& sending = rig.connect();
        write_all(sending, most_of_post());
        rig.until([&] { return rig.shard->service().statistics.exchanges_begun == 3; });
        rig.shard->drain();
        CHECK(rig.hear_all(idle).empty());
        CHECK_FALSE(rig.shard->done());
        write_all(rig.server.connections[0]->fd, done_chunk);
        CHECK(rig.hear_all(streaming).ends_with(done_chunk));
        rig.backend_says(http_answer("{}"));
        const std::string answer = rig.hear_all(waiting);
        CHECK(has(answer, "200 X"));
        CHECK(has(answer, "Connection: close\r\n"));
        rig.server.answer_with([](const std::string&) { return http_answer("{}"); });
        write_all(sending, post().substr(most_of_post().size()));
        CHECK(has(rig.hear_all(sending), "200 X"));
        rig.until([&] { return rig.shard->done(); });
        CHECK(rig.shard->service().statistics.exchanges_ended[0] == 3);
    }

    TEST_CASE("fault 120: past the drain deadline each state ends honestly") {
        ShardRig rig(with_timeouts({.linger = soon, .drain = soon}));
        rig.clients.reserve(4);
        const Fd& streaming = rig.ask();
        rig.backend_says(std::string(stream_head) + std::string(event_chunk));
        rig.hear(streaming, event_chunk);
        const Fd& waiting = rig.ask();
        const Fd& body = rig.connect();
        write_all(body, most_of_post());
        const Fd& head = rig.connect();
        write_all(head, "POST /v1/ch");
        rig.until([&] { return rig.shard->service().statistics.exchanges_begun == 3; });
        rig.shard->drain();
        const std::string stream = rig.hear_all(streaming);
        CHECK(has(stream, "data: {\"error\":{"));
        CHECK(stream.ends_with("0\r\n\r\n"));  // it was told why
        CHECK_FALSE(has(stream, "[DONE]"));
        const std::string refused = rig.hear_all(waiting);
        CHECK(refused.starts_with("HTTP/1.1 503 "));
        CHECK(has(refused, "x-should-retry: true\r\n"));
        rig.hear_all(body);
        rig.hear_all(head);
        rig.until([&] { return rig.shard->done(); });
        CHECK(rig.shard->service()
                  .statistics.exchanges_ended[static_cast<std::size_t>(End::drained)] == 3);
    }

    TEST_CASE("fault 124: a connection that comes while the gateway drains does not keep it") {
        ShardRig rig(with_timeouts({.linger = soon, .drain = Duration::seconds(300)}));
        rig.connect();
        rig.shard->drain();
        rig.until([&] { return rig.shard->done(); });
        CHECK(rig.shard->service().statistics.connections == 1);
    }

    TEST_CASE("fault 124: a request that came just before the gateway drains has its answer") {
        ShardRig rig;
        const Fd& client = rig.connect();
        write_all(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        rig.shard->drain();
        CHECK(has(rig.hear_all(client), "\r\n\r\nok\n"));
    }

    TEST_CASE("faults 52, 53, 58: a client that leaves takes its backend's work with it") {
        for (const bool streaming : {false, true}) {
            for (const bool by_reset : {false, true}) {
                CAPTURE(streaming);
                CAPTURE(by_reset);
                ShardRig rig;
                rig.ask();
                if (streaming) {
                    rig.backend_says(std::string(stream_head) + std::string(event_chunk));
                    rig.hear(rig.clients[0], event_chunk);
                }
                by_reset ? rig.clients[0].reset() : rig.clients[0].close();
                rig.backend_is_left();
                rig.ended_as(End::client_gone);
                CHECK(has(rig.log.text, "\"end\":\"client_gone\""));
            }
        }
    }

    TEST_CASE("fault 52: a client that leaves within its request is counted once") {
        for (const std::string& part : {most_of_post(), post().substr(0, 20)}) {
            ShardRig rig;
            write_all(rig.connect(), part);
            rig.until([&] { return rig.shard->service().statistics.connections == 1; });
            rig.clients[0].close();
            rig.until([&] { return rig.shard->service().empty(); });
            CHECK(rig.shard->service().statistics.settled() == (part.size() > 100 ? 1 : 0));
        }
    }

    TEST_CASE("faults 49, 50: a head or a body that is too slow is told so") {
        ShardRig rig(with_timeouts({.head = soon, .body_gap = soon, .linger = soon}));
        rig.clients.reserve(2);
        const Fd& head = rig.connect();
        write_all(head, post().substr(0, 20));
        CHECK(rig.hear_all(head).starts_with("HTTP/1.1 408 "));
        const Fd& body = rig.connect();
        write_all(body, most_of_post());
        CHECK(rig.hear_all(body).starts_with("HTTP/1.1 408 "));
        CHECK(rig.shard->service()
                  .statistics.exchanges_ended[static_cast<std::size_t>(End::timeout)] == 2);
    }

    TEST_CASE("a kept-alive connection without a request is closed in time") {
        ShardRig rig(with_timeouts({.idle = soon, .linger = soon}));
        CHECK(rig.hear_all(rig.connect()).empty());
    }

    TEST_CASE("fault 83: a backend that says nothing is given up, and left") {
        ShardRig rig(with_model_timeouts({.first_byte = soon}));
        const Fd& client = rig.ask();
        rig.backend_is_left();
        rig.hear(client, "}");
        rig.ended_as(End::timeout);
        CHECK(has(rig.log.text, "\"status\":504"));
    }

    TEST_CASE("fault 84: a stream that stalls ends with an error event, and properly") {
        ShardRig rig(with_model_timeouts({.gap = soon}));
        const Fd& client = rig.ask();
        rig.backend_says(std::string(stream_head) + std::string(event_chunk));
        // It is told why, and its connection goes on.
        const std::string text = rig.hear(client, "0\r\n\r\n");
        CHECK(has(text, "data: {\"error\":{"));
        CHECK_FALSE(has(text, "[DONE]"));
        CHECK(text.ends_with("0\r\n\r\n"));
        rig.backend_is_left();
        rig.ended_as(End::timeout);
    }

    TEST_CASE("fault 51: a client that takes nothing holds little, and is given up") {
        ShardRig rig(with_timeouts({.write_stall = Duration::millis(150)}));
        rig.ask();
        rig.backend_says(stream_head);
        std::string many;
        for (int i = 0; i < 2000; ++i)
            many += event_chunk;
        std::size_t most = 0;
        rig.until([&] {
            const auto& peer = rig.server.connections.back();
            if (peer->fd.get() >= 0)
                ::send(peer->fd.get(), many.data(), many.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            most = std::max(most, rig.pool.in_use());
            return peer->ended;
        });
        rig.ended_as(End::client_gone);
        CHECK(has(rig.log.text, "--timeout-write"));
        // What the ring is lent, and what one stream may hold.
        CHECK(most <= limits::buffers_provided + 64);
    }
}
