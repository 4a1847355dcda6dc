// Peer: a scripted end of a connection: a client or a model server outside of the code under test.
//
// Derived classes say what happens on each event; the calls below may be made from there or from
// after(). Bytes that are sent leave as the connection has room. A peer lives as long as the
// simulation; after close(), reset() or a loss it hears nothing more.
#pragma once

#include "network.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::sim {

class Peer {
public:
    virtual ~Peer();
    Peer() = default;
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    // It hears and says no more.
    bool over() const { return over_; }
    // The network lost the connection: neither side's doing.
    bool killed() const { return killed_; }

protected:
    virtual void on_connected() {}
    virtual void on_refused() {}
    virtual void on_data(std::string_view bytes) = 0;
    virtual void on_end() {}    // the other side finished sending
    virtual void on_reset() {}  // over() already

    void send(std::string_view bytes);
    void finish();  // FIN behind what was sent
    void close();   // as a process that ends: finish, and read no more
    void reset();   // RST at once
    // Reads at most `bytes` at a time with `pause` between; 0 bytes: does not read.
    void read_slowly(std::size_t bytes, Duration pause);
    bool all_sent() const { return outgoing_.empty(); }
    // More was sent than the other end has room for: what comes behind it waits until it reads on.
    bool is_backed_up() const;
    // Not called when the peer is over by then.
    void after(Duration delay, std::function<void()> action);
    Simulation& simulation() const { return Simulation::current(); }

private:
    friend class Network;
    void begin(EndpointPtr end);
    void refuse();
    void pump_later();
    void pump();
    void pump_out();
    void pump_in();

    EndpointPtr end_;
    std::string outgoing_;
    std::size_t read_max_ = SIZE_MAX;
    Duration read_pause_{};
    Instant read_next_{};
    bool finish_wanted_ = false;
    bool finished_ = false;
    bool close_wanted_ = false;
    bool end_told_ = false;
    bool pumping_ = false;
    bool over_ = false;
    bool killed_ = false;
};

}  // namespace sluice::sim
