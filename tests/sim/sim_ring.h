// The state behind a simulated io::Ring: what the kernel would know of its operations.
//
// A turn has the order of the real one: buffers are lent, submissions take effect, time passes
// until something can complete, what completes is collected (the kernel's part: bytes move, buffers
// are filled), and only then do handlers run. So a handler may cancel what has already completed.
#pragma once

#include "network.h"
#include "simulation.h"
#include "sluice/io/operation.h"
#include "sluice/io/ring.h"

#include <deque>
#include <optional>
#include <vector>

namespace sluice::io {

struct RingCore {
    explicit RingCore(mem::BufferPool& pool);
    ~RingCore();

    // One operation in flight, as the kernel sees it.
    struct Flight {
        Operation* operation = nullptr;
        std::uint64_t number = 0;            // never used twice: tells a late completion
        bool over = false;                   // its last completion is collected
        bool starved = false;                // a receive that waits for buffers
        std::vector<iovec> parts;            // send: what has not left yet
        int moved = 0;                       // send: what has
        std::optional<net::Address> target;  // connect
        std::optional<Instant> due;          // could complete, and will then
        std::optional<Instant> cancel_due;
        bool last_words = false;  // cancelled, but completes once more before
    };
    struct Submission {
        enum class Kind { start, cancel, post };
        Kind kind;
        std::uint64_t number = 0;
        int ring_fd = -1;
        std::uint64_t payload = 0;
    };
    struct Collected {
        std::uint64_t number = 0;  // of the flight
        int result = 0;
        bool more = false;
        std::optional<std::uint16_t> buffer;
    };

    Flight& begin(Operation& operation, Operation::Kind kind, int fd);
    void cancel(Operation& operation);
    void turn(Instant now, Instant deadline);
    void hear(std::uint64_t payload) { messages.push_back(payload); }
    std::size_t lent() const { return lent_buffers.size(); }

private:
    friend class Ring;
    Flight* find(std::uint64_t number);
    void lend_buffers();
    void submit();
    void start(Flight& flight);
    void ask_to_end(Flight& flight);
    bool collect();
    bool possible(Flight& flight);
    void perform(Flight& flight);
    void perform_accept(Flight& flight);
    void perform_connect(Flight& flight);
    void perform_receive(Flight& flight);
    void perform_send(Flight& flight);
    void end_cancelled(Flight& flight);
    void collect_result(Flight& flight, int result, bool more = false);
    void deliver();
    void end(Flight& flight);
    sim::Socket& socket(const Flight& flight);
    int& busy(const Flight& flight);  // its direction of its socket
    std::vector<Flight*> shuffled();
    Duration lateness();

    sim::Simulation& simulation;
    mem::BufferPool& buffers;
    int ring_fd;
    std::deque<mem::BufferPool::Lent> lent_buffers;
    std::deque<Flight> table;  // flights stay where they are
    std::vector<std::uint32_t> free_slots;
    std::uint64_t numbers = 0;
    std::size_t in_flight = 0;
    std::vector<Submission> queue;
    std::vector<Collected> collected;
    std::vector<std::uint64_t> messages;
    bool found_no_buffer = false;  // in this turn
    void* message_owner = nullptr;
    Ring::MessageHandler message_handler = nullptr;
    RingCounters counters;
};

}  // namespace sluice::io
