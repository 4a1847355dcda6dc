#include "sluice/answer/splice_run.h"

#include "sluice/base/limits.h"

#include <algorithm>

namespace sluice::answer {
namespace {

// After that much of one body the others of the shard have their turn.
constexpr std::uint64_t bytes_a_turn = 2 * limits::MiB;

}  // namespace

bool SpliceRun::begin() {
    SLUICE_ASSERT(!active());
    pipe_ = pipes_.lease();
    length_ = left_ = moved_ = 0;
    return active();
}

void SpliceRun::set_length(std::uint64_t bytes) {
    SLUICE_ASSERT(active() && !has_length());
    SLUICE_ASSERT(bytes > 0);
    length_ = left_ = bytes;
}

SpliceRun::Progress SpliceRun::move(net::Stream& from, net::Stream& to) {
    SLUICE_ASSERT(has_length());
    for (std::uint64_t budget = bytes_a_turn;;) {
        if (pipe_->empty()) {
            if (left_ == 0) return Progress::complete;
            if (budget == 0) return Progress::goes_on;
            const auto came = from.fill(*pipe_, std::min(left_, budget));
            if (came <= 0) return Progress::waits;
            left_ -= static_cast<std::uint64_t>(came);
            budget -= static_cast<std::uint64_t>(came);
            moved_ += static_cast<std::uint64_t>(came);
        }
        if (to.drain(*pipe_) <= 0) return Progress::waits;
    }
}

void SpliceRun::end() {
    if (active()) pipes_.give_back(*std::exchange(pipe_, nullptr));
}

}  // namespace sluice::answer
