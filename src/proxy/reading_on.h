// ReadingOn: how long a client is read on that sends behind an answer which it should get to see.
//
// Who closes while bytes still come sends a reset, and a reset throws away what the other side has
// not read yet: the answer. So what comes is read and thrown away (RFC 9112 section 9.6), within
// four bounds: a rate (so many bytes in each span of patience), a time, a number of bytes, and how
// many clients of a shard are read on at once. Pure: knows no socket.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/limits.h"

#include <cstddef>
#include <cstdint>

namespace sluice::proxy {

class ReadingOn {
public:
    // A body that large is refused by any limit that makes sense, and read within a second.
    static constexpr std::uint64_t bytes_max = 128 * limits::MiB;
    // Of one span of patience: some 13 KB/s with the standard of 5 s, less than any line has.
    static constexpr std::uint64_t span_bytes_min = 64 * limits::KiB;
    static constexpr Duration time_max = Duration::seconds(60);
    // A shard's; behind it the one that is read on longest is given up.
    static constexpr std::size_t clients_max = 256;

    // `patience`: for the next `span_bytes_min` bytes. Zero: only the time counts.
    void begin(Instant now, Duration patience);
    void took(std::uint64_t bytes, Instant now);

    bool too_much() const { return bytes_ >= bytes_max; }
    Instant deadline() const;
    std::uint64_t bytes() const { return bytes_; }

private:
    Duration patience_;
    Instant begun_;
    Instant span_begun_;
    std::uint64_t span_bytes_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace sluice::proxy
