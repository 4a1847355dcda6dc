#include "server.h"

#include "sluice/io/socket.h"
#include "sluice/net/address.h"

#include <fmt/format.h>

namespace sluice::model_sim {
namespace {

// More than the descriptors a process usually may have; past it a connection is closed at once.
constexpr std::size_t connections_most = 100'000;

std::string url_of(int fd, const net::Address& wanted) {
    sockaddr_storage name{};
    socklen_t size = 0;
    if (wanted.is_unix() || io::local_name(fd, name, size) != 0) return wanted.to_string();
    return "http://" + net::Address(name, size).to_string();
}

}  // namespace

Server::Server(io::Loop& loop, const Options& options)
    : loop_(loop),
      options_(options),
      slots_(loop, options.slots),
      site_(options, slots_, loop.now()),
      connections_(connections_most) {}

Result<std::string> Server::listen(const std::string& address) {
    const auto where = net::Address::parse(address);
    if (!where.ok()) return where.error();
    if (where.value().is_unix()) {
        const auto removed = io::remove_stale_socket(where.value().path());
        if (!removed)
            return Error::gateway(
                fmt::format("cannot listen on {}: {}", address, removed.error().message));
    }
    const auto opened = io::open_listener(where.value().raw(), where.value().size(), {});
    if (!opened.ok())
        return Error::gateway(
            fmt::format("cannot listen on {}: {}", address, opened.error().message));
    const int fd = opened.value();
    auto url = url_of(fd, where.value());
    if (options_.script.failure == Failure::refuse && options_.fail_every == 1)
        io::shut_down(fd);
    else
        opened_.push_back(fd);
    return url;
}

void Server::start() {
    for (const int fd : opened_) {
        listeners_.push_back(std::make_unique<net::Listener>(
            loop_, fd, this,
            [](void* self, int accepted) { static_cast<Server*>(self)->accept(accepted); }));
        listeners_.back()->start();
    }
}

void Server::accept(int fd) {
    auto* connection =
        connections_.create(loop_, site_, slots_, this, [](void* self, Connection& over) {
            static_cast<Server*>(self)->connections_.destroy(over);
        });
    if (connection == nullptr) return io::close_socket(fd);
    connection->begin(fd);
}

}  // namespace sluice::model_sim
