// How a forward ends that gets no answer to relay, or is not to wait for one: with a refusal that
// was held, or with a failure, and what the client is told of another try.
#include "forward.h"
#include "sluice/llm/errors.h"

#include <utility>

namespace sluice::proxy {

// Nobody else will do.
void Forward::give_up(Error error) {
    leave_line();
    if (held_answer_ != nullptr && !committed_) {
        failure_ = std::move(error);
        return relay_held();
    }
    if (held_answer_ != nullptr) {
        // In the backend's words, in the frame of the dialect.
        const auto held = std::move(held_answer_);
        // Where it has none, in ours: without the figure of its status, which agents would heed.
        const llm::Refusal refusal = llm::read_refusal(held->body, llm::message_of(error.message));
        const bool of_client = policy::is_about_request(failed_as_);
        error.status = of_client && held->status >= 500 ? 400 : held->status;
        return break_off(std::move(error), End::backend_error, &refusal);
    }
    if (committed_) return break_off(std::move(error), failure_end_);
    fail(std::move(error));
}

policy::RetryAdvice Forward::advice() const {
    return policy::advise({.source = failure_.source,
                           .status = failure_.status,
                           .failure = failed_as_,
                           .tried_elsewhere = failed_elsewhere_,
                           .harmful = harmful_,
                           .known = known_wait(),
                           .said = {}});
}

// Where all that the model has are left alone for a while.
std::optional<Duration> Forward::known_wait() const {
    if (retry_after_ || routed_model_ == nullptr || exchange_.request == nullptr)
        return retry_after_;
    upstream::Wish whole = wish();
    whole.model = routed_model_;
    whole.tried = whole.context_min = 0;
    const auto again = service_.dispatch.opens_again(whole);
    return again ? std::optional(*again - service_.loop.now()) : std::nullopt;
}

void Forward::fail(Error error) {
    SLUICE_ASSERT(!exchange_.answer_begun);
    SLUICE_ASSERT(link_ == nullptr && !place_.held());
    exchange_.error = error.message;
    failure_ = std::move(error);
    end_inquest(false);
    phase_ = Phase::finished;
    outcome_ = Outcome::failed;
    service_.loop.make_ready(owner_);
}

void Forward::abandon() {
    leave_line();
    take_usage();
    if (link_ != nullptr) give_up_link();
    if (place_.held()) place_.cancel();
    retry_ = {};
    end_inquest(false);
    phase_ = Phase::finished;
}

void Forward::interrupt(Error cause, End end) {
    leave_line();
    if (link_ != nullptr) give_up_link();
    if (place_.held()) place_.cancel();
    if (withholding_) drop_withheld();
    failure_end_ = end;
    if (!exchange_.answer_begun) return fail(std::move(cause));
    break_off(std::move(cause), end);
}

}  // namespace sluice::proxy
