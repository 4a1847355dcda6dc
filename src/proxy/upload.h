// Upload: a request's body on its way from the client to a backend, where it is not kept.
//
// For a body whose length the head has said and of which nothing is read. What was received before
// that was known goes first, through buffers; the rest goes through a pipe and never comes into
// user space. So it goes once: from its first byte on no other backend can be asked.
//
// The client's receive has been held when this begins, and is started again when the body has
// passed; the parser stands behind what was taken then, and behind stop().
#pragma once

#include "sluice/answer/splice_run.h"
#include "sluice/base/clock.h"
#include "sluice/http/parser.h"

#include <cstdint>
#include <utility>

namespace sluice::proxy {

class Upload {
public:
    // The parser has read the head.
    Upload(net::Stream& client, http::Parser& parser, io::PipePool& pipes)
        : client_(client), parser_(parser), run_(pipes) {}
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;
    ~Upload() { stop(); }

    // False: there is no pipe.
    bool begin() { return run_.begin(); }
    // Bytes that were not received: certain once nothing is on its way into buffers.
    std::uint64_t bytes_ahead() const;

    // Passes on what can be passed on now; true: there is more, but others have their turn.
    // Between two backends nothing must have been taken.
    bool move(net::Stream& backend, Instant now);
    // That backend is gone.
    void rest() { waits_for_client_ = false; }
    // No more of it is passed on.
    void stop();

    // Some of it was taken from the client: it cannot be sent a second time.
    bool begun() const { return begun_; }
    // The backend's socket has all of it.
    bool complete() const { return complete_; }
    // All that came has been passed on, and more has to come.
    bool waits_for_client() const { return waits_for_client_; }
    // When bytes last came or went.
    Instant moved_at() const { return moved_at_; }
    // From when the time counts that the client takes for the whole: what a backend takes of it is
    // put off.
    Instant client_since() const { return client_since_; }
    // Bytes that were taken since this was last asked.
    std::uint64_t take_moved() { return std::exchange(moved_, 0); }

private:
    void pass_received(net::Stream& backend);

    net::Stream& client_;
    http::Parser& parser_;
    answer::SpliceRun run_;
    Instant client_since_;
    Instant moved_at_;
    Instant looked_at_;
    std::uint64_t moved_ = 0;
    std::uint64_t sent_before_ = 0;  // by the backend's stream
    bool begun_ = false;
    bool complete_ = false;
    bool waits_for_client_ = false;
};

}  // namespace sluice::proxy
