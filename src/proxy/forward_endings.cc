// How a forward ends that gets no answer to relay, or is not to wait for one: with a refusal that
// was held, or with a failure, and what the client is told of another try.
#include "forward.h"
#include "sluice/llm/errors.h"

#include <utility>

namespace sluice::proxy {

void Forward::give_up(Error error) {
    campaign_.failure() = std::move(error);
    give_up();
}

// Nobody else will do.
void Forward::give_up() {
    leave_line();
    if (held_answer_ != nullptr && !delivery_.committed()) return relay_held();
    Error error = std::move(campaign_.failure());
    if (held_answer_ != nullptr) {
        // In the backend's words, in the frame of the dialect.
        const auto held = std::move(held_answer_);
        // Where it has none, in ours: without the figure of its status, which agents would heed.
        const llm::Refusal refusal = llm::read_refusal(held->body, llm::message_of(error.message));
        const bool of_client = policy::is_about_request(campaign_.failed_as());
        error.status = of_client && held->status >= 500 ? 400 : held->status;
        return break_off(std::move(error), End::backend_error, &refusal);
    }
    if (delivery_.committed()) return break_off(std::move(error), failure_end_);
    fail(std::move(error));
}

policy::RetryAdvice Forward::advice() const {
    auto facts = campaign_.refusal();
    facts.known = known_wait();
    return policy::advise(facts);
}

// Where all that the model has are left alone for a while.
std::optional<Duration> Forward::known_wait() const {
    const upstream::Wish whole = campaign_.whole_wish();
    if (retry_after_ || whole.model == nullptr || exchange_.request == nullptr) return retry_after_;
    const auto again = service_.dispatch.opens_again(complete(whole));
    return again ? std::optional(*again - service_.loop.now()) : std::nullopt;
}

void Forward::fail(Error error) {
    SLUICE_ASSERT(!exchange_.answer_begun);
    SLUICE_ASSERT(link_ == nullptr && !place_.held());
    exchange_.error = error.message;
    campaign_.failure() = std::move(error);
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
    if (delivery_.withholding()) drop_withheld();
    failure_end_ = end;
    if (!exchange_.answer_begun) return fail(std::move(cause));
    break_off(std::move(cause), end);
}

}  // namespace sluice::proxy
