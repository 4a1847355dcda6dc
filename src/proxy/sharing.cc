#include "sluice/proxy/sharing.h"

#include "sluice/llm/answer_of_events.h"
#include "sluice/llm/events_of_answer.h"

#include <utility>

namespace sluice::proxy {

Sharing::~Sharing() {
    SLUICE_ASSERT(!ready_ || ticket_ == 0);  // who has an answer waits for none
    if (ticket_ != 0) flights_.forget(ticket_);
    if (ready_ && !handed_over_) flights_.give_back(question_.key, std::move(answer_));
}

void Sharing::ask(FlightQuestion&& question) {
    SLUICE_ASSERT(!ready_ && ticket_ == 0);
    question_ = std::move(question);
    auto answer = flights_.ask(question_, *this, ticket_);
    // Either it is here, or somebody will tell.
    SLUICE_ASSERT(answer.has_value() == (ticket_ == 0));
    if (!answer) return;
    answer_ = std::move(*answer);
    ready_ = true;
}

void Sharing::told(FlightAnswer&& answer) {
    SLUICE_ASSERT(!ready_ && ticket_ != 0);
    ticket_ = 0;
    answer_ = std::move(answer);
    ready_ = true;
    if (waiter != nullptr) loop_.make_ready(*waiter);
}

void Sharing::ask_anew() {
    SLUICE_ASSERT(ready_ && answer_.kept != nullptr);
    ready_ = false;
    answer_ = {};
    FlightQuestion question = std::move(question_);
    question.reads = false;
    ask(std::move(question));
}

bool Sharing::fit(const llm::Endpoint& endpoint, bool streamed, bool with_usage) {
    SLUICE_ASSERT(ready_ && !handed_over_);
    SLUICE_ASSERT(answer_.kept != nullptr);
    const cache::Answer& kept = *answer_.kept;
    const bool kept_as_stream = kept.form() != cache::Form::document;
    const auto form = llm::form_of(endpoint);
    body_ = kept.body();
    content_type_ = kept.content_type();
    stream_ = streamed;
    form_ = kept.form() == cache::Form::lines ? sse::Form::json_lines : sse::Form::event_stream;
    if (form && streamed && !kept_as_stream) form_ = llm::stream_form(*form);
    const bool of_chunks = form == llm::AnswerForm::chat || form == llm::AnswerForm::completion;
    if (streamed == kept_as_stream && !(streamed && of_chunks)) return true;
    if (!form) return false;
    auto made = !streamed        ? llm::answer_of_events(*form, body_)
                : kept_as_stream ? llm::chunks_with_usage(body_, with_usage)
                                 : llm::events_of_answer(*form, body_, with_usage);
    if (!made) return false;
    converted_ = std::move(*made);
    body_ = converted_;
    if (streamed == kept_as_stream) return true;
    content_type_ = !streamed                          ? "application/json"
                    : form_ == sse::Form::event_stream ? "text/event-stream; charset=utf-8"
                                                       : "application/x-ndjson";
    return true;
}

}  // namespace sluice::proxy
