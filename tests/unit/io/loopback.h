// What the tests of the kernel's ring share: a ring with a pool, operations that keep what they
// were told, and plain blocking sockets that play the peer.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/io/operation.h"
#include "sluice/io/ring.h"
#include "sluice/mem/buffer_pool.h"

#include <doctest/doctest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::test {

// How long a test waits for what must come; it never decides what the right result is.
inline constexpr Duration patience = Duration::seconds(20);

// A descriptor that closes itself.
class Fd {
public:
    explicit Fd(int fd) : fd_(fd) { REQUIRE(fd >= 0); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd(const Fd&) = delete;
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() { close(); }

    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    // Ends the connection with a reset instead of a FIN.
    void reset() {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close();
    }

private:
    int fd_;
};

inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

// A plain listening socket on a free port of 127.0.0.1.
struct PlainListener {
    explicit PlainListener(int backlog = 64)
        : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        address = loopback(0);
        socklen_t size = sizeof(address);
        REQUIRE(::bind(fd.get(), raw(), size) == 0);
        REQUIRE(::listen(fd.get(), backlog) == 0);
        REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    }
    const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&address); }
    Fd accept() const { return Fd(::accept4(fd.get(), nullptr, nullptr, SOCK_CLOEXEC)); }

    Fd fd;
    sockaddr_in address{};
};

inline Fd plain_client(const sockaddr_in& address) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

// Two connected TCP sockets: first the one that is tested, second the plain peer.
inline std::pair<Fd, Fd> connected() {
    const PlainListener listener;
    Fd peer = plain_client(listener.address);
    Fd tested = listener.accept();
    return {std::move(tested), std::move(peer)};
}

inline void write_all(const Fd& fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
        REQUIRE(n > 0);
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

// Whatever is there now, without waiting.
inline std::string read_now(const Fd& fd) {
    std::string text(256 * 1024, '\0');
    const ssize_t n = ::recv(fd.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
}

// Until the end of the stream.
inline std::string read_all(const Fd& fd) {
    std::string text;
    char part[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), part, sizeof(part), 0)) > 0;)
        text.append(part, static_cast<std::size_t>(n));
    return text;
}

// Text in which every place can be told from every other.
inline std::string numbered_text(std::size_t size) {
    std::string text;
    text.reserve(size + 8);
    for (std::uint32_t i = 0; text.size() < size; ++i)
        text += std::to_string(i) + ' ';
    text.resize(size);
    return text;
}

// An operation that keeps all it was told.
struct Recorded {
    Recorded()
        : operation(this, [](void* self, io::Completion&& completion) {
              static_cast<Recorded*>(self)->seen.push_back(std::move(completion));
          }) {}

    bool done() const { return !operation.in_flight(); }
    int last() const {
        REQUIRE_FALSE(seen.empty());
        return seen.back().result;
    }
    std::string text() const {
        std::string text;
        for (const io::Completion& completion : seen)
            text += completion.slice.text();
        return text;
    }
    int finals() const {
        int count = 0;
        for (const io::Completion& completion : seen)
            count += completion.more ? 0 : 1;
        return count;
    }

    io::Operation operation;
    std::vector<io::Completion> seen;
};

// A ring with its pool.
struct Rig {
    explicit Rig(std::size_t buffer_bytes = 4096, std::size_t buffers = 1024)
        : pool(buffer_bytes, buffers) {
        auto created = io::Ring::create(pool);
        REQUIRE(created.ok());
        ring = std::move(created).value();
    }

    // Turns until it holds; fails when that does not come.
    template <class Condition>
    void turn_until(Condition&& holds) {
        const Instant limit = monotonic_now() + patience;
        while (!holds()) {
            const Instant now = monotonic_now();
            REQUIRE(now < limit);
            ring->turn(now, now + Duration::millis(50));
        }
    }
    // A turn that does not wait: what was submitted has reached the kernel.
    void turn() { ring->turn({}, {}); }
    void end(Recorded& recorded) {
        ring->cancel(recorded.operation);
        turn_until([&] { return recorded.done(); });
    }

    mem::BufferPool pool;
    std::unique_ptr<io::Ring> ring;
};

}  // namespace sluice::test
