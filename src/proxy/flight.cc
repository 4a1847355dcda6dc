#include "flight.h"

#include "field_lines.h"
#include "sluice/policy/advice.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sluice::proxy {
namespace {

using answer::Recording;

// How often it is looked whether the slowest of the listeners has caught up.
constexpr Duration catch_up_gap = Duration::millis(5);

cache::Form form_of(const Recording::Head& head) {
    if (!head.event_stream) return cache::Form::document;
    return head.form == sse::Form::json_lines ? cache::Form::lines : cache::Form::events;
}

}  // namespace

Flight* Flight::begin(Service& service, Exchange& first, FlightPlan&& plan,
                      std::shared_ptr<Recording> recording) {
    Exchange* exchange = service.begin_flight(first);
    if (exchange == nullptr) return nullptr;
    Flight* flight =
        service.flight_slots.create(service, *exchange, std::move(plan), std::move(recording));
    if (flight == nullptr) {
        first.request = std::exchange(exchange->request, nullptr);
        service.exchanges.destroy(*exchange);
        return nullptr;
    }
    service.flights.begun(*flight);
    flight->forward_->start();
    service.loop.make_ready(*flight);
    return flight;
}

Flight::Flight(Service& service, Exchange& exchange, FlightPlan&& plan,
               std::shared_ptr<Recording> recording)
    : service_(service),
      exchange_(exchange),
      plan_(std::move(plan)),
      recording_(std::move(recording)),
      asked_(exchange.model),
      timer_(this, [](void* self) {
          auto& flight = *static_cast<Flight*>(self);
          flight.timer_fired_ = true;
          flight.service_.loop.make_ready(flight);
      }) {
    if (plan_.batch != nullptr && !plan_.batch->asks_for_all()) ask_for_rest();
    forward_.emplace(service, exchange, *this, rest_ != nullptr ? *rest_ : *recording_);
}

void Flight::bury() {
    SLUICE_ASSERT(over_);
    service_.loop.timers().disarm(timer_);
    service_.flight_slots.destroy(*this);
}

void Flight::advance() {
    if (over_) return;
    auto outcome = forward_->advance();
    // What has come counts before what is late: a turn may have taken long.
    if (std::exchange(timer_fired_, false) && outcome == Answering::Outcome::pending &&
        forward_->deadline() <= service_.loop.now()) {
        forward_->expire();
        outcome = forward_->advance();
    }
    recording_->set_wait(forward_->wait());
    if (outcome != Answering::Outcome::pending) return end(outcome);
    forward_->flush();
    if (!recording_->kept_whole() && !std::exchange(shut_, true))
        service_.flights.shut(plan_.key, recording_);
    const bool begun = recording_->state() != Recording::State::waiting;
    if (recording_->published() != told_ || begun != begun_told_) {
        told_ = recording_->published();
        begun_told_ = begun;
        service_.flights.progress(recording_);
    }
    watch_deadline();
}

void Flight::watch_deadline() {
    Instant due = forward_->deadline();
    if (recording_->behind() > 0) due = std::min(due, service_.loop.now() + catch_up_gap);
    // Its listeners are told of its place, which moves while it stands in line.
    const Duration every = exchange_.model->setting.queue.notice_every;
    if (recording_->wait().stage == Recording::Stage::line && every.ns != 0)
        due = std::min(due, service_.loop.now() + every);
    if (due == io::TimerWheel::never)
        service_.loop.timers().disarm(timer_);
    else
        service_.loop.timers().arm(timer_, due);
}

void Flight::end(Answering::Outcome outcome) {
    const bool whole = outcome == Answering::Outcome::done;
    if (whole && rest_ != nullptr && !take_rest()) return ask_for_all();
    Recording::Ending ending{.whole = whole,
                             .end = whole ? forward_->answer_end() : forward_->failure_end()};
    if (!whole) {
        ending.error = forward_->failure();
        ending.advice = forward_->advice();
        ending.in_band = forward_->in_band();
    } else {
        ending.error.message = exchange_.error;
    }
    settle(std::move(ending));
}

void Flight::end_unwanted() {
    if (over_) return;
    forward_->abandon();
    settle({.end = End::client_gone});
}

void Flight::cut_off() {
    forward_->interrupt(
        {Source::gateway, Retry::yes, 503, "The gateway is stopping; send the request again."},
        End::drained);
    service_.loop.make_ready(*this);
}

void Flight::settle(Recording::Ending&& ending) {
    SLUICE_ASSERT(!over_);
    over_ = true;
    ending.place.model = exchange_.model->name;
    ending.place.retries = exchange_.retries;
    if (exchange_.target != nullptr) ending.place.server = exchange_.target->endpoint;
    ending.usage = exchange_.usage;
    ending.usage_estimated = exchange_.usage_estimated;
    ending.resumed = exchange_.resumed;
    ending.queued = exchange_.queued;
    ending.hops = exchange_.hops;
    ending.lane = exchange_.lane;
    if (!fresh_.empty()) {
        // What the client is told; what the backend has read is less.
        if (const auto tokens = plan_.batch->tokens())
            ending.usage = {.prompt = *tokens, .known = true};
    }
    recording_->end(std::move(ending));
    take_all();
    service_.flights.keep(std::move(fresh_), plan_.ttl, exchange_.begun);
    auto kept = answer_to_keep();
    service_.flights.over(*this, plan_.key, recording_, std::move(kept), plan_.ttl,
                          exchange_.begun);
    service_.settle_flight(exchange_);
    service_.loop.timers().disarm(timer_);
    service_.loop.retire(*this);
}

// Null: it is not one to give again.
std::shared_ptr<const cache::Answer> Flight::answer_to_keep() const {
    const auto& ending = recording_->ending();
    const bool success = ending.whole && ending.end == End::ok && exchange_.status == 200;
    if (!plan_.keep || plan_.batch != nullptr || !success || !recording_->kept_whole())
        return nullptr;
    const auto& head = recording_->head();
    std::vector<cache::AnswerEvent> events;
    events.reserve(recording_->runs().size());
    for (const auto& run : recording_->runs())
        events.push_back(
            {static_cast<std::uint32_t>(run.end), static_cast<std::uint32_t>(std::min<std::int64_t>(
                                                      run.since_first.as_micros(), UINT32_MAX))});
    const std::string body = recording_->whole_body();
    return cache::Answer::make({.status = 200,
                                .form = form_of(head),
                                .content_type = value_in(head.fields, "content-type"),
                                .model = exchange_.model->name,
                                .scope = {plan_.scope, plan_.scope_name},
                                .consumer = exchange_.consumer_name(),
                                .usage = ending.usage,
                                .created = wall_now()},
                               body, events);
}

}  // namespace sluice::proxy
