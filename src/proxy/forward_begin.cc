// The begin of an answer with status 200, which may be a failure all the same: kept until it shows
// what it is, and then passed on, or judged as the refusal that it is.
#include "forward.h"
#include "sluice/base/limits.h"
#include "sluice/http/writer.h"
#include "sluice/llm/errors.h"
#include "sluice/llm/failure_body.h"

#include <utility>

namespace sluice::proxy {
namespace {

using policy::AttemptEnd;

// A stream that has said nothing by then is passed on as it is.
constexpr std::size_t withheld_bytes_max = 16 * limits::KiB;

}  // namespace

void Forward::drop_withheld() {
    delivery_.drop_withheld();
    if (!resumes_) resume_ = nullptr;
}

void Forward::stop_withholding() {
    delivery_.release_withheld();
    pass_on();
}

// Something of the stream has come: what it is decides whether another backend is asked.
// False: this one is not read any further.
bool Forward::judge_begin() {
    // Where that was a guess it is settled now.
    event_stream_ = relay().plan().event_stream;
    form_ = relay().plan().form;
    if (!delivery_.withholding()) return true;
    return event_stream_ ? judge_stream() : judge_document();
}

// What says no more than that an answer begins (the role, response.created, pings) is of no use to
// a client before the first word, which it does not delay; and an error in its place has a status.
bool Forward::judge_stream() {
    if (is_refused()) {
        refuse_instead();
        return false;
    }
    const bool spoke = exchange_.model->has_others() ? relay().spoke() : !relay().says_nothing();
    if (spoke || relay().saw_finish() || relay().saw_done() ||
        delivery_.withheld_bytes() > withheld_bytes_max)
        stop_withholding();
    return true;
}

// It is an error instead of a stream.
bool Forward::is_refused() const {
    return delivery_.withholding() && event_stream_ && relay().saw_error() &&
           relay().content_events() == 0;
}

bool Forward::judge_document() {
    if (relay().document() == answer::Relay::Document::error) {
        refuse_instead();
        return false;
    }
    if (relay().document() != answer::Relay::Document::answer) return true;
    if (delivery_.promised()) {
        drop_link(false);
        drop_withheld();
        expect_events();
        refuse_document();
        return false;
    }
    stop_withholding();
    return true;
}

// The client was promised a stream, which what came is none of: what is told now are events.
void Forward::expect_events() {
    const auto out = relay().plan().out;
    relay().begin({.in = out, .out = out, .event_stream = true});
    event_stream_ = true;
    form_ = sse::Form::event_stream;
}

// The client was told that a stream comes, and the answer is none.
void Forward::refuse_document() {
    held_answer_ = nullptr;
    move_on({.end = AttemptEnd::malformed},
            Error::backend(502, Retry::no,
                           "The backend answered with no stream, although one was asked for."));
}

// Its status says 200, but it is a refusal: what it says counts, and the client gets no 200 either.
void Forward::refuse_instead() {
    SLUICE_ASSERT(delivery_.withholding() && held_answer_ == nullptr);
    std::string text = relay().error_text();
    const auto said = llm::read_failure_body(text);
    if (link_ != nullptr) drop_link(false);
    drop_withheld();
    relay().withdraw_error();
    if (delivery_.promised() && !event_stream_) expect_events();
    disguised_ = true;
    held_answer_ = std::make_unique<answer::HeldAnswer>();
    held_answer_->status = llm::implied_status(said);
    held_answer_->reason = http::reason_phrase(held_answer_->status);
    held_answer_->fields = "Content-Type: application/json\r\n";
    // An event of Responses holds more than the error, and one that is no JSON less.
    const bool whole = said.is_error && exchange_.dialect() != llm::Dialect::responses &&
                       text.starts_with('{') && text.ends_with('}');
    // Behind a notice the event is made of what it said.
    if (!whole && !delivery_.committed())
        text = llm::error_body(
            exchange_.dialect(),
            {.status = held_answer_->status, .message = said.message, .code = said.code});
    held_answer_->body = std::move(text);
    judge_held();
}

// How its refusal reads in a sentence about it.
std::string Forward::refused() const {
    if (disguised_)
        return event_stream_ ? " ended its stream with an error"
                             : " answered with an error, although with status 200";
    return " refused the request (status " + std::to_string(held_answer_->status) + ")";
}

}  // namespace sluice::proxy
