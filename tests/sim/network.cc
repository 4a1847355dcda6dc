#include "network.h"

#include "peer.h"
#include "sluice/base/assert.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice::sim {
namespace {

// Far from the kernel's: a simulated descriptor that reaches a real system call fails there.
constexpr int first_fd = 100'000;
constexpr std::size_t backlog_max = 1024;

net::Address loopback(unsigned port) {
    sockaddr_storage storage{};
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons(static_cast<std::uint16_t>(port));
    return {storage, sizeof(in)};
}

EndpointPtr pointer(Endpoint& end) {
    return {end.connection->shared_from_this(), &end};
}

}  // namespace

Network::Network(Simulation& simulation) : simulation_(simulation) {}
Network::~Network() = default;

// --- scripts --------------------------------------------------------------------------------

void Network::serve(const net::Address& address, MakePeer make) {
    servers_[address.to_string()] = std::move(make);
}

void Network::stop_serving(const net::Address& address) {
    servers_.erase(address.to_string());
}

Peer& Network::adopt(std::unique_ptr<Peer> peer, const EndpointPtr& end) {
    peers_.push_back(std::move(peer));
    Peer& adopted = *peers_.back();
    if (end) adopted.begin(end);
    return adopted;
}

void Network::dial(const net::Address& address, std::unique_ptr<Peer> client) {
    Peer& peer = adopt(std::move(client), nullptr);
    simulation_.after(simulation_.random_delay(simulation_.faults().latency_max),
                      [this, name = address.to_string(), &peer] {
                          Socket* listener = listener_at(name);
                          if (listener == nullptr || listener->waiting.size() >= backlog_max)
                              return peer.refuse();
                          auto [theirs, ours] = make_connection();
                          listener->waiting.emplace_back(ours, next_client(*listener));
                          peer.begin(theirs);
                      });
}

net::Address Network::next_client(const Socket& listener) {
    return listener.local.is_unix() ? listener.local : loopback(40'000 + ports_++ % 20'000);
}

std::size_t Network::open_descriptors() const {
    return static_cast<std::size_t>(std::count_if(
        sockets_.begin(), sockets_.end(), [](const auto& socket) { return socket != nullptr; }));
}

std::size_t Network::operations() const {
    int count = 0;
    for (const auto& socket : sockets_)
        if (socket != nullptr) count += socket->receiving + socket->sending;
    return static_cast<std::size_t>(count);
}

// --- descriptors ----------------------------------------------------------------------------

int Network::open(Socket::Kind kind, int family) {
    if (open_descriptors() >= descriptors_max_) return -EMFILE;
    if (kind == Socket::Kind::stream &&
        simulation_.happens(simulation_.faults().out_of_descriptors))
        return -EMFILE;
    // The lowest that is free, as the kernel does: a stale descriptor soon means another socket.
    auto at = std::find(sockets_.begin(), sockets_.end(), nullptr);
    if (at == sockets_.end()) at = sockets_.insert(at, nullptr);
    *at = std::make_unique<Socket>();
    (*at)->kind = kind;
    (*at)->family = family;
    return first_fd + static_cast<int>(at - sockets_.begin());
}

Socket& Network::socket(int fd) {
    SLUICE_ASSERT(fd >= first_fd);
    const auto index = static_cast<std::size_t>(fd - first_fd);
    SLUICE_ASSERT(index < sockets_.size());
    SLUICE_ASSERT(sockets_[index] != nullptr);
    return *sockets_[index];
}

void Network::close(int fd, bool reset) {
    Socket& closing = socket(fd);
    // A descriptor that is closed under an operation leaves it hanging on the old socket.
    SLUICE_ASSERT(closing.receiving == 0 && closing.sending == 0);
    if (closing.endpoint) release(*closing.endpoint, reset);
    for (auto& [end, from] : closing.waiting)
        release(*end, true);
    sockets_[static_cast<std::size_t>(fd - first_fd)].reset();
}

Socket* Network::listener_at(const std::string& address) {
    std::vector<Socket*> found;
    for (const auto& socket : sockets_)
        if (socket && socket->kind == Socket::Kind::listener &&
            socket->local.to_string() == address)
            found.push_back(socket.get());
    return found.empty() ? nullptr : found[simulation_.prng().below(found.size())];
}

bool Network::anybody_listens(const net::Address& address) {
    const std::string name = address.to_string();
    return servers_.contains(name) || listener_at(name) != nullptr;
}

int Network::listen(const net::Address& address, bool reuse_port) {
    const bool any_port = !address.is_unix() && address.port() == 0;
    const net::Address bound = any_port ? loopback(30'000 + ports_++ % 10'000) : address;
    for (const auto& socket : sockets_)
        if (socket && socket->kind == Socket::Kind::listener &&
            socket->local.to_string() == bound.to_string() && !(reuse_port && socket->reuse_port))
            return -EADDRINUSE;
    const int fd = open(Socket::Kind::listener, address.family());
    if (fd < 0) return fd;
    socket(fd).local = bound;
    socket(fd).reuse_port = reuse_port;
    return fd;
}

int Network::accept(int listen_fd) {
    Socket& listener = socket(listen_fd);
    SLUICE_ASSERT(listener.kind == Socket::Kind::listener);
    if (listener.waiting.empty()) return -EAGAIN;
    const int fd = open(Socket::Kind::stream, listener.family);
    if (fd < 0) return fd;
    Socket& accepted = socket(fd);
    accepted.endpoint = listener.waiting.front().first;
    accepted.remote = listener.waiting.front().second;
    accepted.local = listener.local;
    listener.waiting.pop_front();
    return fd;
}

void Network::connect(int fd, const net::Address& address) {
    const std::uint64_t attempt = ++attempts_;
    socket(fd).attempt = attempt;
    socket(fd).remote = address;
    if (simulation_.happens(simulation_.faults().connect_silent)) return;
    simulation_.after(simulation_.random_delay(simulation_.faults().latency_max),
                      [this, fd, attempt, name = address.to_string()] {
                          const auto& there = sockets_[static_cast<std::size_t>(fd - first_fd)];
                          if (there && there->attempt == attempt) connected(*there, name);
                      });
}

// The answer to a connect is there.
void Network::connected(Socket& connecting, const std::string& name) {
    const auto server = servers_.find(name);
    Socket* listener = listener_at(name);
    const bool full = listener != nullptr && listener->waiting.size() >= backlog_max;
    if ((server == servers_.end() && (listener == nullptr || full)) ||
        simulation_.happens(simulation_.faults().connect_refused)) {
        connecting.connected = -ECONNREFUSED;
        return;
    }
    auto [ours, theirs] = make_connection();
    connecting.endpoint = ours;
    connecting.connected = 0;
    if (server != servers_.end())
        adopt(server->second(), theirs);
    else
        listener->waiting.emplace_back(theirs, next_client(*listener));
}

// --- connections ----------------------------------------------------------------------------

std::pair<EndpointPtr, EndpointPtr> Network::make_connection() {
    const auto connection = std::make_shared<Connection>();  // see Connection
    connection->one.other = &connection->two;
    connection->two.other = &connection->one;
    for (Endpoint* end : {&connection->one, &connection->two}) {
        const bool small = simulation_.happens(simulation_.faults().small_windows);
        Prng& prng = simulation_.prng();
        end->connection = connection.get();
        end->in_transit_max = small ? prng.between(50, 2000) : prng.between(16'000, 400'000);
        end->arrived_max = small ? prng.between(50, 2000) : prng.between(16'000, 400'000);
    }
    if (simulation_.happens(simulation_.faults().connection_lost)) arrange_loss(connection);
    return {pointer(connection->one), pointer(connection->two)};
}

// At some moment, soon or late, both ends are told of a reset.
void Network::arrange_loss(const std::shared_ptr<Connection>& connection) {  // see Connection
    const auto magnitude = std::int64_t{1} << simulation_.prng().below(14);
    simulation_.after(simulation_.random_delay(Duration::millis(magnitude)), [this, connection] {
        if (connection->one.closed || connection->two.closed) return;
        reset_later(connection->one, true);
        reset_later(connection->two, true);
    });
}

std::size_t Network::room(const Endpoint& from) {
    const Endpoint& to = *from.other;
    return to.in_transit_max - std::min(to.in_transit_max, to.in_transit.size());
}

void Network::write(Endpoint& from, std::string_view bytes) {
    Endpoint& to = *from.other;
    SLUICE_ASSERT(!to.end_sent);
    to.in_transit += bytes;
    deliver_later(to);
}

void Network::finish(Endpoint& from) {
    if (from.other->end_sent) return;
    from.other->end_sent = true;
    deliver_later(*from.other);
}

void Network::deliver_later(Endpoint& to) {
    const bool something = !to.in_transit.empty() || (to.end_sent && !to.end_arrived);
    const bool fits = to.in_transit.empty() || to.arrived.size() < to.arrived_max || to.closed;
    if (to.delivering || !something || !fits) return;
    to.delivering = true;
    simulation_.after(simulation_.random_delay(simulation_.faults().latency_max),
                      [this, at = pointer(to)] { deliver(*at); });
}

void Network::deliver(Endpoint& to) {
    SLUICE_ASSERT(to.delivering);
    to.delivering = false;
    if (to.error != 0) return;
    if (to.closed && !to.in_transit.empty()) {
        to.in_transit.clear();
        return reset_later(*to.other, false);
    }
    std::size_t size = std::min(to.in_transit.size(), to.arrived_max - to.arrived.size());
    if (size > 1 && simulation_.happens(simulation_.faults().cut_segments))
        size = simulation_.prng().between(1, size);
    to.arrived.append(to.in_transit, 0, size);
    to.in_transit.erase(0, size);
    if (to.in_transit.empty() && to.end_sent) to.end_arrived = true;
    deliver_later(to);
    changed(to);
    changed(*to.other);
}

void Network::consume(Endpoint& at, std::size_t size) {
    SLUICE_ASSERT(size <= at.arrived.size());
    at.arrived.erase(0, size);
    deliver_later(at);
}

void Network::reset_later(Endpoint& end, bool killed) {
    simulation_.after(simulation_.random_delay(simulation_.faults().latency_max),
                      [this, at = pointer(end), killed] {
                          if (at->closed || at->error != 0) return;
                          at->error = ECONNRESET;
                          at->killed = killed;
                          at->in_transit.clear();
                          changed(*at);
                      });
}

void Network::release(Endpoint& end, bool reset) {
    SLUICE_ASSERT(!end.closed);
    end.closed = true;
    end.peer = nullptr;
    if (end.error != 0) return;
    if (reset || !end.arrived.empty()) {
        // What was sent and has not arrived is lost with it.
        end.other->in_transit.clear();
        return reset_later(*end.other, false);
    }
    finish(end);
    deliver_later(end);
}

void Network::changed(Endpoint& end) {
    if (end.peer != nullptr) end.peer->pump_later();
}

}  // namespace sluice::sim
