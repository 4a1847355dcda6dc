#include "outbox.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sluice::model_sim {
namespace {

constexpr std::size_t sent_bytes_kept = 16 * 1024;

}  // namespace

void Outbox::pump(net::Stream& stream, std::size_t piece) {
    if (!stream.open() || stream.unsent() > 0) return;
    if (sent_ == sending_.size()) {
        sending_.clear();
        sent_ = 0;
        std::swap(sending_, filling_);
        if (sending_.empty()) return;
    }
    const auto rest = std::string_view(sending_).substr(sent_);
    const auto now = rest.substr(0, piece == 0 ? rest.size() : piece);
    sent_ += now.size();
    // "Static" as long as the connection: it closes its stream before it goes.
    stream.send(mem::Slice::of_static(now));
    stream.flush();
}

void Outbox::shrink() {
    if (filling_.capacity() > sent_bytes_kept) filling_ = {};
    if (sent_ == sending_.size() && sending_.capacity() > sent_bytes_kept) {
        sending_ = {};
        sent_ = 0;
    }
}

}  // namespace sluice::model_sim
