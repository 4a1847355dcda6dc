// Stream: one connected socket with its operations: received slices in, slices out, joined at
// close.
//
// A member of an actor, which is made ready whenever something was recorded here. Rules:
//   - received() grows as slices come; the owner takes from it. What is received is not copied.
//   - send() queues; flush() submits. One send is in flight at most, and everything that was queued
//     meanwhile leaves in the next one, gathered. Owners call flush() at the end of advance().
//   - hold_receiving() stops the kernel from delivering more (what is on its way still comes).
//   - fill() and drain() move bytes past user space, through a pipe: for a stream whose receive has
//     ended and for one that has nothing to send. The owner is made ready when it can go on.
//   - close() is a state: operations are cancelled, then joined; closed() when nothing is in flight
//     and the descriptor is gone. Only then may the stream be destroyed or used anew.
#pragma once

#include "sluice/io/loop.h"
#include "sluice/io/operation.h"
#include "sluice/io/pipe_pool.h"
#include "sluice/io/socket.h"
#include "sluice/mem/chain.h"
#include "sluice/net/address.h"

#include <cerrno>
#include <cstdint>
#include <string>

namespace sluice::net {

// What error() means, in words.
std::string error_text(int code);

class Stream {
public:
    // error() of a connect without an address.
    static constexpr int no_address = EDESTADDRREQ;

    Stream(io::Loop& loop, io::Actor& owner);
    ~Stream();  // asserts closed()

    // --- life ---
    void attach(int fd);  // a connected socket; takes it over
    // `address` must live until connected() or error(). One that is not known (AF_UNSPEC) fails.
    void connect(const Address& address);
    bool connecting() const { return state_ == State::connecting; }
    bool open() const { return state_ == State::open; }
    bool closed() const { return state_ == State::closed; }
    // The first failure, as a positive errno; 0: none. The owner decides to close.
    int error() const { return error_; }
    // The first failure to connect or to receive. A peer that answers and closes without reading on
    // fails our sends first; its answer may still be there to be received.
    int receive_error() const { return receive_error_; }
    void close();
    // The peer shall see that what it got is not whole, where nothing else can tell it.
    void reset_at_close() { resets_ = true; }
    bool resets_at_close() const { return resets_; }
    int fd() const { return fd_; }
    // From now on `owner` is made ready: a pooled connection changes hands.
    void set_owner(io::Actor& owner) { owner_ = &owner; }

    // --- receiving ---
    void start_receiving();
    // The next bytes only, at most a buffer of them: more would be received than is known to be
    // wanted in buffers.
    void receive_once();
    void hold_receiving();
    // Bytes may still come into received().
    bool receiving() const { return receive_.in_flight() && !awaits_readable_; }
    // Nothing more is being received, so the peer's end would not be noticed: look with hangup().
    bool deaf() const { return state_ == State::open && (!receive_wanted_ || ended_); }
    io::Hangup hangup() const { return io::hangup(fd_); }
    mem::Chain& received() { return received_; }
    const mem::Chain& received() const { return received_; }
    // The peer ended its direction; nothing comes after what is in received().
    bool ended() const { return ended_; }

    // --- sending ---
    void send(mem::Chain&& chain);
    void send(mem::Slice slice);
    // For a peer that is behind: what waits is packed (see Chain::append_compact).
    void send_compact(mem::Chain&& chain);
    void flush();
    // Bytes that are queued or in flight, and the slices they are in.
    std::size_t unsent() const { return outbound_.size() + in_pipe_; }
    // The kernel has bytes at hand, and has not said yet how many it took.
    bool sending() const { return state_ == State::open && send_.in_flight(); }
    std::size_t unsent_slices() const { return outbound_.slices(); }
    // FIN after everything that is queued.
    void finish_sending();
    bool finished_sending() const { return finished_sending_; }

    // --- past user space: see io/pipe_pool.h for what they return ---
    std::ptrdiff_t fill(io::Pipe& pipe, std::size_t most);
    std::ptrdiff_t drain(io::Pipe& pipe, std::size_t most = SIZE_MAX);
    // The owner is made ready when there is something to fill() from; fill() itself asks for that
    // where there was nothing.
    void await_readable();
    bool awaits_readable() const { return awaits_readable_; }
    void forget_pipe() { in_pipe_ = 0; }  // what is in it will not be sent

    std::uint64_t bytes_received() const { return bytes_received_; }
    std::uint64_t bytes_sent() const { return bytes_sent_; }

private:
    enum class State : std::uint8_t { closed, connecting, open, closing };

    void begin(State state, int fd);
    void keep(mem::Slice slice);
    void on_connect(io::Completion&& completion);
    void on_receive(io::Completion&& completion);
    void on_send(io::Completion&& completion);
    void await_writable();
    void receive_on();
    void record_error(int code);
    void record_receive_error(int code);
    void join();

    io::Loop& loop_;
    io::Actor* owner_;
    int fd_ = -1;
    int error_ = 0;
    int receive_error_ = 0;
    State state_ = State::closed;
    bool ended_ = false;
    bool receive_wanted_ = false;
    bool finish_wanted_ = false;
    bool finished_sending_ = false;
    bool resets_ = false;
    bool connect_in_flight_ = false;
    bool awaits_readable_ = false;  // `receive_` waits, and receives nothing
    bool awaits_writable_ = false;  // the same for `send_`
    io::Operation receive_;
    io::Operation send_;  // also carries the connect: nothing is sent before it is done
    mem::Chain received_;
    mem::Chain outbound_;      // what is in flight stays at the front until it is done
    std::size_t in_pipe_ = 0;  // bytes that drain() could not pass on yet
    std::uint64_t bytes_received_ = 0;
    std::uint64_t bytes_sent_ = 0;
};

}  // namespace sluice::net
