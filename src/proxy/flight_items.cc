// A flight for a batch of embeddings: its backend is asked for the items that are not kept, each
// once, and what listeners get is the document of all.
//
// Where that cannot be done (the answer has another number of vectors, others than those that are
// kept, or is another model's) all items are asked for, and what comes is passed on as it is. So it
// is behind a refusal of the request, which may name places in a list that is not the client's.
#include "field_lines.h"
#include "flight.h"

#include <utility>

namespace sluice::proxy {
namespace {

bool is_about_items(int status) {
    return status == 400 || status == 413 || status == 422;
}

}  // namespace

void Flight::ask_for_rest() {
    RequestState& request = *exchange_.request;
    // The keys were made of a copy that others have written over since.
    llm::Edit edit = plan_.batch->edit(request.body.to_string());
    if (!service_.charge_body(edit.inserted.size())) return drop_batch();
    request.charged += edit.inserted.size();
    exchange_.body_bytes = request.body.size() - edit.removed + edit.inserted.size();
    request.rest_of_batch = std::make_unique<llm::Edit>(std::move(edit));
    exchange_.may_ask_anew = true;
    asked_model_ = request.asked_model;
    rest_ = std::make_shared<answer::Recording>(batch_document_bytes_max, false);
}

// All of it is asked for. Its items can still be kept, unless some come twice.
void Flight::drop_batch() {
    exchange_.asks_anew = true;
    plan_.batch->forget();
    if (plan_.batch->asks_for_all()) return;
    plan_.batch = nullptr;
    plan_.keep = false;  // nobody looks for it as a whole
}

// The backend has answered. False: not in a way that the client can have.
bool Flight::take_rest() {
    rest_->end({.whole = true});
    if (!rest_->kept_whole()) return false;
    const auto& head = rest_->head();
    if (exchange_.status == 200 && forward_->answer_end() == End::ok) return put_together(head);
    if (is_about_items(exchange_.status)) return false;
    pass_on(head, rest_->whole_body());
    return true;
}

bool Flight::put_together(const answer::Recording::Head& head) {
    if (exchange_.model != asked_ || head.event_stream) return false;
    auto fresh = plan_.batch->take(rest_->whole_body(), item_facts(head));
    if (!fresh || plan_.batch->expected_bytes() > batch_document_bytes_max) return false;
    fresh_ = std::move(*fresh);
    pass_on(head, plan_.batch->document());
    return true;
}

void Flight::pass_on(const answer::Recording::Head& head, std::string_view body) {
    recording_->stage_status(head.status, head.reason);
    recording_->stage_fields(head.fields);
    recording_->stage_place(head.place);
    recording_->begin(head.event_stream, head.form);
    recording_->append(body);
}

void Flight::ask_for_all() {
    service_.count_flight(exchange_);
    drop_batch();
    RequestState& request = *exchange_.request;
    request.rest_of_batch = nullptr;
    request.asked_model = std::move(asked_model_);
    exchange_.body_bytes = request.body.size();
    exchange_.may_ask_anew = false;
    exchange_.model = asked_;
    exchange_.status = 0;
    exchange_.answer_begun = false;
    exchange_.usage = {};
    exchange_.usage_estimated = false;
    exchange_.overhead = {};
    exchange_.error.clear();
    forward_.emplace(service_, exchange_, *this, *recording_);
    rest_ = nullptr;
    forward_->start();
    service_.loop.make_ready(*this);
}

// Of an answer that went to the listeners as it came.
void Flight::take_all() {
    if (plan_.batch == nullptr || !plan_.keep || rest_ != nullptr) return;
    const auto& ending = recording_->ending();
    const bool success = ending.whole && ending.end == End::ok && exchange_.status == 200;
    if (!success || !recording_->kept_whole() || exchange_.model != asked_) return;
    const auto& head = recording_->head();
    if (head.event_stream) return;
    auto fresh = plan_.batch->take(recording_->whole_body(), item_facts(head));
    if (fresh) fresh_ = std::move(*fresh);
}

cache::AnswerFacts Flight::item_facts(const answer::Recording::Head& head) const {
    return {.status = 200,
            .form = cache::Form::document,
            .content_type = value_in(head.fields, "content-type"),
            .model = exchange_.model->name,
            .scope = {plan_.scope, plan_.scope_name},
            .consumer = exchange_.consumer_name(),
            .usage = {},
            .created = wall_now()};
}

}  // namespace sluice::proxy
