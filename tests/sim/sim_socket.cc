// io/socket.h on the simulated network.
#include "network.h"
#include "sluice/base/assert.h"
#include "sluice/io/socket.h"

#include <cerrno>
#include <cstring>

namespace sluice::io {
namespace {

sim::Network& network() {
    return sim::Simulation::current().network();
}

net::Address address_of(const sockaddr* address, socklen_t size) {
    sockaddr_storage storage{};
    std::memcpy(&storage, address, size);
    return {storage, size};
}

int put_name(const net::Address& from, sockaddr_storage& name, socklen_t& size) {
    if (from.size() == 0) return -ENOTCONN;
    size = from.size();
    std::memcpy(&name, from.raw(), size);
    return 0;
}

}  // namespace

Result<int> open_listener(const sockaddr* address, socklen_t size, ListenOptions options) {
    const int fd = network().listen(address_of(address, size), options.reuse_port);
    if (fd < 0) return Error::gateway(std::strerror(-fd));
    return fd;
}

int open_stream(int family) {
    return network().open(sim::Socket::Kind::stream, family);
}

void set_no_delay(int fd) {
    SLUICE_ASSERT(network().socket(fd).kind == sim::Socket::Kind::stream);
}

int local_name(int fd, sockaddr_storage& name, socklen_t& size) {
    return put_name(network().socket(fd).local, name, size);
}

int peer_name(int fd, sockaddr_storage& name, socklen_t& size) {
    return put_name(network().socket(fd).remote, name, size);
}

Hangup hangup(int fd) {
    const auto& endpoint = network().socket(fd).endpoint;
    SLUICE_ASSERT(endpoint != nullptr);
    if (endpoint->error != 0) return Hangup::gone;
    return endpoint->end_arrived ? Hangup::ended : Hangup::none;
}

// As on the loopback it is known at once.
bool nobody_listens(const sockaddr* address, socklen_t size) {
    return !network().anybody_listens(address_of(address, size));
}

void shut_down(int fd) {
    const auto& endpoint = network().socket(fd).endpoint;
    if (!endpoint) return;
    endpoint->reading_shut = true;
    network().finish(*endpoint);
}

void shut_down_sending(int fd) {
    const auto& endpoint = network().socket(fd).endpoint;
    SLUICE_ASSERT(endpoint != nullptr);
    network().finish(*endpoint);
}

void close_socket(int fd) {
    network().close(fd);
}

void reset_socket(int fd) {
    network().close(fd, true);
}

int accept_now(int listen_fd) {
    return network().accept(listen_fd);
}

void close_with_farewell(int fd, const char* farewell, std::size_t size) {
    sim::Endpoint& endpoint = *network().socket(fd).endpoint;
    if (endpoint.error == 0 && sim::Network::room(endpoint) >= size)
        network().write(endpoint, {farewell, size});
    network().close(fd);
}

int open_spare() {
    return network().open(sim::Socket::Kind::spare, AF_UNSPEC);
}

}  // namespace sluice::io
