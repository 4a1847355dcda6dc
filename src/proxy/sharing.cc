#include "sluice/proxy/sharing.h"

#include "sluice/llm/answer_of_events.h"
#include "sluice/llm/events_of_answer.h"

#include <algorithm>
#include <utility>

namespace sluice::proxy {

Sharing::~Sharing() {
    SLUICE_ASSERT(!ready_ || ticket_ == 0);  // who has an answer waits for none
    if (ticket_ != 0) flights_.forget(ticket_);
    if (look_ != 0) flights_.forget_look(look_);
    if (ready_ && !handed_over_) flights_.give_back(question_.key, std::move(answer_));
}

void Sharing::ask(FlightQuestion&& question) {
    SLUICE_ASSERT(!ready_ && ticket_ == 0);
    question_ = std::move(question);
    ask_home();
}

void Sharing::ask_home() {
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

// --- a batch --------------------------------------------------------------------------------

void Sharing::ask(FlightQuestion&& question, cache::EmbeddingBatch&& batch) {
    SLUICE_ASSERT(!ready_ && ticket_ == 0 && question.reads);
    question_ = std::move(question);
    batch_ = std::make_unique<cache::EmbeddingBatch>(std::move(batch));
    std::vector<cache::Key> keys;
    for (const std::uint32_t item : batch_->different())
        keys.push_back(batch_->key(item));
    auto found = flights_.look(keys, question_.directives, *this, look_);
    if (found) decide_batch(std::move(*found));
}

void Sharing::seen(std::vector<cache::Found>&& found) {
    SLUICE_ASSERT(!ready_ && look_ != 0);
    look_ = 0;
    decide_batch(std::move(found));
    if (ready_ && waiter != nullptr) loop_.make_ready(*waiter);
}

void Sharing::decide_batch(std::vector<cache::Found>&& found) {
    Duration oldest;
    bool stale = false;
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (!found[i] || !batch_->know(batch_->different()[i], std::move(found[i].answer)))
            continue;
        oldest = std::max(oldest, found[i].age);
        stale |= found[i].age >= found[i].ttl;
    }
    // What is too long to be put together comes from a server, which can send it in pieces.
    if (batch_->expected_bytes() > batch_document_bytes_max) {
        batch_ = nullptr;
        keeps = false;
    } else {
        if (batch_->missing().empty() && put_together(oldest, stale)) return;
        knows_some_ = batch_->knows_some();
        known_tokens_ = batch_->known_tokens();
    }
    question_.reads = false;
    ask_home();
}

// All of it is known. False: of several answers that do not go together.
bool Sharing::put_together(Duration oldest, bool stale) {
    if (!batch_->goes_together()) {
        batch_->forget();
        return false;
    }
    const auto tokens = batch_->tokens();
    const cache::AnswerFacts facts{
        .status = 200,
        .form = cache::Form::document,
        .content_type = batch_->content_type(),
        .usage = {.prompt = tokens.value_or(0), .known = tokens.has_value()}};
    answer_ = {.kind = stale ? FlightAnswer::Kind::stale : FlightAnswer::Kind::hit,
               .recording = nullptr,
               .door = {},
               .kept = cache::Answer::make(facts, batch_->document()),
               .age = oldest};
    batch_ = nullptr;
    ready_ = true;
    return true;
}

// --- a kept answer --------------------------------------------------------------------------

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
