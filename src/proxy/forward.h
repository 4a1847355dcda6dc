// Forward: sends one exchange's request to a backend and relays the answer to the client.
//
// Picks a target, leases a link, sends, relays, and gives the link back. Before any byte of an
// answer it moves on by itself: to the next target when a connection cannot be made (nothing was
// sent), and once to a fresh connection when a kept-alive one turns out to be closed (RFC 9112
// section 9.3.1). After the first byte nothing is tried again.
#pragma once

#include "sluice/http/head_reader.h"
#include "sluice/net/stream.h"
#include "sluice/proxy/exchange.h"
#include "sluice/proxy/relay.h"
#include "sluice/upstream/pool.h"
#include "splice_run.h"

#include <cstdint>
#include <string>

namespace sluice::proxy {

class Forward {
public:
    enum class Outcome : std::uint8_t {
        pending,  // goes on
        done,     // the whole answer is queued for the client
        failed,   // no byte was queued: failure() says what to answer
        broken,   // the answer broke off behind its head; the client was told if it could be
    };

    // `owner` is made ready by the backend's events; `client` is where the answer goes.
    Forward(Service& service, Exchange& exchange, io::Actor& owner, net::Stream& client);
    ~Forward();  // asserts that no link is held

    void start();
    Outcome advance();
    // Submits what is queued for the backend.
    void flush();
    // The client is gone, or we stop: the backend's connection is closed now.
    void abandon();
    // Ends an answer that has begun, honestly, for a reason of ours; or fails one that has not.
    void interrupt(Error cause, End end);

    // When the phase it is in takes too long; TimerWheel::never when none applies.
    Instant deadline() const;
    // That deadline has passed.
    void expire();

    const Error& failure() const { return failure_; }
    End failure_end() const { return failure_end_; }
    // The connection to the client cannot carry another answer.
    bool client_must_close() const { return client_must_close_; }
    // Its end would look like that of the answer, which broke.
    bool client_must_see_reset() const {
        return outcome_ == Outcome::broken && relay_.plan().out == http::Framing::until_close;
    }

private:
    static constexpr const char* out_of_memory =
        "The gateway is out of buffer memory (--buffers). Try again later.";

    enum class Phase : std::uint8_t { idle, connecting, waiting, relaying, finished };

    const upstream::Target* next_target();
    bool try_next_target();
    void count_retry();
    void try_target(upstream::Pool::Freshness freshness);
    bool send_request();
    void on_link_lost(std::string cause);
    void on_link_ended();
    bool read_head();
    void fail_answer(const std::string& what);
    void end_answer(bool reusable);
    void begin_answer(const http::Head& head);
    bool write_answer_head(const http::Head& head, http::Framing out);
    void relay_received();
    void relay_slice(const mem::Slice& slice);
    bool splice_body();
    bool begin_run();
    bool measure_run();
    void end_run();
    std::uint64_t opaque_bytes() const;
    // The silence is the client's doing.
    bool waits_for_client() const { return held_back_ || (run_.active() && client_.unsent() > 0); }
    void pace();
    void listen();
    void take_usage();
    void finish(bool reusable);
    void fail(Error error);
    void break_off(std::string cause, End end);
    void enter(Phase phase);
    void drop_link(bool reusable);

    Service& service_;
    Exchange& exchange_;
    io::Actor& owner_;
    net::Stream& client_;
    upstream::Pool* pool_ = nullptr;
    upstream::Link* link_ = nullptr;
    http::HeadReader head_reader_;
    Relay relay_;
    SpliceRun run_;  // of the answer's body, when it is large
    Error failure_;
    Instant phase_begun_;
    Phase phase_ = Phase::idle;
    Outcome outcome_ = Outcome::pending;
    End failure_end_ = End::backend_error;
    bool body_expected_ = false;
    std::uint64_t link_bytes_before_ = 0;  // what the link had received when it was leased
    int interim_answers_ = 0;
    bool event_stream_ = false;  // the answer comes in events, of this form
    sse::Form form_ = sse::Form::event_stream;
    bool usage_injected_ = false;  // into the request to this target
    bool link_keeps_alive_ = false;
    bool held_back_ = false;  // the client is slow: the backend's receive is on hold
    bool client_must_close_ = false;
    bool pipe_refused_ = false;  // none was to be had: not asked for again
    bool spliced_ = false;       // a part of the answer was
};

}  // namespace sluice::proxy
