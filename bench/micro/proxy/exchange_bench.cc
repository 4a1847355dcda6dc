// What a whole request costs the gateway, from its first byte to its line in the access log: head,
// stages, body, forwarding, answer, usage, statistics. The argument is the prompt's size.
//
// Both peers are plain sockets of the same thread. Of their system calls callgrind sees next to
// nothing, so what is counted is the gateway's own; time measured here is mostly the kernel's.
#include "sluice/proxy/exchange.h"

#include "sluice/llm/model_list.h"

#include <benchmark/benchmark.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::proxy {

namespace {

struct Listener {
    Listener() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        auto* raw = reinterpret_cast<sockaddr*>(&address);
        SLUICE_ASSERT(::bind(fd, raw, size) == 0 && ::listen(fd, 1) == 0);
        SLUICE_ASSERT(::getsockname(fd, raw, &size) == 0);
        at = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        where = address;
    }
    int connect() const {
        const int near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const auto* raw = reinterpret_cast<const sockaddr*>(&where);
        SLUICE_ASSERT(::connect(near, raw, sizeof(where)) == 0);
        return near;
    }
    // -1: nobody is there yet.
    int accept() const { return ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }

    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    std::string at;  // host:port
    sockaddr_in where{};
};

// One end of a connection that waits for a text with a certain end.
class Peer {
public:
    explicit Peer(int fd) : fd_(fd) {}

    void send(std::string_view text) const {
        SLUICE_ASSERT(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) ==
                      static_cast<ssize_t>(text.size()));
    }
    bool received(std::string_view end) {
        const ssize_t n = ::recv(fd_, room_.data() + size_, room_.size() - size_, MSG_DONTWAIT);
        SLUICE_ASSERT(n != 0);
        if (n < 0) return false;
        size_ += static_cast<std::size_t>(n);
        if (!std::string_view(room_.data(), size_).ends_with(end)) return false;
        size_ = 0;
        return true;
    }

private:
    int fd_;
    std::size_t size_ = 0;
    std::array<char, 128 * limits::KiB> room_;
};

struct NoLog final : LineSink {
    void write(std::string_view line) override { benchmark::DoNotOptimize(line.size()); }
};

constexpr std::string_view body_end = "\"}]}";
constexpr std::string_view answer_end = "\"predicted_n\":64}}";

std::string request_of(std::size_t prompt_bytes) {
    std::string body = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"";
    while (body.size() < prompt_bytes)
        body += "The quick brown fox jumps over the lazy dog, and so on it goes. ";
    body += body_end;
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8642\r\n"
           "Accept: application/json\r\nContent-Type: application/json\r\n"
           "User-Agent: OpenAI/JS 4.71.1\r\nX-Stainless-Lang: js\r\n"
           "X-Stainless-Package-Version: 4.71.1\r\nX-Stainless-Retry-Count: 0\r\n"
           "Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n"
           "Connection: keep-alive\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string an_answer() {
    std::string body =
        "{\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"message\":{\"role\":"
        "\"assistant\",\"content\":\"" +
        std::string(280, 'a') +
        "\"}}],\"created\":1795227825,\"model\":\"m\",\"object\":\"chat.completion\",\"usage\":"
        "{\"completion_tokens\":64,\"prompt_tokens\":300,\"total_tokens\":364},\"id\":"
        "\"chatcmpl-mmMiWSPviQDG4en5YVFg7eEZVN9dT76J\",\"timings\":{\"prompt_n\":300,";
    body += answer_end;
    return "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nAccess-Control-Allow-Origin: \r\n"
           "Content-Type: application/json; charset=utf-8\r\nKeep-Alive: timeout=5, max=100\r\n"
           "Content-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}

// One connection on either side. Never destroyed: the process ends with it.
struct Rig {
    Rig() {
        auto endpoint = std::make_shared<upstream::Endpoint>();
        endpoint->url = "http://" + backends.at;
        endpoint->target = net::parse_url(endpoint->url).value();
        auto catalog = std::make_shared<upstream::Catalog>();
        const auto listed = llm::parse_model_list(R"({"data":[{"id":"m"}]})");
        catalog->add("m", listed.value().front(),
                     {.endpoint = std::move(endpoint),
                      .upstream_name = "m",
                      .kind = upstream::Kind::llama_server});
        catalog->seal();
        service.catalog.replace(std::move(catalog));
        client = std::make_unique<Peer>(clients.connect());
        service.accept(clients.accept());
    }

    template <class Condition>
    void turn_until(Condition&& holds) {
        while (!holds())
            loop.turn();
    }

    void exchange(std::string_view request, std::string_view answer) {
        client->send(request);
        if (backend == nullptr) {
            int fd = -1;
            turn_until([&] { return (fd = backends.accept()) >= 0; });
            backend = std::make_unique<Peer>(fd);
        }
        turn_until([this] { return backend->received(body_end); });
        backend->send(answer);
        turn_until([this] { return client->received(answer_end); });
    }

    mem::BufferPool buffers{limits::buffer_bytes, 1024};
    mem::NodePool nodes;
    std::unique_ptr<io::Ring> ring = io::Ring::create(buffers).value();
    io::Loop loop{*ring, buffers, nodes};
    config::Settings settings;
    NoLog log;
    Service service{loop, settings, log, 1};
    Listener clients;
    Listener backends;
    std::unique_ptr<Peer> client;
    std::unique_ptr<Peer> backend;
};

void exchange(benchmark::State& state) {
    auto* const rig = new Rig;
    const std::string request = request_of(static_cast<std::size_t>(state.range(0)));
    const std::string answer = an_answer();
    for (auto _ : state)
        rig->exchange(request, answer);
    if (rig->service.statistics.served.begin()->second.prompt_tokens == 0) std::abort();
}
BENCHMARK(exchange)->Arg(1024)->Arg(16 * 1024);

}  // namespace

}  // namespace sluice::proxy

BENCHMARK_MAIN();
