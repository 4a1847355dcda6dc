#include "reading_on.h"

#include "sluice/base/assert.h"

#include <algorithm>

namespace sluice::proxy {

void ReadingOn::begin(Instant now, Duration patience) {
    SLUICE_ASSERT(patience.ns >= 0);
    patience_ = patience;
    begun_ = span_begun_ = now;
    span_bytes_ = bytes_ = 0;
}

void ReadingOn::took(std::uint64_t bytes, Instant now) {
    SLUICE_ASSERT(begun_ <= now);
    bytes_ += bytes;
    span_bytes_ += bytes;
    if (span_bytes_ < span_bytes_min) return;
    span_begun_ = now;
    span_bytes_ = 0;
}

Instant ReadingOn::deadline() const {
    const Instant last = begun_ + time_max;
    return patience_.ns == 0 ? last : std::min(last, span_begun_ + patience_);
}

}  // namespace sluice::proxy
