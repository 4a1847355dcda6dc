// Origin: the bench's own backend, on the same loop as its clients.
//
// It answers every request at once with a document of a given size, or with a stream of stamped
// events: each says when it was sent on the clock that the client reads, so an event's way through
// a gateway is known to the nanosecond. Streams are paced, or in lock-step: the next event leaves
// when the client has the last one. What a stream is and who reads it says the request's field
// "x-bench-stream: ID". A request with the field "x-bench-flood" gets events without end and as
// fast as they are taken, for a client that will not read them.
#pragma once

#include "sluice/base/prng.h"
#include "sluice/http/head_reader.h"
#include "sluice/io/loop.h"
#include "sluice/net/listener.h"
#include "sluice/net/stream.h"

#include <cstdint>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

struct OriginScript {
    std::size_t answer_bytes = 600;  // of a document
    std::size_t event_bytes = 200;   // of an event with its chunk framing
    std::uint32_t events = 0;        // of a stream; 0: without end
    Duration period = Duration::millis(10);
    bool lock_step = false;
};

class Origin {
public:
    static constexpr std::string_view stream_field = "x-bench-stream";
    static constexpr std::string_view flood_field = "x-bench-flood";

    // Takes over `listen_fd`.
    Origin(io::Loop& loop, int listen_fd, OriginScript script);
    ~Origin();

    // The client of that stream has `events` more of it.
    void received(std::uint32_t id, std::uint32_t events);

    // When an event is due; TimerWheel::never if none is.
    Instant next_due() const;
    void send_due(Instant now);

    // Closes all; over() some turns later.
    void stop();
    bool over() const { return connections_ == 0 && listener_.stopped(); }

private:
    class Connection;
    struct Due {
        std::int64_t ns;
        std::uint32_t id;
        std::uint64_t stream;  // which one of that id's
        bool operator<(const Due& other) const { return ns > other.ns; }
    };

    void accept(int fd);
    void join(Connection& connection, std::uint32_t id);
    void leave(Connection& connection, std::uint32_t id);

    io::Loop& loop_;
    OriginScript script_;
    net::Listener listener_;
    std::string document_;
    std::string event_;  // with placeholders where the stamp is written
    std::size_t stamp_at_ = 0;
    std::size_t number_at_ = 0;
    std::string end_;
    std::string flood_;                 // a lot of events
    std::vector<Connection*> streams_;  // by id
    std::vector<Connection*> all_;
    std::priority_queue<Due> due_;
    Prng prng_{1};
    std::uint64_t streams_begun_ = 0;
    std::size_t connections_ = 0;
};

}  // namespace sluice::bench
