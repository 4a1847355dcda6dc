// Several shards in one process, as the gateway runs them: a thread and a ring each, one address
// for all, real sockets on loopback. The backend and the clients move on in the test's own thread.
#include "sluice/shard/shards.h"

#include "loop_rig.h"
#include "sluice/admin/metrics.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::test;

namespace {

constexpr std::size_t shard_count = 3;
constexpr std::string_view thread_mark = "# thread ";

// What /metrics says, and which thread says it.
void write_metrics(const shard::Totals& totals, std::string_view consumer, std::string& out) {
    admin::write_metrics(totals, consumer, out);
    out += std::string(thread_mark) + std::to_string(::gettid()) + "\n";
}

std::uint64_t number_in(std::string_view text) {
    std::uint64_t number = 0;
    REQUIRE(std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc{});
    return number;
}

// The sum of all samples whose series begins so.
std::uint64_t sum_of(std::string_view metrics, std::string_view series) {
    std::uint64_t sum = 0;
    for (std::size_t at = 0; at < metrics.size(); at = metrics.find('\n', at) + 1) {
        const auto line = metrics.substr(at, metrics.find('\n', at) - at);
        if (line.starts_with(series)) sum += number_in(line.substr(line.rfind(' ') + 1));
    }
    return sum;
}

std::string request(std::string_view path) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

std::string chat() {
    const std::string_view body = R"({"model":"m"})";
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
           "application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string backend_answer(const std::string& text) {
    if (text.starts_with("GET ")) return http_answer(R"({"data":[{"id":"m"}]})");
    return http_answer(R"({"usage":{"prompt_tokens":5,"completion_tokens":2}})",
                       "Content-Type: application/json\r\n");
}

config::Settings listening_on(std::vector<std::string> addresses) {
    config::Settings settings;
    settings.listen.assign(addresses.begin(), addresses.end());
    settings.shards = shard_count;
    settings.access_log = "off";
    settings.buffer_memory = 8 * limits::MiB;
    return settings;
}

// Threads of this process, those of the kernel's for its rings included.
std::size_t threads() {
    std::FILE* in = std::fopen("/proc/self/status", "r");
    REQUIRE(in != nullptr);
    char line[256];
    std::string_view count;
    while (count.empty() && std::fgets(line, sizeof(line), in) != nullptr)
        if (std::string_view(line).starts_with("Threads:\t")) count = line + 9;
    std::fclose(in);
    return number_in(count);
}

// Before there was any shard.
std::size_t threads_at_first() {
    static const std::size_t count = threads();
    return count;
}

// A blocking client socket, or none when nobody listens there.
std::optional<Fd> try_connect(const net::Address& address) {
    Fd fd(::socket(address.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), address.raw(), address.size()) != 0) return std::nullopt;
    return fd;
}

bool has_ended(const Fd& client) {
    char byte = 0;
    const ssize_t n = ::recv(client.get(), &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

struct Client {
    Fd fd;
    std::size_t thread = 0;  // that serves it
};

struct ShardsRig : LoopRig {
    explicit ShardsRig(config::Settings all = listening_on({"127.0.0.1:0"}))
        : server(*this), settings(std::move(all)) {
        server.answer_with(backend_answer);
        settings.backends.emplace_back().url = server.url();
        auto opened = shard::LogWriter::open(settings.access_log, settings.shards);
        REQUIRE(opened.ok());
        log = std::move(opened).value();
        shards.emplace(settings, *log, write_metrics);
    }
    ~ShardsRig() {
        if (std::exchange(started, false)) shards->drain();
    }

    // The backend is asked meanwhile.
    shard::Findings start() {
        const auto prepared = shards->prepare();
        REQUIRE_MESSAGE(prepared.ok(), (prepared.ok() ? "" : prepared.error().message));
        auto plan = upstream::WatchPlan::create(settings, {});
        REQUIRE(plan.ok());
        shard::Findings findings;
        std::atomic<bool> done{false};
        std::thread control([&] {
            findings = shards->start(std::move(*plan));
            done.store(true);
        });
        loop_until([&] { return done.load(); });
        control.join();
        started = true;
        return findings;
    }

    Fd connect() {
        auto fd = try_connect(shards->addresses().front());
        REQUIRE(fd.has_value());
        ++connections;
        return std::move(*fd);
    }
    // The body of the next answer.
    std::string hear(const Fd& client) {
        std::string text;
        std::size_t body = 0;
        loop_until([&] {
            text += read_now(client);
            const std::size_t end = text.find("\r\n\r\n");
            if (end == text.npos) return false;
            const std::size_t length = text.find("Content-Length: ");
            REQUIRE(length < end);
            body = end + 4;
            return text.size() >= body + number_in(std::string_view(text).substr(length + 16));
        });
        CHECK(text.starts_with("HTTP/1.1 200 "));
        ++answered;
        return text.substr(body);
    }
    std::string ask(const Fd& client, const std::string& text) {
        write_all(client, text);
        return hear(client);
    }
    // Connects until each shard has a client. Which one gets a connection is up to the kernel.
    std::vector<Client> a_client_a_shard() {
        std::vector<Client> clients;
        const Instant limit = monotonic_now() + patience;
        while (clients.size() < shard_count) {
            REQUIRE(monotonic_now() < limit);
            Client client{connect()};
            client.thread = sum_of(ask(client.fd, request("/metrics")), thread_mark);
            if (std::ranges::none_of(clients,
                                     [&](const Client& c) { return c.thread == client.thread; }))
                clients.push_back(std::move(client));
        }
        return clients;
    }

    ScriptedServer server;
    config::Settings settings;
    std::unique_ptr<shard::LogWriter> log;
    const std::size_t threads_before = threads_at_first();
    std::optional<shard::Shards> shards;
    bool started = false;
    std::uint64_t connections = 0;
    std::uint64_t answered = 0;
};

}  // namespace

TEST_SUITE("kernel") {
    TEST_CASE("every shard serves the one address, by what the first one found") {
        ShardsRig rig;
        const auto findings = rig.start();
        REQUIRE(findings.models.size() == 1);
        CHECK(findings.models[0].name == "m");
        CHECK(findings.models[0].urls == std::vector{rig.server.url()});
        CHECK(findings.complaints.empty());
        CHECK(rig.shards->addresses().size() == 1);
        for (const auto& client : rig.a_client_a_shard()) {
            CHECK(rig.ask(client.fd, request("/healthz")) == "ok\n");
            CHECK(rig.ask(client.fd, request("/v1/models")).find(R"("id":"m")") !=
                  std::string::npos);
            CHECK(rig.ask(client.fd, chat()).starts_with(R"({"usage":)"));
        }
    }

    TEST_CASE("counters are exact on every shard once all are idle") {
        ShardsRig rig;
        rig.start();
        const auto clients = rig.a_client_a_shard();
        for (std::size_t i = 0; i < clients.size(); ++i)
            for (std::size_t n = 0; n <= i; ++n)  // not as many on each
                rig.ask(clients[i].fd, chat());
        const std::string row = R"({model="m",backend=")" + rig.server.url() + "\",";
        for (const auto& client : clients) {
            std::string metrics;
            rig.loop_until([&] {
                const std::uint64_t before = rig.answered;
                metrics = rig.ask(client.fd, request("/metrics"));
                const std::uint64_t counted = sum_of(metrics, "sluice_requests_total{");
                REQUIRE(counted <= before);
                return counted == before;
            });
            CHECK(sum_of(metrics, thread_mark) == client.thread);
            CHECK(sum_of(metrics, "sluice_requests_total" + row + "end=\"ok\"") == 6);
            CHECK(sum_of(metrics, "sluice_requests_total" + row) == 6);
            CHECK(sum_of(metrics, "sluice_tokens_total" + row + "type=\"input\"") == 6 * 5);
            CHECK(sum_of(metrics, "sluice_tokens_total" + row + "type=\"output\"") == 6 * 2);
            CHECK(sum_of(metrics, "sluice_connections_total ") == rig.connections);
            CHECK(sum_of(metrics, "sluice_buffers{shard=\"") ==
                  shard_count * rig.settings.buffer_memory / limits::buffer_bytes);
        }
    }

    TEST_CASE("what one shard tells never goes down while others are at work") {
        ShardsRig rig;
        rig.start();
        const auto clients = rig.a_client_a_shard();
        std::uint64_t before = 0;
        for (int round = 0; round < 40; ++round) {
            rig.ask(clients[1].fd, request("/healthz"));
            rig.ask(clients[2].fd, request("/healthz"));
            const std::uint64_t answered = rig.answered;
            const auto now =
                sum_of(rig.ask(clients[0].fd, request("/metrics")), "sluice_requests_total{");
            REQUIRE(now > before);  // its own requests it knows at once
            REQUIRE(now <= answered);
            before = now;
        }
    }

    TEST_CASE("draining ends every thread, after the last answer") {
        ShardsRig rig;
        rig.start();
        CHECK(threads() >= rig.threads_before + shard_count);
        const net::Address address = rig.shards->addresses().front();
        auto idle = rig.a_client_a_shard();
        Fd waiting = rig.connect();
        rig.server.answer_with(nullptr);
        write_all(waiting, chat());
        rig.loop_until([&] {
            return std::ranges::any_of(rig.server.connections,
                                       [](const auto& c) { return c->got.ends_with("}"); });
        });
        rig.started = false;
        rig.shards->drain();
        for (const auto& client : idle)
            rig.loop_until([&] { return has_ended(client.fd); });
        idle.clear();  // nobody lingers for them
        std::atomic<bool> joined{false};
        std::thread control([&] {
            rig.shards->join();
            joined.store(true);
        });
        rig.loop_until([&] { return !try_connect(address).has_value(); });
        // Longer than a tick of the counters: what shards tell those that are done is not lost, as
        // the address sanitizer sees.
        const Instant later = monotonic_now() + Duration::millis(150);
        rig.loop_until([&] { return monotonic_now() > later; });
        CHECK_FALSE(joined.load());
        rig.server.answer_with(backend_answer);
        CHECK(rig.hear(waiting).starts_with(R"({"usage":)"));
        waiting.close();
        rig.loop_until([&] { return joined.load(); });
        control.join();
        rig.loop_until([&] { return threads() == rig.threads_before; });
    }

    TEST_CASE("a Unix socket is served by one shard, and its file goes with it") {
        std::string folder = "/tmp/sluice-shards-XXXXXX";
        REQUIRE(::mkdtemp(folder.data()) != nullptr);
        const std::string path = folder + "/socket";
        {
            ShardsRig rig(listening_on({"unix:" + path}));
            rig.start();
            CHECK(rig.ask(rig.connect(), request("/healthz")) == "ok\n");
        }
        CHECK(::access(path.c_str(), F_OK) != 0);
        CHECK(::rmdir(folder.c_str()) == 0);
    }

    TEST_CASE("an address in use is an error that names it, whoever has it") {
        const PlainListener other;
        const std::string taken = "127.0.0.1:" + std::to_string(ntohs(other.address.sin_port));
        ShardsRig first;
        REQUIRE(first.shards->prepare().ok());
        for (const std::string& text : {taken, first.shards->addresses().front().to_string()}) {
            ShardsRig rig(listening_on({text}));
            const auto prepared = rig.shards->prepare();
            REQUIRE_FALSE(prepared.ok());
            CHECK(prepared.error().message.starts_with("--listen " + text +
                                                       ": Address already in use: process " +
                                                       std::to_string(::getpid()) + " ("));
        }
    }

    TEST_CASE("addresses that were bound before the one in use are given up again") {
        const PlainListener other;
        const std::string taken = "127.0.0.1:" + std::to_string(ntohs(other.address.sin_port));
        ShardsRig rig(listening_on({"127.0.0.1:0", taken}));
        REQUIRE_FALSE(rig.shards->prepare().ok());
        REQUIRE(rig.shards->addresses().size() == 1);
        const net::Address first = rig.shards->addresses().front();
        CHECK(try_connect(first).has_value());
        rig.shards.reset();
        CHECK_FALSE(try_connect(first).has_value());
    }

    TEST_CASE("shards that were prepared and never started end at once") {
        ShardsRig rig;
        REQUIRE(rig.shards->prepare().ok());
        CHECK(threads() >= rig.threads_before + shard_count);
        const net::Address address = rig.shards->addresses().front();
        const Fd client = rig.connect();
        rig.shards.reset();
        CHECK(has_ended(client));
        CHECK_FALSE(try_connect(address).has_value());
        rig.loop_until([&] { return threads() == rig.threads_before; });
    }

    TEST_CASE("shards that were not even prepared leave nothing") {
        ShardsRig rig;
        rig.shards.reset();
        rig.loop_until([&] { return threads() == rig.threads_before; });
    }
}
