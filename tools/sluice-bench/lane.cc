#include "lane.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::bench {
namespace {

// A server that refuses is not asked as fast as the machine can.
constexpr Duration pause_after_failure = Duration::millis(10);

}  // namespace

Lane::Lane(io::Loop& loop, const Load& load, Origin* origin)
    : loop_(loop), load_(load), origin_(origin), rotation_(load.requests) {
    for (const auto& request : load_.requests)
        texts_.push_back(request.text_with({}));
    for (std::uint32_t i = 0; i < load_.connections; ++i)
        clients_.push_back(std::make_unique<Client>(loop_, *this, load_.first_id + i));
}

Lane::~Lane() {
    SLUICE_ASSERT(over());
}

void Lane::start(Instant now) {
    if (load_.rate > 0) {
        for (auto& client : clients_)
            idle_.push_back(client.get());
        std::ranges::reverse(idle_);
        arrivals_.emplace(load_.rate, load_.poisson, load_.requests_max, load_.seed);
        arrivals_->start(now);
        free_since_ = now;
        return;
    }
    for (std::uint32_t i = 0; i < load_.connections; ++i)
        wakes_.push({now.ns + load_.ramp.ns * i / load_.connections, i});
}

Instant Lane::next_due() const {
    if (stopping_ || started_ == load_.requests_max) return io::TimerWheel::never;
    if (arrivals_)
        return idle_.empty() || !arrivals_->any() ? io::TimerWheel::never : arrivals_->next();
    return wakes_.empty() ? io::TimerWheel::never : Instant{wakes_.top().ns};
}

void Lane::send_due(Instant now) {
    if (stopping_) return;
    if (arrivals_) return send_arrivals(now);
    while (!wakes_.empty() && wakes_.top().ns <= now.ns) {
        Client& client = *clients_[wakes_.top().client];
        wakes_.pop();
        begin(client, now);
    }
}

void Lane::send_arrivals(Instant now) {
    while (!idle_.empty() && arrivals_->any() && arrivals_->next() <= now) {
        Client& client = *idle_.back();
        idle_.pop_back();
        const Instant due = arrivals_->take();
        tally_.lag.record(static_cast<std::uint64_t>((now - std::max(due, free_since_)).ns));
        if (arrivals_->in_window(due)) ++tally_.due;
        begin(client, due);
    }
}

void Lane::begin_window(Instant begin, Instant end) {
    tally_.clear();
    if (arrivals_) arrivals_->set_window(begin, end);
}

// Those that run, and those that no connection was free for.
void Lane::count_unanswered(Instant now) {
    const Instant end = std::min(now, arrivals_->end());
    for (const auto& client : clients_)
        if (client->asking() && arrivals_->in_window(client->from())) {
            if (client->from() <= end)
                tally_.count_unanswered(end - client->from());
            else
                --tally_.due;  // sent before this thread heard of the end
        }
    while (arrivals_->any() && arrivals_->next() <= end) {
        const Instant due = arrivals_->take();
        if (!arrivals_->in_window(due)) continue;
        ++tally_.due;
        tally_.count_unanswered(end - due);
    }
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
    if (arrivals_) {
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

void Lane::stop(Instant now) {
    if (std::exchange(stopping_, true)) return;
    if (arrivals_) count_unanswered(now);
    for (auto& client : clients_)
        client->stop();
}

bool Lane::over() const {
    return std::ranges::all_of(clients_, [](const auto& client) { return client->over(); });
}

}  // namespace sluice::bench
