#include "replay.h"

#include "field_lines.h"
#include "sluice/llm/errors.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::proxy {
namespace {

using answer::Recording;

// A document is waited for up to that, so that its length can be said.
constexpr std::size_t document_bytes_awaited = 256 * limits::KiB;

Error no_memory() {
    return {Source::gateway, Retry::yes, 503,
            "The gateway is out of buffer memory (--buffers). Try again later."};
}

// The place of that server in the model, if it is one of them.
const upstream::Target* target_of(const upstream::Model& model,
                                  const std::shared_ptr<const upstream::Endpoint>& server) {
    for (const auto& target : model.targets)
        if (server != nullptr && target.endpoint->id == server->id) return &target;
    return nullptr;
}

}  // namespace

Replay::Replay(Service& service, Exchange& exchange, io::Actor& owner, net::Stream& client,
               std::unique_ptr<answer::Cursor> cursor)
    : service_(service),
      exchange_(exchange),
      owner_(owner),
      delivery_(service, exchange, client),
      cursor_(std::move(cursor)) {
    SLUICE_ASSERT(exchange.sharing != nullptr && exchange.sharing->ready());
}

Replay::~Replay() {
    SLUICE_ASSERT(!listener_hook.linked());
}

void Replay::release() {
    service_.replays.destroy(*this);
}

void Replay::start() {
    if (exchange_.request != nullptr) exchange_.forget_request();
    if (!is_kept()) service_.flights.listen(*this, cursor_->share());
    service_.loop.make_ready(owner_);
}

Answering::Outcome Replay::advance() {
    if (state_ == State::waiting) begin();
    if (state_ == State::judging && ended()) tell_refusal();
    if (state_ == State::giving) give();
    return outcome_;
}

bool Replay::ended() const {
    return is_kept() || recording().state() == Recording::State::ended;
}

// --- the head -------------------------------------------------------------------------------

void Replay::begin() {
    if (is_kept()) {
        const auto& kept = *exchange_.sharing->answer().kept;
        std::string& fields = service_.text;
        fields = "Content-Type: ";
        fields.append(exchange_.sharing->content_type()).append("\r\n");
        exchange_.usage = kept.usage();
        const bool stream = exchange_.sharing->is_stream();
        if (!write_head(kept.status(), "OK", fields, stream, exchange_.sharing->form(),
                        stream ? std::nullopt : std::optional(kept_body().size())))
            return;
        state_ = State::giving;
        return;
    }
    const auto state = recording().state();
    if (state == Recording::State::waiting) return;
    if (!recording().has_head()) return end_broken();
    const auto& head = recording().head();
    take_place(head.place);
    if (delivery_.committed()) {
        // Only events can follow what is out.
        const bool fits = head.status == 200 && head.event_stream;
        state_ = fits ? State::giving : State::judging;
        return;
    }
    std::optional<std::uint64_t> length;
    if (!head.event_stream) {
        if (ended()) {
            // Of a broken document nobody has heard anything yet: an error says more than a part.
            if (!recording().ending().whole) return end_broken();
            length = recording().published();
        } else if (recording().published() <= document_bytes_awaited) {
            return;
        }
    }
    if (!write_head(head.status, head.reason, head.fields, head.event_stream, head.form, length))
        return;
    state_ = State::giving;
}

// `length`: of a whole body. False: no buffer; it is over.
bool Replay::write_head(int status, std::string_view reason, std::string_view fields,
                        bool event_stream, sse::Form form, std::optional<std::uint64_t> length) {
    const auto out =
        length ? http::Framing::length
               : answer::choose_framing(http::Framing::chunked, delivery_.minor(), event_stream);
    if (out == http::Framing::until_close) delivery_.must_close();
    http::HeadWriter writer(service_.head_space());
    delivery_.begin_head(writer, status, reason);
    writer.lines(fields);
    if (exchange_.dialect() == llm::Dialect::anthropic) {
        const auto named = value_in(fields, "request-id");
        if (named.empty())
            delivery_.name_request(writer);
        else
            delivery_.keep_request_id(named);
    }
    if (is_kept()) writer.field("age", cache::age_seconds(exchange_.sharing->answer().age));
    delivery_.frame_head(writer, out, length.value_or(0));
    if (!delivery_.send_head(writer)) {
        fail(no_memory(), End::unavailable, {});
        return false;
    }
    delivery_.relay().begin({.in = out, .out = out, .event_stream = event_stream, .form = form});
    exchange_.status = status;
    exchange_.answer_begun = true;
    return true;
}

// --- the body -------------------------------------------------------------------------------

std::string_view Replay::kept_body() const {
    return exchange_.sharing->body();
}

std::string_view Replay::next() const {
    return is_kept() ? kept_body().substr(given_) : cursor_->next();
}

void Replay::consume(std::size_t bytes) {
    if (is_kept())
        given_ += bytes;
    else
        cursor_->consume(bytes);
}

void Replay::give() {
    SLUICE_ASSERT(state_ == State::giving);
    while (delivery_.unsent() < Delivery::unsent_bytes_max) {
        const auto run = next().substr(0, Delivery::unsent_bytes_max);
        if (run.empty()) break;
        mem::Chain out(service_.loop.nodes());
        if (!delivery_.relay().pass(run, service_.loop.buffers(), out)) {
            leave();
            failure_ = no_memory();
            failure_end_ = End::unavailable;
            delivery_.break_off(failure_, nullptr, failure_code(failure_.status));
            exchange_.error = failure_.message;
            state_ = State::finished;
            outcome_ = Outcome::broken;
            return;
        }
        if (exchange_.first_byte == Instant{}) exchange_.first_byte = service_.loop.now();
        consume(run.size());
        delivery_.send(std::move(out));
    }
    const bool all = is_kept() ? given_ == kept_body().size() : cursor_->at_end();
    if (all) finish();
}

// --- the end --------------------------------------------------------------------------------

void Replay::finish() {
    if (is_kept() || recording().ending().whole)
        end_whole();
    else
        end_broken();
}

void Replay::end_whole() {
    mem::Chain out(service_.loop.nodes());
    if (!delivery_.relay().end(service_.loop.buffers(), out)) {
        failure_ = no_memory();
        failure_end_ = End::unavailable;
        outcome_ = Outcome::broken;
        delivery_.must_close();
    } else {
        delivery_.send(std::move(out));
        outcome_ = Outcome::done;
    }
    if (!is_kept()) {
        const auto& ending = recording().ending();
        take_facts(ending);
        answer_end_ = ending.end;
        exchange_.error = ending.error.message;
    }
    leave();
    state_ = State::finished;
}

// The flight got no answer, or its answer broke.
void Replay::end_broken() {
    const auto& ending = recording().ending();
    take_facts(ending);
    if (!exchange_.answer_begun) return fail(ending.error, ending.end, ending.advice);
    failure_ = ending.error;
    failure_end_ = ending.end;
    exchange_.error = failure_.message;
    std::optional<llm::Refusal> refusal;
    if (ending.in_band.erred)
        refusal = llm::read_refusal(ending.in_band.error_text, llm::message_of(failure_.message));
    delivery_.break_off(failure_, refusal ? &*refusal : nullptr, failure_code(failure_.status),
                        ending.in_band);
    leave();
    state_ = State::finished;
    outcome_ = Outcome::broken;
}

// The client was promised a stream, and what came is a refusal, or a document.
void Replay::tell_refusal() {
    const auto& ending = recording().ending();
    take_facts(ending);
    std::string body;
    for (auto run = cursor_->next(); !run.empty(); run = cursor_->next()) {
        body += run;
        cursor_->consume(run.size());
    }
    const int status = recording().head().status;
    failure_ = ending.error;
    if (failure_.message.empty()) failure_.message = "The backend refused the request.";
    failure_.status = status < 400 ? 502 : status;
    failure_end_ = ending.whole ? End::backend_error : ending.end;
    const auto refusal = llm::read_refusal(body, llm::message_of(failure_.message));
    delivery_.break_off(failure_, &refusal, failure_code(failure_.status));
    exchange_.error = failure_.message;
    leave();
    state_ = State::finished;
    outcome_ = Outcome::broken;
}

// The flight may have turned to another model.
void Replay::take_place(const Recording::Place& place) {
    const upstream::Model* model = exchange_.catalog->find(place.model);
    if (model != nullptr && model->name == place.model) exchange_.model = model;
    exchange_.target = target_of(*exchange_.model, place.server);
    exchange_.retries = place.retries;
    // Then nothing of what is kept was of use.
    if (place.asked_anew && exchange_.cache == cache::Outcome::partial)
        exchange_.cache = cache::Outcome::miss;
}

void Replay::take_facts(const Recording::Ending& ending) {
    take_place(ending.place);
    exchange_.usage = ending.usage;
    exchange_.usage_estimated = ending.usage_estimated;
    exchange_.resumed = ending.resumed;
    exchange_.queued = ending.queued;
    exchange_.hops = ending.hops;
    exchange_.lane = ending.lane;
}

void Replay::fail(Error error, End end, policy::RetryAdvice advice) {
    SLUICE_ASSERT(!exchange_.answer_begun);
    exchange_.error = error.message;
    failure_ = std::move(error);
    failure_end_ = end;
    advice_ = advice;
    leave();
    state_ = State::finished;
    outcome_ = Outcome::failed;
    service_.loop.make_ready(owner_);
}

void Replay::leave() {
    if (!listener_hook.linked()) return;
    service_.flights.leave(*this, exchange_.sharing->key(), cursor_->share());
}

void Replay::abandon() {
    leave();
    state_ = State::finished;
}

void Replay::interrupt(Error cause, End end) {
    if (!exchange_.answer_begun) return fail(std::move(cause), end, {});
    leave();
    failure_ = std::move(cause);
    failure_end_ = end;
    exchange_.error = failure_.message;
    delivery_.break_off(failure_, nullptr, failure_code(failure_.status));
    state_ = State::finished;
    outcome_ = Outcome::broken;
    service_.loop.make_ready(owner_);
}

// --- what the client is told while it waits -------------------------------------------------

Delivery::Hearing Replay::hearing() const {
    Delivery::Hearing hearing{
        .open = false, .has_spoken = state_ == State::giving && cursor_ && cursor_->position() > 0};
    if (is_kept() || !exchange_.streamed || exchange_.endpoint->streaming != llm::Streaming::sse)
        return hearing;
    const auto& plan = delivery_.relay().plan();
    const bool between_events =
        state_ != State::giving || (plan.event_stream && plan.form == sse::Form::event_stream &&
                                    !delivery_.relay().inside_event());
    hearing.open = state_ != State::finished && between_events && delivery_.may_begin();
    return hearing;
}

// Its own; the flight keeps those of the model.
policy::Deadline Replay::client_deadline() const {
    if (state_ == State::finished || is_kept()) return {};
    return policy::next_deadline({.first_byte = {}, .gap = {}, .silence = {}, .total = {}},
                                 exchange_.client_timeouts, policy::Phase::gap,
                                 {.received = exchange_.begun,
                                  .began = service_.loop.now(),
                                  .last_sent = delivery_.last_sent(),
                                  .heard = service_.loop.now()});
}

Instant Replay::deadline() const {
    if (state_ == State::finished || is_kept()) return io::TimerWheel::never;
    const auto clients = client_deadline();
    return std::min(clients ? clients.at : io::TimerWheel::never, delivery_.next_notice(hearing()));
}

void Replay::expire() {
    const Instant now = service_.loop.now();
    if (const auto clients = client_deadline(); clients && clients.at <= now)
        return interrupt({Source::backend, Retry::no, policy::status_of(clients.name),
                          policy::describe(clients, exchange_.model->name)},
                         End::timeout);
    if (delivery_.next_notice(hearing()) > now) return;
    delivery_.note_told(now);
    if (delivery_.unsent() > 0) return;
    if (!exchange_.answer_begun && !delivery_.commit(recording().wait().position)) return;
    const auto heard = hearing();
    if (heard.open) delivery_.insert_notice(heard.has_spoken, recording().wait());
}

}  // namespace sluice::proxy
