#include "sluice/io/socket.h"

#include "loopback.h"

#include <doctest/doctest.h>

#include <sys/un.h>

#include <cerrno>
#include <cstdio>
#include <string>

using namespace sluice;
using namespace sluice::test;

namespace {

const sockaddr* raw(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

TEST_CASE("a listener on port 0 says where it is bound, and a second one there is refused") {
    auto listener = io::open_listener(raw(loopback(0)), sizeof(sockaddr_in), {});
    REQUIRE(listener.ok());
    const Fd owned(*listener);
    sockaddr_storage name{};
    socklen_t size = 0;
    REQUIRE(io::local_name(*listener, name, size) == 0);
    CHECK(size == sizeof(sockaddr_in));
    const auto bound = *reinterpret_cast<const sockaddr_in*>(&name);
    CHECK(ntohs(bound.sin_port) != 0);
    const auto second = io::open_listener(raw(bound), sizeof(bound), {});
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().message.find("in use") != std::string::npos);
}

TEST_CASE("with reuse_port several listeners share one port") {
    auto first = io::open_listener(raw(loopback(0)), sizeof(sockaddr_in), {.reuse_port = true});
    REQUIRE(first.ok());
    const Fd owned(*first);
    sockaddr_storage name{};
    socklen_t size = 0;
    REQUIRE(io::local_name(*first, name, size) == 0);
    auto second = io::open_listener(reinterpret_cast<sockaddr*>(&name), size, {.reuse_port = true});
    REQUIRE(second.ok());
    const Fd owned_too(*second);
}

TEST_CASE("a connection can be made to hold little, on both sides") {
    const PlainListener listener;
    const Fd client(io::open_stream(AF_INET));
    io::set_receive_buffer(client.get(), 4096);
    io::set_segment_max(client.get(), 536);
    [[maybe_unused]] const int begun =
        ::connect(client.get(), listener.raw(), sizeof(listener.address));
    const Fd peer = listener.accept();
    io::set_send_buffer(peer.get(), 8192);
    const std::string text(1 << 20, 'x');
    const auto sent = ::send(peer.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    REQUIRE(sent > 0);
    // Twice what was asked for, and what the kernel adds for its own.
    CHECK(sent < 100'000);
    CHECK(io::unread_bytes(client.get()) > 0);
    CHECK(io::unread_bytes(client.get()) <= 8192);
    CHECK(io::unacknowledged_bytes(peer.get()) > 0);
    CHECK(io::unread_bytes(peer.get()) == 0);
    CHECK(io::unacknowledged_bytes(client.get()) == 0);
    CHECK(io::unread_bytes(-1) == 0);
    CHECK(io::unacknowledged_bytes(-1) == 0);
}

TEST_CASE("a listener takes what waits and says when nothing does") {
    auto listener = io::open_listener(raw(loopback(0)), sizeof(sockaddr_in), {});
    REQUIRE(listener.ok());
    const Fd owned(*listener);
    CHECK(io::accept_now(*listener) == -EAGAIN);
    sockaddr_storage name{};
    socklen_t size = 0;
    REQUIRE(io::local_name(*listener, name, size) == 0);
    const Fd client = plain_client(*reinterpret_cast<sockaddr_in*>(&name));
    const int accepted = io::accept_now(*listener);
    REQUIRE(accepted >= 0);
    REQUIRE(io::peer_name(accepted, name, size) == 0);
    sockaddr_in own{};
    socklen_t own_size = sizeof(own);
    ::getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &own_size);
    CHECK(reinterpret_cast<sockaddr_in*>(&name)->sin_port == own.sin_port);
    constexpr std::string_view farewell = "come back later";
    io::close_with_farewell(accepted, farewell.data(), farewell.size());
    CHECK(read_all(client) == farewell);
}

TEST_CASE("a connection ends in one direction, then in both") {
    auto [tested, peer] = connected();
    write_all(tested, "last words");
    io::shut_down_sending(tested.get());
    CHECK(read_all(peer) == "last words");
    write_all(peer, "still heard");
    char text[32] = {};
    CHECK(::recv(tested.get(), text, sizeof(text), MSG_WAITALL | MSG_DONTWAIT) == 11);
    io::shut_down(tested.get());
    CHECK(::recv(tested.get(), text, sizeof(text), 0) == 0);
}

TEST_CASE("without reading it shows whether a peer has ended or is gone") {
    auto [tested, peer] = connected();
    write_all(peer, "unread");
    CHECK(io::hangup(tested.get()) == io::Hangup::none);
    ::shutdown(peer.get(), SHUT_WR);
    CHECK(io::hangup(tested.get()) == io::Hangup::ended);
    peer.reset();
    CHECK(io::hangup(tested.get()) == io::Hangup::gone);
}

TEST_CASE("a Unix socket listens and takes connections too") {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path, sizeof(name.sun_path), "socket_test.%d.sock", ::getpid());
    auto listener = io::open_listener(reinterpret_cast<const sockaddr*>(&name), sizeof(name), {});
    REQUIRE(listener.ok());
    const Fd owned(*listener);
    const Fd client(io::open_stream(AF_UNIX));
    CHECK(::connect(client.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0);
    const Fd accepted(io::accept_now(*listener));
    ::unlink(name.sun_path);
}
