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

// To the client; or kept, while the stream has not said anything that another could not.
void Forward::send(mem::Chain&& bytes) {
    // What comes in small pieces must not hold a buffer for each of them.
    if (withholding_ && !withheld_.empty())
        return withheld_.append_compact(service_.loop.buffers(), std::move(bytes));
    if (withholding_) return withheld_.append(std::move(bytes));
    // From here on a client is behind, and what waits for it is packed into few buffers.
    constexpr std::size_t unsent_slices_behind = 4;
    if (bytes.empty()) return;
    exchange_.bytes_out += bytes.size();
    sent_at_ = service_.loop.now();
    if (client_.unsent_slices() < unsent_slices_behind)
        client_.send(std::move(bytes));
    else
        client_.send_compact(std::move(bytes));
}

void Forward::drop_withheld() {
    withholding_ = false;
    withheld_head_.clear();
    withheld_.clear();
    if (!resumes_) resume_ = nullptr;
}

void Forward::stop_withholding() {
    SLUICE_ASSERT(withholding_);
    withholding_ = false;
    // A head of ours may be out already.
    if (!committed_) {
        exchange_.bytes_out += withheld_head_.size();
        client_.send(std::move(withheld_head_));
    }
    withheld_head_.clear();
    send(std::move(withheld_));
    pass_on();
}

// Something of the stream has come: what it is decides whether another backend is asked.
// False: this one is not read any further.
bool Forward::judge_begin() {
    // Where that was a guess it is settled now.
    event_stream_ = relay_.plan().event_stream;
    form_ = relay_.plan().form;
    if (!withholding_) return true;
    return event_stream_ ? judge_stream() : judge_document();
}

// What says no more than that an answer begins (the role, response.created, pings) is of no use to
// a client before the first word, which it does not delay; and an error in its place has a status.
bool Forward::judge_stream() {
    if (is_refused()) {
        refuse_instead();
        return false;
    }
    const bool spoke = exchange_.model->has_others() ? relay_.spoke() : !relay_.says_nothing();
    if (spoke || relay_.saw_finish() || relay_.saw_done() || withheld_.size() > withheld_bytes_max)
        stop_withholding();
    return true;
}

// It is an error instead of a stream.
bool Forward::is_refused() const {
    return withholding_ && event_stream_ && relay_.saw_error() && relay_.content_events() == 0;
}

bool Forward::judge_document() {
    if (relay_.document() == answer::Relay::Document::error) {
        refuse_instead();
        return false;
    }
    if (relay_.document() != answer::Relay::Document::answer) return true;
    if (promised_) {
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
    const auto out = relay_.plan().out;
    relay_.begin({.in = out, .out = out, .event_stream = true});
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
    SLUICE_ASSERT(withholding_ && held_answer_ == nullptr);
    std::string text = relay_.error_text();
    const auto said = llm::read_failure_body(text);
    if (link_ != nullptr) drop_link(false);
    drop_withheld();
    relay_.withdraw_error();
    if (promised_ && !event_stream_) expect_events();
    disguised_ = true;
    held_answer_ = std::make_unique<answer::HeldAnswer>();
    held_answer_->status = llm::implied_status(said);
    held_answer_->reason = http::reason_phrase(held_answer_->status);
    held_answer_->fields = "Content-Type: application/json\r\n";
    // An event of Responses holds more than the error, and one that is no JSON less.
    const bool whole = said.is_error && exchange_.dialect() != llm::Dialect::responses &&
                       text.starts_with('{') && text.ends_with('}');
    // Behind a notice the event is made of what it said.
    if (!whole && !committed_)
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
