#include "sluice/answer/stream_tap.h"

#include "sluice/base/limits.h"

namespace sluice::answer {
namespace {

// A client that takes nothing holds that much of its stream, as in the other lanes.
constexpr std::size_t bytes_at_a_time = 32 * limits::KiB;

}  // namespace

bool StreamTap::begin() {
    SLUICE_ASSERT(!active());
    main_ = pipes_.lease();
    side_ = main_ != nullptr ? pipes_.lease() : nullptr;
    if (side_ != nullptr) return true;
    end();
    return false;
}

bool StreamTap::available() {
    if (!begin()) return false;
    end();
    return true;
}

StreamTap::Progress StreamTap::move(net::Stream& from, net::Stream& to) {
    if (!active() && !begin()) return Progress::refused;
    SLUICE_ASSERT(side_->empty());
    if (main_->empty()) {
        const auto came = from.fill(*main_, bytes_at_a_time);
        if (came <= 0) return Progress::waits;
        moved_ += static_cast<std::uint64_t>(came);
    }
    // A copy begins where the pipe does: the next part of a long one comes when this is out.
    if (copied_ == 0) {
        const auto copied = side_->copy(*main_);
        if (copied <= 0) return Progress::refused;
        copied_ = static_cast<std::size_t>(copied);
    }
    while (copied_ > 0) {
        const auto left = to.drain(*main_, copied_);
        if (left <= 0) break;
        copied_ -= static_cast<std::size_t>(left);
    }
    return copied_ > 0 && side_->empty() ? Progress::waits : Progress::moved;
}

std::string_view StreamTap::read_copy(std::span<char> space) {
    if (!active() || side_->empty()) return {};
    return {space.data(), side_->read(space.data(), space.size())};
}

std::string_view StreamTap::take_back(std::span<char> space) {
    SLUICE_ASSERT(copied_ == 0);
    if (empty()) return {};
    return {space.data(), main_->read(space.data(), space.size())};
}

void StreamTap::rest() {
    if (active() && main_->empty() && side_->empty()) end();
}

void StreamTap::end() {
    if (main_ != nullptr) pipes_.give_back(*std::exchange(main_, nullptr));
    if (side_ != nullptr) pipes_.give_back(*std::exchange(side_, nullptr));
    copied_ = 0;
}

}  // namespace sluice::answer
