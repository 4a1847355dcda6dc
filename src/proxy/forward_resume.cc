// A stream whose backend died goes on on another one (`resume: true`), where that is faithful: see
// llm/resume.h. From the first try on the answer counts as committed: what fails then is told in
// band.
#include "forward.h"

#include <utility>

namespace sluice::proxy {
namespace {

llm::Continuation continuation_of(upstream::Kind kind) {
    switch (kind) {
        case upstream::Kind::llama_server:
            return llm::Continuation::llama_server;
        case upstream::Kind::vllm:
            return llm::Continuation::vllm;
        case upstream::Kind::ollama:
            return llm::Continuation::ollama;
        case upstream::Kind::lm_studio:
        case upstream::Kind::unknown:
            return llm::Continuation::unsupported;
    }
    return llm::Continuation::unsupported;
}

}  // namespace

// A stream begins: is it one that could be resumed? Then what it says is kept, and the request too.
void Forward::prepare_to_resume() {
    if (resume_ != nullptr || !exchange_.model->setting.resume || !event_stream_) return;
    if (exchange_.endpoint->dialect != llm::Dialect::openai ||
        !exchange_.endpoint->usage_injectable)
        return;
    auto kept = std::make_unique<answer::Resumption>(exchange_.request->body.to_string());
    if (llm::can_resume(kept->body) == llm::ResumeObstacle::none) resume_ = std::move(kept);
}

// The backend died in the middle of its stream. False: the stream ends here; `cause` says why.
bool Forward::try_resume(policy::FailureClass failure, std::string& cause) {
    SLUICE_ASSERT(link_ == nullptr && !place_.held());
    if (resume_ == nullptr || exchange_.request == nullptr) return false;
    if (const auto obstacle = resume_->journal.obstacle(); obstacle != llm::ResumeObstacle::none) {
        cause.append(" It was not resumed: ").append(llm::describe(obstacle)).append(".");
        return false;
    }
    campaign_.count_hop(*exchange_.target, failure);
    log_hop(failure);
    if (!campaign_.may_hop()) return false;
    campaign_.commit_to_model();
    resumes_ = true;
    delivery_.promise();
    delivery_.note_told(service_.loop.now());  // the client has just heard something
    campaign_.failure() = Error::backend(502, Retry::no, cause);
    failure_end_ = End::backend_error;
    take(campaign_.again(fate()));
    return true;
}

// The place is held: how is this backend asked to go on? False: it cannot be, and the place is
// given back.
bool Forward::plan_to_resume() {
    const auto kind = continuation_of(exchange_.target->kind);
    resume_->plan = llm::plan_resume(resume_->body, resume_->journal, kind);
    if (resume_->plan.obstacle == llm::ResumeObstacle::none) {
        resume_->stream.emplace(resume_->journal, kind == llm::Continuation::llama_server);
        return true;
    }
    place_.cancel();
    campaign_.failure()
        .message.append(" Another backend did not go on: ")
        .append(llm::describe(resume_->plan.obstacle))
        .append(".");
    return false;
}

// Nothing was left to be said but the end.
void Forward::end_at_length() {
    place_.cancel();
    const auto& asked = exchange_.request->facts.include_usage;
    const std::string events = llm::length_end(resume_->journal, asked.value_or(false));
    mem::Chain out(service_.loop.nodes());
    if (!relay().insert(events, service_.loop.buffers(), out) ||
        !relay().end(service_.loop.buffers(), out))
        return break_off(no_memory(), End::unavailable);
    delivery_.send(std::move(out));
    finish(false);
}

void Forward::begin_resumed() {
    ++exchange_.resumed;
    ++service_.statistics.resumed;
    mem::Chain out(service_.loop.nodes());
    if (relay().insert(llm::resumed_comment(backend()), service_.loop.buffers(), out))
        delivery_.send(std::move(out));
}

}  // namespace sluice::proxy
