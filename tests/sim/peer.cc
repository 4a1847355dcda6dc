#include "peer.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::sim {
namespace {

// How long the peer's process needs to notice.
constexpr Duration reaction_max = Duration::micros(100);

}  // namespace

Peer::~Peer() = default;

void Peer::begin(EndpointPtr end) {
    end_ = std::move(end);
    end_->peer = this;
    simulation().after(simulation().random_delay(reaction_max), [this] {
        if (over_) return;
        on_connected();
        pump();
    });
}

void Peer::refuse() {
    over_ = true;
    on_refused();
}

bool Peer::is_backed_up() const {
    if (!end_) return false;
    const Endpoint& other = *end_->other;
    return outgoing_.size() + other.in_transit.size() + other.arrived.size() > other.arrived_max;
}

// --- what scripts call ----------------------------------------------------------------------

void Peer::send(std::string_view bytes) {
    SLUICE_ASSERT(!finish_wanted_);
    if (over_) return;
    outgoing_ += bytes;
    pump_later();
}

void Peer::finish() {
    if (over_) return;
    finish_wanted_ = true;
    pump_later();
}

void Peer::close() {
    if (over_) return;
    over_ = true;
    if (!end_) return;
    // What the process had written its kernel still sends.
    if (!finished_ && end_->error == 0) simulation().network().write(*end_, outgoing_);
    simulation().network().release(*end_, false);
}

void Peer::reset() {
    if (over_) return;
    over_ = true;
    if (end_) simulation().network().release(*end_, true);
}

void Peer::read_slowly(std::size_t bytes, Duration pause) {
    read_max_ = bytes;
    read_pause_ = pause;
    pump_later();
}

void Peer::after(Duration delay, std::function<void()> action) {
    simulation().after(delay, [this, action = std::move(action)] {
        if (!over_) action();
    });
}

// --- moving bytes ---------------------------------------------------------------------------

void Peer::pump_later() {
    if (pumping_ || over_ || !end_) return;
    pumping_ = true;
    simulation().after(simulation().random_delay(reaction_max), [this] {
        pumping_ = false;
        pump();
    });
}

void Peer::pump() {
    if (over_) return;
    if (end_->error == 0) pump_out();
    pump_in();
    if (over_ || end_->error == 0) return;
    over_ = true;
    killed_ = end_->killed;
    simulation().network().release(*end_, false);
    on_reset();
}

void Peer::pump_out() {
    Network& network = simulation().network();
    const std::size_t size = std::min(outgoing_.size(), Network::room(*end_));
    if (size > 0) {
        network.write(*end_, std::string_view(outgoing_).substr(0, size));
        outgoing_.erase(0, size);
    }
    if (finish_wanted_ && outgoing_.empty() && !finished_) {
        finished_ = true;
        network.finish(*end_);
    }
}

void Peer::pump_in() {
    while (!over_ && !end_->arrived.empty() && read_max_ > 0) {
        if (simulation().now() < read_next_) return;
        const std::string bytes = end_->arrived.substr(0, read_max_);
        simulation().network().consume(*end_, bytes.size());
        if (read_pause_.ns > 0) {
            read_next_ = simulation().now() + read_pause_;
            after(read_pause_, [this] { pump_later(); });
        }
        on_data(bytes);
    }
    if (over_ || !end_->arrived.empty() || !end_->end_arrived || end_told_) return;
    end_told_ = true;
    on_end();
}

}  // namespace sluice::sim
