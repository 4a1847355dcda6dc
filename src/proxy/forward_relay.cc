// The body of a backend's answer, on its way to the client, and how it ends.
#include "forward.h"
#include "sluice/base/limits.h"
#include "sluice/llm/errors.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::proxy {
namespace {

// A request that is not kept while its answer passes is known again up to that: some tenths of a
// millisecond.
constexpr std::uint64_t digested_bytes_max = 4 * limits::MiB;

}  // namespace

// From here on the answer is the client's, and nothing is tried again.
void Forward::pass_on() {
    exchange_.answer_begun = true;
    retry_ = {};
    if (resume_ != nullptr || exchange_.request == nullptr || exchange_.may_ask_anew) return;
    // Its server may end yet.
    if (exchange_.request->body.size() <= digested_bytes_max) digest();
    exchange_.forget_request();
}

void Forward::relay_received() {
    while (link_ != nullptr && !link_->stream.received().empty()) {
        if (phase_ == Phase::waiting) {
            heard_ = service_.loop.now();
            if (!read_head()) break;
            continue;
        }
        const mem::Slice slice = link_->stream.received().pop_front();
        if (phase_ == Phase::holding)
            hold_slice(slice);
        else
            relay_slice(slice);
    }
    if (link_ == nullptr) return;
    // Behind a part of a head, or an interim one, that was received for itself.
    if ((phase_ == Phase::waiting || phase_ == Phase::holding) && link_->stream.open()) listen();
    if (!splice_body()) pace();
}

void Forward::relay_slice(const mem::Slice& slice) {
    SLUICE_ASSERT(phase_ == Phase::relaying);
    note_arrival();
    const std::uint64_t events_before = relay().events();
    mem::Chain out(service_.loop.nodes());
    std::size_t leftover = 0;
    const auto progress =
        relay().take(slice, link_->parser, service_.relay, service_.loop.buffers(), out, leftover);
    // Comments and parts of events are no progress, but signs of life.
    heard_ = service_.loop.now();
    if (!event_stream_ || relay().events() > events_before) phase_begun_ = heard_;
    delivery_.send(std::move(out));
    if (!judge_begin()) return;
    if (progress == http::Progress::incomplete) return;
    if (progress == http::Progress::failed) {
        if (relay().out_of_buffers()) {
            drop_link(false);
            place_.cancel();
            return break_off(no_memory(), End::unavailable);
        }
        const std::string cause = "The backend " + relay().failure(link_->parser);
        const answer::Break kind = relay().failure_kind();
        drop_link(false);
        return lose_answer(kind, cause);
    }
    const bool clean = leftover == 0 && link_->stream.received().empty();
    finish(clean && link_keeps_alive_);
}

// Back-pressure: while the client does not take what is queued, the backend is not listened to; at
// half of that it is again.
void Forward::pace() {
    if (phase_ != Phase::relaying) return;
    service_.watch_buffers();
    const std::size_t unsent = delivery_.unsent();
    const bool scarce = unsent > 0 && service_.low_on_buffers();
    if (!held_back_ && (unsent >= Delivery::unsent_bytes_max || scarce)) {
        held_back_ = true;
        link_->stream.hold_receiving();
    } else if (held_back_ && unsent <= Delivery::unsent_bytes_max / 2 && !scarce) {
        held_back_ = false;
        note_progress();  // the silence was ours
    }
    if (!held_back_) listen();
}

// --- endings --------------------------------------------------------------------------------

// Nothing more comes: the client gets the end of its framing.
void Forward::end_answer(bool reusable) {
    if (relay().unfinished()) {
        if (link_ != nullptr) drop_link(false);
        return lose_answer(answer::Break::unfinished,
                           "The backend ended its stream without a finish reason.");
    }
    mem::Chain out(service_.loop.nodes());
    if (!relay().end(service_.loop.buffers(), out)) {
        if (link_ != nullptr) drop_link(false);
        place_.cancel();
        return break_off(no_memory(), End::unavailable);
    }
    delivery_.send(std::move(out));
    finish(reusable);
}

// What the backend told, or what can be said without it when a stream was cut.
void Forward::take_usage() {
    exchange_.usage = relay().usage();
    if (resumes_ && resume_->stream)
        exchange_.usage = llm::usage_of_resumed(exchange_.usage, resume_->stream->tokens_before());
    if (exchange_.status != 200 || exchange_.is_generic() || !relay().reads()) return;
    const llm::Tokens counted = exchange_.endpoint->tokens;
    if (counted == llm::Tokens::none) return;
    llm::Usage& usage = exchange_.usage;
    ModelRates& rates = service_.rates_of(*exchange_.model);
    if (usage.known && !resumes_) {
        rates.prompt.learn(exchange_.body_bytes, usage.prompt);
        if (usage.completion_known)
            rates.completion.learn(relay().content_bytes(), usage.completion);
    }
    // The JSON around a prompt is a part of its rate, as the template around it is of its tokens.
    if (usage.prompt == 0) {
        exchange_.usage_estimated = true;
        usage.prompt = rates.prompt.tokens_in(exchange_.body_bytes);
    }
    // What a message_start tells of the text is not the end of it.
    if (counted != llm::Tokens::written || usage.completion_known) return;
    exchange_.usage_estimated |= !usage.known || written_tokens(rates.completion) > 0;
    usage.completion = std::max(usage.completion, written_tokens(rates.completion));
}

// Of a stream at least about one a piece, until the model's rate is known; but a piece may hold
// more.
std::uint64_t Forward::written_tokens(const llm::TokenRate& rate) const {
    const std::uint64_t by_bytes =
        rate.tokens_in(relay().content_bytes()) + relay().textless_events();
    if (event_stream_ && !rate.known()) return std::max(by_bytes, relay().content_events());
    return by_bytes;
}

void Forward::finish(bool reusable) {
    if (delivery_.withholding()) stop_withholding();
    take_usage();
    if (link_ != nullptr) drop_link(reusable);
    // What passed through pipes can only be judged behind its leaving, and a refusal that was too
    // long to be held is one all the same.
    const bool broken = relay().unfinished() || relay().passed_error();
    if (relay().passed_error()) {
        ++service_.statistics.answers_broken[static_cast<std::size_t>(answer::Break::error_event)];
        exchange_.error = "The backend ended its stream with an error: " + relay().error_text();
    }
    if (place_.held() && !broken) place_.note_tokens(exchange_.usage.completion);
    if (broken) {
        const auto said = llm::read_failure_body(relay().error_text());
        release_place(facts_of(relay().failure_kind(), said));
    } else {
        release_place({.status = exchange_.status});
    }
    retry_ = {};
    end_inquest(!broken && exchange_.status < 400);
    phase_ = Phase::finished;
    outcome_ = Outcome::done;
}

// The answer has begun; it ends with an event that says why, where the client can be told in band.
void Forward::break_off(Error error, End end, const llm::Refusal* refusal) {
    SLUICE_ASSERT(link_ == nullptr && !place_.held());
    if (delivery_.withholding()) stop_withholding();
    take_usage();
    retry_ = {};
    end_inquest(false);  // before the client can ask again
    delivery_.break_off(error, refusal, failure_code(error.status));
    exchange_.error = error.message;
    campaign_.failure() = std::move(error);
    failure_end_ = end;
    phase_ = Phase::finished;
    outcome_ = Outcome::broken;
    service_.loop.make_ready(owner_);
}

}  // namespace sluice::proxy
