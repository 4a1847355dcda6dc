// A loop on the kernel's ring, and a scripted model server of plain sockets that moves on whenever
// the test looks: one thread, so nothing depends on who is faster.
#pragma once

#include "loopback.h"
#include "sluice/io/loop.h"
#include "sluice/mem/chain.h"
#include "sluice/upstream/endpoint.h"

#include <fcntl.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

struct LoopRig : Rig {
    LoopRig() : loop(*ring, pool, nodes) {}

    // Turns until it holds, letting the servers move on in between.
    template <class Condition>
    void loop_until(Condition&& holds) {
        const Instant limit = monotonic_now() + patience;
        while (!holds()) {
            REQUIRE(monotonic_now() < limit);
            for (const auto& step : steps)
                step();
            loop.turn(loop.now() + Duration::millis(2));
        }
    }
    // Some turns in which nothing is expected to happen.
    void settle() {
        for (int i = 0; i < 5; ++i)
            loop.turn(loop.now());
    }

    mem::NodePool nodes;
    io::Loop loop;
    std::vector<std::function<void()>> steps;
};

// What its answers say is up to the test.
class ScriptedServer {
public:
    struct Connection {
        Fd fd;
        std::string got;
        bool ended = false;  // by the gateway
    };
    // Called with a whole request, which ends with its head or with JSON: what to send back.
    using Answer = std::function<std::string(const std::string& request)>;

    explicit ScriptedServer(LoopRig& rig) {
        ::fcntl(listener_.fd.get(), F_SETFL, O_NONBLOCK);
        rig.steps.push_back([this] { step(); });
    }

    std::uint16_t port() const { return ntohs(listener_.address.sin_port); }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }
    void answer_with(Answer answer) { answer_ = std::move(answer); }
    // Refuses from now on; connections that are open stay.
    void stop_listening() { listener_.fd.close(); }

    void step() {
        for (;;) {
            const int fd = listener_.fd.get() < 0
                               ? -1
                               : ::accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) break;
            connections.push_back(std::make_unique<Connection>(Connection{Fd(fd), {}, false}));
        }
        for (const auto& connection : connections)
            read(*connection);
    }

    std::vector<std::unique_ptr<Connection>> connections;
    std::size_t requests = 0;

private:
    void read(Connection& connection) {
        char part[4096];
        ssize_t n = 0;
        while (connection.fd.get() >= 0 &&
               (n = ::recv(connection.fd.get(), part, sizeof(part), MSG_DONTWAIT)) > 0)
            connection.got.append(part, static_cast<std::size_t>(n));
        if (n == 0) connection.ended = true;
        const bool whole = connection.got.ends_with("\r\n\r\n") || connection.got.ends_with("}");
        if (!answer_ || !whole) return;
        ++requests;
        const std::string text = answer_(std::exchange(connection.got, {}));
        ::send(connection.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }

    PlainListener listener_;
    Answer answer_;
};

// Shared: catalogs and pools keep it.
inline std::shared_ptr<const upstream::Endpoint> endpoint_of(const std::string& url,
                                                             std::uint32_t id = 0) {
    auto endpoint = std::make_shared<upstream::Endpoint>();
    endpoint->id = id;
    endpoint->url = url;
    auto target = net::parse_url(url);
    REQUIRE(target.ok());
    endpoint->target = *target;
    return endpoint;
}

// An answer with a declared length.
inline std::string http_answer(std::string_view body, std::string_view fields = {},
                               int status = 200) {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(fields) +
           "\r\n" + std::string(body);
}

}  // namespace sluice::test
