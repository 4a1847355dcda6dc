// SpliceRun: a run of body bytes on its way from one stream to another through a pipe.
//
// What a stream has received and what the other has still to send come first: a run begins when
// both are done with. It holds its pipe from begin() to end().
#pragma once

#include "sluice/io/pipe_pool.h"
#include "sluice/net/stream.h"

#include <cstdint>
#include <utility>

namespace sluice::answer {

class SpliceRun {
public:
    explicit SpliceRun(io::PipePool& pipes) : pipes_(pipes) {}
    SpliceRun(const SpliceRun&) = delete;
    SpliceRun& operator=(const SpliceRun&) = delete;
    ~SpliceRun() { SLUICE_ASSERT(!active()); }

    // False: there is no pipe.
    bool begin();
    bool active() const { return pipe_ != nullptr; }
    // How long it is, once that is known for certain.
    void set_length(std::uint64_t bytes);
    bool has_length() const { return length_ > 0; }
    std::uint64_t length() const { return length_; }
    // Bytes of it have left their stream.
    bool moves() const { return left_ < length_; }
    // How many.
    std::uint64_t taken() const { return length_ - left_; }

    enum class Progress : std::uint8_t {
        waits,    // for one of the streams
        goes_on,  // could move more, but others have their turn
        complete,
    };
    // Moves what can be moved now. The streams record what goes wrong with them.
    Progress move(net::Stream& from, net::Stream& to);
    // Bytes that left it since this was last asked.
    std::uint64_t take_moved() { return std::exchange(moved_, 0); }

    void end();

private:
    io::PipePool& pipes_;
    io::Pipe* pipe_ = nullptr;
    std::uint64_t length_ = 0;  // of the run; 0: not known yet
    std::uint64_t left_ = 0;    // bytes that are not in the pipe yet
    std::uint64_t moved_ = 0;
};

}  // namespace sluice::answer
