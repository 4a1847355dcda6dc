// Network: the simulated sockets, their connections, and the world behind them.
//
// A connection has two endpoints. One is held by a descriptor of the code under test, the other by
// a scripted Peer (or by a descriptor too, when we connect to ourselves). Bytes go from the sender
// into `in_transit` (its socket buffer and the wire), from there by events into `arrived` (the
// receiver's buffer); both are bounded, so a slow reader pushes back. Ends are those of TCP: FIN
// behind the data, RST at once; closing with unread bytes resets, as Linux does; bytes for an
// endpoint that is gone are answered with a reset.
#pragma once

#include "simulation.h"
#include "sluice/net/address.h"

#include <sys/socket.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::sim {

class Peer;

struct Connection;

// One end of a connection.
struct Endpoint {
    Connection* connection = nullptr;
    Endpoint* other = nullptr;
    Peer* peer = nullptr;  // who holds it, if it is a scripted peer

    std::string in_transit;  // on its way to here
    std::string arrived;     // can be read here
    std::size_t in_transit_max = 0;
    std::size_t arrived_max = 0;
    bool delivering = false;    // an event is under way
    bool end_sent = false;      // the other side has finished sending
    bool end_arrived = false;   // and all before that has arrived
    bool reading_shut = false;  // shut down here: reads as the end
    bool closed = false;        // nobody holds this end any more
    bool killed = false;        // lost by the network: neither side's doing
    int error = 0;              // a reset has arrived
};

// Shared by the holders of both ends and by the events on their way: whoever comes last must still
// find it.
struct Connection : std::enable_shared_from_this<Connection> {
    Endpoint one;
    Endpoint two;
};
using EndpointPtr = std::shared_ptr<Endpoint>;  // keeps the whole connection

struct Socket {
    enum class Kind { spare, stream, listener };
    Kind kind = Kind::spare;
    int family = AF_INET;
    net::Address local;
    net::Address remote;
    EndpointPtr endpoint;          // stream: null until it is connected
    std::uint64_t attempt = 0;     // of connecting, told from those of closed sockets
    std::optional<int> connected;  // its outcome: 0 or -errno
    bool reuse_port = false;
    std::deque<std::pair<EndpointPtr, net::Address>> waiting;  // listener: not accepted yet
    // Operations in flight on it: one a direction at most, and none when it is closed.
    int receiving = 0;
    int sending = 0;
};

class Network {
public:
    explicit Network(Simulation& simulation);
    ~Network();

    // --- for scripts ---
    using MakePeer = std::function<std::unique_ptr<Peer>()>;
    // Connections to `address` get a peer each, until stop_serving().
    void serve(const net::Address& address, MakePeer make);
    void stop_serving(const net::Address& address);
    // Connects a scripted client to one of our listeners.
    void dial(const net::Address& address, std::unique_ptr<Peer> client);
    std::size_t open_descriptors() const;
    std::size_t operations() const;  // in flight on all sockets
    void set_descriptors_max(std::size_t count) { descriptors_max_ = count; }

    // --- for descriptors: what a call of that name does. Below zero: -errno. ---
    int open(Socket::Kind kind, int family);
    void close(int fd, bool reset = false);
    Socket& socket(int fd);
    int listen(const net::Address& address, bool reuse_port);
    // A server of ours or of theirs.
    bool anybody_listens(const net::Address& address);
    int accept(int listen_fd);
    // The outcome will stand in `connected`, unless there is no answer.
    void connect(int fd, const net::Address& address);

    // --- for both sides of a connection ---
    static std::size_t room(const Endpoint& from);  // bytes that can be written now
    // More than there is room for only from a process that ends: its kernel keeps the rest.
    void write(Endpoint& from, std::string_view bytes);
    void finish(Endpoint& from);
    // Takes what was read off the receiver's buffer.
    void consume(Endpoint& at, std::size_t size);
    // Gives an end up: FIN, or RST with unread bytes or when `reset` says so.
    void release(Endpoint& end, bool reset);

private:
    Socket* listener_at(const std::string& address);
    void connected(Socket& socket, const std::string& name);
    net::Address next_client(const Socket& listener);
    std::pair<EndpointPtr, EndpointPtr> make_connection();
    void arrange_loss(const std::shared_ptr<Connection>& connection);  // see Connection
    void deliver_later(Endpoint& to);
    void deliver(Endpoint& to);
    void reset_later(Endpoint& at, bool killed);
    void changed(Endpoint& end);
    Peer& adopt(std::unique_ptr<Peer> peer, const EndpointPtr& end);

    Simulation& simulation_;
    std::vector<std::unique_ptr<Socket>> sockets_;  // by descriptor
    std::size_t descriptors_max_ = 4096;
    std::map<std::string, MakePeer> servers_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::uint64_t attempts_ = 0;
    unsigned ports_ = 0;  // given out so far
};

}  // namespace sluice::sim
