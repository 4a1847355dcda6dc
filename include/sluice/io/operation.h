// Operation: one piece of I/O in flight, as a member of the object that asked for it.
//
// The owner provides the storage and a handler; the ring fills in the rest. While in_flight() the
// operation, its owner and the memory it names must stay where they are. The handler runs once a
// completion and only records: the owner decides later, in its advance().
#pragma once

#include "sluice/base/list.h"
#include "sluice/mem/buffer_pool.h"

#include <cstdint>

namespace sluice::io {

// What one completion says.
struct Completion {
    int result = 0;     // bytes, a file descriptor, or 0; below zero it is -errno
    bool more = false;  // a multishot operation goes on: further completions follow
    mem::Slice slice;   // receive: the bytes that came; empty at the end of the stream
};

class Operation {
public:
    using Handler = void (*)(void* owner, Completion&& completion);

    Operation(void* owner, Handler handler) : owner_(owner), handler_(handler) {}
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    ~Operation() { SLUICE_ASSERT(!in_flight()); }

    // Submitted, and its last completion has not come yet.
    bool in_flight() const { return kind_ != Kind::idle; }

private:
    friend class Ring;
    friend struct RingCore;
    enum class Kind : std::uint8_t { idle, accept, connect, receive, send, readable, writable };

    void* owner_;
    Handler handler_;
    ListHook waiting_;  // a receive that waits for buffers
    int fd_ = -1;
    std::uint32_t slot_ = 0;  // where the ring's table knows it
    Kind kind_ = Kind::idle;
    bool cancelled_ = false;  // asked to end; nothing is re-armed any more
    bool once_ = false;       // a receive of one buffer
};

}  // namespace sluice::io
