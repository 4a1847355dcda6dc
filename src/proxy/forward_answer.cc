// The head of a backend's answer: passed on, or held until it is known that no other will do.
#include "forward.h"
#include "refusal_form.h"
#include "sluice/base/limits.h"
#include "sluice/http/writer.h"
#include "sluice/llm/errors.h"
#include "sluice/llm/failure_body.h"

#include <utility>

namespace sluice::proxy {
namespace {

using policy::AttemptEnd;
using policy::FailureClass;

// Fields of an answer that are ours to say.
constexpr http::FieldSet not_forwarded = {
    http::FieldId::x_request_id,
    http::FieldId::x_sluice,
    http::FieldId::x_sluice_backend,
    // A backend's own word on which pages may read its answers is not the gateway's.
    http::FieldId::cross_origin_grant,
};

// What is told of another try, which is decided here.
constexpr http::FieldSet retry_fields = {http::FieldId::retry_after, http::FieldId::retry_after_ms,
                                         http::FieldId::x_should_retry};

// A type that servers give to anything.
bool is_unnamed(std::string_view type) {
    return type.empty() || http::same_name(type, "text/plain") ||
           http::same_name(type, "application/octet-stream");
}

// An answer to a request for a stream is one perhaps, whatever its type: servers, and what stands
// before them, label it as they like.
bool may_be_events(const Exchange& exchange) {
    return exchange.streamed && exchange.endpoint->streaming == llm::Streaming::sse &&
           exchange.endpoint->says_finish();
}

}  // namespace

// False: the head is not complete yet.
bool Forward::read_head() {
    http::Head& head = service_.head;
    auto& received = link_->stream.received();
    const auto progress =
        head_reader_.read(received, link_->parser, head, exchange_.method == http::Method::head);
    if (progress == http::Progress::incomplete) return false;
    if (progress == http::Progress::failed) {
        fail_answer("sent an answer that is not valid HTTP: " + link_->parser.error().message);
        return true;
    }
    if (head.status < 200) {
        // 101 would turn the connection into a tunnel; nobody asked for one.
        if (head.status == 101 || ++interim_answers_ > limits::informational_responses_max)
            fail_answer("sent interim answers only.");
        else
            head_reader_.consume(received, head);
        return true;
    }
    begin_answer(head);
    // Else it cannot be used, and another try is under way, perhaps on another link.
    if (phase_ != Phase::relaying && phase_ != Phase::holding) return true;
    head_reader_.consume(received, head);
    if (body_expected_) return true;
    if (phase_ == Phase::holding) {
        drop_link(received.empty() && link_keeps_alive_);
        judge_held();
    } else {
        end_answer(received.empty() && link_keeps_alive_);
    }
    return true;
}

// An answer that cannot be used: nothing of it has reached the client.
void Forward::fail_answer(const std::string& what) {
    drop_link(false);
    held_answer_ = nullptr;
    note_break();
    look_for_listener();
    const policy::FailureFacts facts{.end = AttemptEnd::malformed, .status = 0, .error = nullptr};
    move_on(facts, Error::backend(502, Retry::no, "The backend " + what));
}

void Forward::begin_answer(const http::Head& head) {
    const std::string_view coding = head.find(http::FieldId::content_encoding);
    const bool encoded = !coding.empty() && !http::same_name(coding, "identity");
    const std::string_view type = head.media_type();
    const bool json_lines = http::same_name(type, "application/x-ndjson");
    form_ = json_lines ? sse::Form::json_lines : sse::Form::event_stream;
    const bool may_read = !encoded && !exchange_.is_generic();
    const bool named = http::same_name(type, "text/event-stream");
    const bool guessed = may_read && !named && head.status == 200 && may_be_events(exchange_);
    event_stream_ = may_read && (json_lines || guessed || named);
    const bool unnamed = exchange_.endpoint->says_finish() && is_unnamed(type);
    const bool is_json =
        unnamed || http::same_name(type, "application/json") || type.ends_with("+json");
    const bool readable = may_read && !guessed && is_json;
    if (encoded && usage_injected_ && head.status == 200) return refuse_coding();
    if (plainly_ && head.status < 400) note_plain_answer();
    const bool hide = usage_injected_ && event_stream_;
    body_expected_ = head.framing == http::Framing::length ? head.content_length > 0
                                                           : head.framing != http::Framing::none;
    // llama-server closes after a stream although it says keep-alive: do not meet the reset.
    const bool closes_silently = event_stream_ && head.find(http::FieldId::server) == "llama.cpp";
    link_keeps_alive_ = head.keep_alive && !closes_silently;
    exchange_.overhead = exchange_.overhead + (monotonic_now() - service_.loop.now());
    // One that may be long is held only where it has to be read.
    const bool is_short = head.framing == http::Framing::length
                              ? head.content_length <= answer::HeldAnswer::bytes_max
                              : !exchange_.is_generic() || head.framing == http::Framing::none;
    if (head.status >= 400 && !event_stream_ && is_short) return hold(head);
    if (delivery_.committed() && readable && head.status == 200 && is_short) return hold(head);
    if (delivery_.committed() && (!event_stream_ || head.status != 200))
        return fail_answer("answered with no stream, although a stream was asked for.");
    // A stream of declared length could not be ended with an error event: chunks can.
    const auto out = answer::choose_framing(head.framing, delivery_.minor(), event_stream_);
    if (out == http::Framing::until_close) delivery_.must_close();
    if (may_withhold(head, readable)) delivery_.withhold(service_.loop.now());
    const bool withholds_events =
        delivery_.withholding() && event_stream_ && exchange_.model->has_others();
    prepare_to_resume();
    if (!delivery_.committed() && !write_answer_head(head, out)) {
        drop_link(false);
        place_.cancel();
        delivery_.drop_withheld();
        return give_up(no_memory());
    }
    const bool raw =
        choose_answer_lane({.in = head.framing,
                            .out = out,
                            .events_taken_out = hide || withholds_events || resume_ || guessed,
                            .bytes_ahead = head.content_length});
    relay().begin({.in = head.framing,
                   .out = out,
                   .length = head.content_length,
                   .event_stream = event_stream_,
                   .form = form_,
                   .readable = readable,
                   .hide_usage_event = hide,
                   .examined = readable && delivery_.withholding(),
                   .guessed = guessed,
                   .must_finish = head.status == 200 && exchange_.endpoint->says_finish(),
                   .responses = event_stream_ && exchange_.dialect() == llm::Dialect::responses,
                   .raw = raw,
                   .journal = resume_ && !resumes_ ? &resume_->journal : nullptr,
                   .resumed = resumes_ ? &*resume_->stream : nullptr});
    if (resumes_) begin_resumed();
    exchange_.status = head.status;
    pool_->expect_large(exchange_.lane.lane == answer::Lane::splice);
    enter(Phase::relaying);
    if (!delivery_.withholding()) pass_on();
}

// Whether the begin of an answer is kept until it is seen to be none: a stream's up to its first
// word, or to what is of use before it where nobody else could answer; a document's up to a sign.
bool Forward::may_withhold(const http::Head& head, bool readable) const {
    if (head.status != 200 || resumes_ || !body_expected_) return false;
    if (!event_stream_)
        return readable && !delivery_.committed() &&
               (head.framing != http::Framing::length ||
                head.content_length <= answer::HeldAnswer::bytes_max);
    if (!exchange_.endpoint->says_finish()) return false;
    // What leaves through pipes is read behind its leaving.
    const bool piped = service_.settings.relay == config::RelayMode::splice;
    return exchange_.model->has_others() || !piped;
}

bool Forward::write_answer_head(const http::Head& head, http::Framing out) {
    http::HeadWriter writer(service_.head_space());
    delivery_.begin_head(writer, head.status, head.reason);
    forward_fields(writer, head);
    if (head.status >= 400 && !exchange_.is_generic()) {
        answer::HeldAnswer refused;
        refused.status = head.status;
        refused.advice = policy::read_retry_advice(head, wall_now());
        campaign_.set_failed_as(policy::classify(
            {.end = AttemptEnd::answered, .status = head.status, .error = nullptr}));
        writer.lines(policy::advice_fields(advice_for(refused)));
    }
    delivery_.frame_head(writer, out, head.content_length);
    if (out == http::Framing::none && head.has_content_length && head.status != 204)
        writer.field("Content-Length", head.content_length);
    return send_head(writer);
}

// The backend's own, and what goes with its kind of answer.
void Forward::forward_fields(http::HeadWriter& writer, const http::Head& head) {
    http::FieldSet without = not_forwarded;
    if (head.status >= 400 && !exchange_.is_generic()) without = without | retry_fields;
    // One of another type may still turn out to be none.
    const std::string_view type = head.media_type();
    const bool stream =
        http::same_name(type, "text/event-stream") ||
        (event_stream_ && (is_unnamed(type) || http::same_name(type, "application/x-ndjson")));
    if (stream) without.add(http::FieldId::x_accel_buffering);
    writer.forward(head, without);
    if (stream) {
        // Else nginx in front of us gathers events before it passes them on.
        writer.field("X-Accel-Buffering", "no");
        if (!head.has(http::FieldId::cache_control)) writer.field("Cache-Control", "no-cache");
    }
    if (exchange_.dialect() != llm::Dialect::anthropic) return;
    if (head.has(http::FieldId::request_id))
        delivery_.keep_request_id(head.find(http::FieldId::request_id));
    else
        delivery_.name_request(writer);
}

bool Forward::send_head(http::HeadWriter& writer) {
    // The rest of a body that nobody wants any more is in the way of another request.
    if (upload_ != nullptr && !upload_->complete()) delivery_.must_close();
    return delivery_.send_head(writer);
}

// --- refusals -------------------------------------------------------------------------------

void Forward::hold(const http::Head& head) {
    held_answer_ = std::make_unique<answer::HeldAnswer>();  // rare: a backend refuses
    held_answer_->status = head.status;
    held_answer_->reason = head.reason;
    held_answer_->framing = head.framing;
    held_answer_->advice = policy::read_retry_advice(head, wall_now());
    held_answer_->of_gateway = head.find(http::FieldId::server) == "sluice";
    http::HeadWriter writer(service_.head_space());
    forward_fields(writer, head);
    if (writer.overflowed()) return fail_answer("sent an answer whose head is too long.");
    held_answer_->fields = writer.text();
    enter(Phase::holding);
}

void Forward::hold_slice(const mem::Slice& slice) {
    auto& pieces = service_.relay.pieces;
    pieces.clear();
    std::size_t consumed = 0;
    const auto progress = link_->parser.parse_body(slice.text(), pieces, consumed);
    note_progress();
    for (const auto& piece : pieces)
        held_answer_->body += slice.text().substr(piece.begin, piece.end - piece.begin);
    if (progress == http::Progress::failed)
        return fail_answer("broke its framing: " + link_->parser.error().message);
    if (held_answer_->body.size() > answer::HeldAnswer::bytes_max && !delivery_.committed() &&
        !pass_on_held())
        return;
    if (progress == http::Progress::incomplete) return;
    if (phase_ == Phase::relaying) return end_answer(false);
    const bool clean = consumed == slice.size() && link_->stream.received().empty();
    drop_link(clean && link_keeps_alive_);
    judge_held();
}

// It is longer than anything is held: it goes to the client, whatever else could be tried. False:
// there was no memory for it, and everything is over.
bool Forward::pass_on_held() {
    const auto held = std::move(held_answer_);
    const auto out = answer::choose_framing(held->framing, delivery_.minor(), true);
    if (out == http::Framing::until_close) delivery_.must_close();
    http::HeadWriter writer(service_.head_space());
    delivery_.begin_head(writer, held->status, held->reason);
    writer.lines(held->fields);
    const policy::FailureFacts facts{
        .end = AttemptEnd::answered, .status = held->status, .error = nullptr};
    campaign_.set_failed_as(policy::classify(facts));
    if (!exchange_.is_generic()) writer.lines(policy::advice_fields(advice_for(*held)));
    delivery_.frame_head(writer, out, 0);
    relay().begin({.in = held->framing, .out = out});
    mem::Chain body(service_.loop.nodes());
    if (!send_head(writer) || !relay().insert(held->body, service_.loop.buffers(), body)) {
        drop_link(false);
        place_.cancel();
        interrupt(no_memory(), End::unavailable);
        return false;
    }
    exchange_.status = held->status;
    auto end = try_end(campaign_.failed_as(), facts);
    end.retry_after = held->advice.after;
    place_.release(end);
    enter(Phase::relaying);
    delivery_.send(std::move(body));
    pass_on();
    return true;
}

// The refusal is read: what it means for the backend, and who else is asked.
void Forward::judge_held() {
    const auto said =
        exchange_.is_generic() ? llm::ErrorFacts{} : llm::read_failure_body(held_answer_->body);
    if (held_answer_->status < 400) {
        if (!said.is_error) return refuse_document();
        disguised_ = true;
        held_answer_->status = llm::implied_status(said);
    }
    const policy::FailureFacts facts{.end = AttemptEnd::answered,
                                     .status = held_answer_->status,
                                     .error = &said,
                                     .credential = credential(),
                                     .of_gateway = held_answer_->of_gateway};
    const auto failure = policy::classify(facts);
    if (refuses_addition(said)) return ask_plainly();
    if (said.n_ctx) campaign_.want_context(*said.n_ctx);
    if (failure == FailureClass::loading)
        service_.saw_health(*exchange_.model, *exchange_.target, upstream::Health::loading,
                            "it is loading its model");
    if (failure == FailureClass::none) {
        place_.release(FailureClass::none);
        return relay_held();
    }
    move_on(facts, Error::backend(held_answer_->status, Retry::no,
                                  "The backend" + refused() +
                                      (said.message.empty() ? "." : ": " + said.message)));
}

// The backend's own word, and what we know.
policy::RetryAdvice Forward::advice_for(const answer::HeldAnswer& held) const {
    auto facts = campaign_.refusal();
    facts.source = Source::backend;
    facts.status = held.status;
    facts.known = known_wait();
    facts.said = held.advice;
    return policy::advise(facts);
}

// It is the answer after all.
void Forward::relay_held() {
    SLUICE_ASSERT(!place_.held() && !delivery_.committed());
    const auto held = std::move(held_answer_);
    if (!exchange_.is_generic()) say_in_form_of(exchange_.dialect(), exchange_.id, *held);
    http::HeadWriter writer(service_.head_space());
    delivery_.begin_head(writer, held->status, held->reason);
    writer.lines(held->fields);
    if (!exchange_.is_generic()) writer.lines(policy::advice_fields(advice_for(*held)));
    if (exchange_.method != http::Method::head)
        delivery_.frame_head(writer, http::Framing::length, held->body.size());
    mem::Chain body(service_.loop.nodes());
    if (!send_head(writer) || !body.append_copy(service_.loop.buffers(), held->body))
        return fail(no_memory());
    exchange_.status = held->status;
    exchange_.answer_begun = true;
    exchange_.error = campaign_.failed() ? campaign_.failure().message : std::string();
    delivery_.send(std::move(body));
    finish(false);
}

}  // namespace sluice::proxy
