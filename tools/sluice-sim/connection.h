// Connection: one client: reads a request, answers it, and goes on or closes.
//
// A client that leaves (FIN or error) while its job waits or is worked on cancels it at once. One
// request is answered at a time; what is pipelined waits, up to a bound.
#pragma once

#include "generation.h"
#include "outbox.h"
#include "request_reader.h"
#include "site.h"
#include "slots.h"
#include "sluice/io/loop.h"
#include "sluice/net/stream.h"

#include <cstdint>
#include <string_view>

namespace sluice::model_sim {

class Connection final : public io::Actor {
public:
    // Called when it is over; destroys it.
    using Burial = void (*)(void* owner, Connection& connection);

    Connection(io::Loop& loop, Site& site, Slots& slots, void* owner, Burial burial);
    ~Connection();

    void begin(int fd);

    void advance() override;
    void bury() override { burial_(owner_, *this); }

private:
    enum class State : std::uint8_t {
        reading_head,
        reading_body,
        waiting,  // for a slot
        generating,
        flushing,   // all is said, not all is sent
        stalled,    // by the script, until the client leaves
        lingering,  // sent all, and reads until the client has seen it
        closing,
    };

    bool step();
    bool read_head();
    bool read_body();
    void answer();
    void respond(const Document& document);
    void refuse(const Error& error);
    void work(Job&& job);
    bool generate();
    bool finish();
    void begin_request();
    void cancel();
    void close();
    void linger();
    void take_received();
    void pause_reading();
    void wake_at(Instant when);
    bool woken() const { return woken_; }
    ResponseHead response_head() const;

    io::Loop& loop_;
    Site& site_;
    Slots& slots_;
    void* owner_;
    Burial burial_;
    net::Stream stream_;
    io::Timer timer_;
    Claim claim_;
    RequestReader reader_;
    Outbox outbox_;
    Request request_;
    Generation generation_;
    State state_ = State::reading_head;
    Ending ending_ = Ending::none;  // of the answer that is flushed
    bool woken_ = false;            // the timer has fired since it was armed
    bool counted_ = false;          // the request is in the statistics
    bool is_job_ = false;           // the answer is a job's, and a client that leaves cancels it
    std::uint32_t requests_ = 0;    // counted ones
    std::uint32_t answered_ = 0;    // all, for keep-alive-max
};

}  // namespace sluice::model_sim
