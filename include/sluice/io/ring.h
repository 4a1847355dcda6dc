// Ring: where I/O is submitted and completions come from; one a shard, used by its thread only.
//
// This header has two implementations, chosen at link time: src/io/ring.cc drives io_uring
// (kernel 6.1 or newer), tests/sim drives a simulated network with a seed and a virtual clock. The
// objects above are the same code on both.
//
// Contract. Submissions are queued and go to the kernel together, in turn(). Every operation ends
// with exactly one completion that has `more` unset, cancelled or not. Accept and receive are
// multishot: the ring re-arms them by itself when the kernel stops them for reasons of its own, and
// parks a receive for which no buffer is free until buffers come back, so owners never see
// -ENOBUFS.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/result.h"
#include "sluice/io/operation.h"
#include "sluice/mem/buffer_pool.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>

namespace sluice::io {

// Health of a ring, as plain counters.
struct RingCounters {
    std::uint64_t turns = 0;          // calls of turn(), one system call each
    std::uint64_t extra_submits = 0;  // the submission queue was full in between
    std::uint64_t completions = 0;
    std::uint64_t starved = 0;    // receives that found no buffer
    std::uint64_t overflows = 0;  // turns that found the completion queue overflown
    std::uint64_t stale = 0;      // completions of an operation that had already ended
};

class Ring {
public:
    // Whether this kernel can run it: an error names what is missing and what to do.
    static Status probe();

    // Must be created on the thread that will use it. `buffers` must outlive the ring.
    static Result<std::unique_ptr<Ring>> create(mem::BufferPool& buffers);
    ~Ring();  // asserts that nothing is in flight

    // --- operations ---
    void accept(Operation& operation, int listen_fd);  // multishot; result: a non-blocking fd
    void connect(Operation& operation, int fd, const sockaddr* address, socklen_t size);
    void receive(Operation& operation, int fd);       // multishot; result 0: end of stream
    void receive_once(Operation& operation, int fd);  // at most one buffer, and then no more
    // Ends when bytes (or the end) can be read, or when bytes can be written.
    void wait_readable(Operation& operation, int fd);
    void wait_writable(Operation& operation, int fd);
    // One send may be in flight on a socket. The vector is copied; the bytes must stay.
    void send(Operation& operation, int fd, std::span<const iovec> parts);
    // Asks an operation in flight to end soon; its last completion says -ECANCELED, or what it
    // still achieved. Idempotent.
    void cancel(Operation& operation);

    // --- between shards ---
    int fd() const;  // what another ring posts to
    // Makes the message handler of the ring behind `ring_fd` run with `payload` (below 2^56).
    void post(int ring_fd, std::uint64_t payload);
    using MessageHandler = void (*)(void* owner, std::uint64_t payload);
    void on_message(void* owner, MessageHandler handler);

    // Submits what is queued, waits until `deadline` (monotonic) or a completion, and runs the
    // handlers of all completions that are there.
    void turn(Instant now, Instant deadline);

    std::size_t in_flight() const;  // operations whose last completion is still to come
    const RingCounters& counters() const;

private:
    explicit Ring(std::unique_ptr<struct RingCore> core);
    std::unique_ptr<struct RingCore> core_;
};

}  // namespace sluice::io
