// StreamTap: moves an event stream from one socket to another through a pipe, and keeps a copy of
// what passes (tee(2)), to be read behind it.
//
// It holds its two pipes only while bytes are in them: a stream that waits for its next token holds
// none, and neither does one whose client keeps up once its turn is over. The copy must be read
// after each move(), before the next one.
#pragma once

#include "sluice/io/pipe_pool.h"
#include "sluice/net/stream.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace sluice::answer {

class StreamTap {
public:
    explicit StreamTap(io::PipePool& pipes) : pipes_(pipes) {}
    StreamTap(const StreamTap&) = delete;
    StreamTap& operator=(const StreamTap&) = delete;
    ~StreamTap() { SLUICE_ASSERT(!active()); }

    // Whether pipes are to be had at the moment.
    bool available();
    bool active() const { return main_ != nullptr; }
    // Bytes that the other socket has not taken.
    bool empty() const { return !active() || main_->empty(); }
    // It took none of them, and will say when it does.
    bool blocked() const { return copied_ > 0; }

    enum class Progress : std::uint8_t {
        moved,    // something came or went: read the copy, and look at empty()
        waits,    // for one of the sockets
        refused,  // no pipe, or no copy of what is in it: take_back() has what was not copied
    };
    // Takes what has come, if nothing is left of what came before, and passes it on.
    Progress move(net::Stream& from, net::Stream& to);
    // The next part of the copy, in `space`; empty: that was all.
    std::string_view read_copy(std::span<char> space);
    // Behind `refused`: the next part of what cannot go this way, in `space`; empty: that was all.
    std::string_view take_back(std::span<char> space);
    // Bytes that came since this was last asked.
    std::uint64_t take_moved() { return std::exchange(moved_, 0); }

    // Gives the pipes back where nothing is in them.
    void rest();
    // Gives them up with what is in them.
    void end();

private:
    bool begin();

    io::PipePool& pipes_;
    io::Pipe* main_ = nullptr;
    io::Pipe* side_ = nullptr;
    std::size_t copied_ = 0;  // bytes at the begin of `main_` that were copied
    std::uint64_t moved_ = 0;
};

}  // namespace sluice::answer
