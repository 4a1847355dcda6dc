#include "lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice::bench {
namespace {

// A server that refuses is not asked as fast as the machine can.
constexpr Duration pause_after_failure = Duration::millis(10);

}  // namespace

Lane::Lane(io::Loop& loop, const Load& load, Origin* origin)
    : loop_(loop), load_(load), origin_(origin), rotation_(load.requests), prng_(load.seed) {
    for (const auto& request : load_.requests)
        texts_.push_back(request.text_with({}));
    for (std::uint32_t i = 0; i < load_.connections; ++i)
        clients_.push_back(std::make_unique<Client>(loop_, *this, load_.first_id + i));
}

Lane::~Lane() {
    SLUICE_ASSERT(over());
}

void Lane::start() {
    const Instant now = monotonic_now();
    if (open_loop()) {
        for (auto& client : clients_)
            idle_.push_back(client.get());
        std::ranges::reverse(idle_);
        arrival_ = now + distance();
        free_since_ = now;
        return;
    }
    for (std::uint32_t i = 0; i < load_.connections; ++i)
        wakes_.push({now.ns + load_.ramp.ns * i / load_.connections, i});
}

Instant Lane::next_due() const {
    if (stopping_ || started_ == load_.requests_max) return io::TimerWheel::never;
    if (open_loop()) return idle_.empty() ? io::TimerWheel::never : arrival_;
    return wakes_.empty() ? io::TimerWheel::never : Instant{wakes_.top().ns};
}

void Lane::send_due(Instant now) {
    if (stopping_) return;
    if (open_loop()) return send_arrivals(now);
    while (!wakes_.empty() && wakes_.top().ns <= now.ns) {
        Client& client = *clients_[wakes_.top().client];
        wakes_.pop();
        begin(client, now);
    }
}

void Lane::send_arrivals(Instant now) {
    while (!idle_.empty() && arrival_ <= now && started_ < load_.requests_max) {
        Client& client = *idle_.back();
        idle_.pop_back();
        tally_.lag.record(static_cast<std::uint64_t>((now - std::max(arrival_, free_since_)).ns));
        begin(client, arrival_);
        arrival_ = arrival_ + distance();
    }
}

Duration Lane::distance() {
    const double mean_ns = 1e9 / load_.rate;
    if (!load_.poisson) return {static_cast<std::int64_t>(mean_ns)};
    const double uniform = (static_cast<double>(prng_.next() >> 11) + 1) * 0x1p-53;
    return {static_cast<std::int64_t>(-std::log(uniform) * mean_ns)};
}

void Lane::begin(Client& client, Instant from) {
    if (started_ == load_.requests_max) return;
    ++started_;
    ++busy_;
    const std::size_t index = rotation_.next();
    const Request& request = load_.requests[index];
    std::string_view text = texts_[index];
    if (origin_ != nullptr && request.expectation.stream) {
        if (client.own_text.empty() || load_.requests.size() > 1)
            client.own_text =
                request.text_with(fmt::format("{}: {}", Origin::stream_field, client.id()));
        text = client.own_text;
    }
    client.begin(request, text, from);
}

void Lane::on_idle(Client& client, bool failed) {
    SLUICE_ASSERT(busy_ > 0);
    --busy_;
    if (stopping_) return;
    const Instant now = monotonic_now();
    if (open_loop()) {
        if (idle_.empty()) free_since_ = now;
        idle_.push_back(&client);
        return;
    }
    const Duration pause = failed ? std::max(load_.think, pause_after_failure) : load_.think;
    if (pause.ns > 0)
        wakes_.push({(now + pause).ns, client.id() - load_.first_id});
    else
        begin(client, now);
}

void Lane::on_events(Client& client, std::uint32_t events) {
    if (origin_ != nullptr) origin_->received(client.id(), events);
}

void Lane::stop() {
    stopping_ = true;
    for (auto& client : clients_)
        client->stop();
}

bool Lane::over() const {
    return std::ranges::all_of(clients_, [](const auto& client) { return client->over(); });
}

}  // namespace sluice::bench
