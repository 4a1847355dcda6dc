#include "upload.h"

#include <algorithm>

namespace sluice::proxy {

std::uint64_t Upload::bytes_ahead() const {
    const std::uint64_t left = parser_.opaque_bytes();
    return left - std::min<std::uint64_t>(left, client_.received().size());
}

bool Upload::move(net::Stream& backend, Instant now) {
    SLUICE_ASSERT(run_.active() && !complete_);
    SLUICE_ASSERT(!client_.receiving());
    if (!run_.has_length()) {
        client_since_ = looked_at_ = moved_at_ = now;
        pass_received(backend);
    }
    SLUICE_ASSERT(looked_at_ <= now);
    if (!waits_for_client_) client_since_ = client_since_ + (now - looked_at_);
    SLUICE_ASSERT(client_since_ <= now);
    looked_at_ = now;

    auto progress = answer::SpliceRun::Progress::waits;
    // What was received, and the head in front of it, leave first.
    if (run_.moves() || backend.unsent() == 0) progress = run_.move(client_, backend);
    const std::uint64_t taken = run_.take_moved();
    moved_ += taken;
    begun_ |= moved_ > 0;
    if (taken > 0 || backend.bytes_sent() != sent_before_) moved_at_ = now;
    sent_before_ = backend.bytes_sent();
    waits_for_client_ = progress == answer::SpliceRun::Progress::waits && backend.unsent() == 0;
    if (progress == answer::SpliceRun::Progress::complete) {
        complete_ = true;
        stop();
        SLUICE_ASSERT(parser_.opaque_bytes() == 0);
        client_.start_receiving();
    }
    return progress == answer::SpliceRun::Progress::goes_on;
}

void Upload::pass_received(net::Stream& backend) {
    SLUICE_ASSERT(!begun_ && moved_ == 0);  // what went to another backend is gone
    mem::Chain& received = client_.received();
    const auto size = std::min<std::uint64_t>(received.size(), parser_.opaque_bytes());
    if (size > 0) {
        parser_.skip(size);
        backend.send(received.split_front(static_cast<std::size_t>(size)));
        moved_ += size;
    }
    run_.set_length(parser_.opaque_bytes());
}

void Upload::stop() {
    waits_for_client_ = false;
    if (!run_.active()) return;
    SLUICE_ASSERT(!run_.has_length() || run_.taken() <= parser_.opaque_bytes());
    if (run_.has_length()) parser_.skip(run_.taken());
    run_.end();
}

}  // namespace sluice::proxy
