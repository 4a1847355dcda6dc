// What the gateway adds to a request, and what becomes of it where a server does not take that.
#include "forward.h"
#include "sluice/llm/failure_body.h"
#include "sluice/proxy/event_log.h"

namespace sluice::proxy {
namespace {

// It is added to requests for streams (see stages/usage.cc).
constexpr std::string_view usage_field = "stream_options";

}  // namespace

// Whether the refusal that is held may be for the sake of what we added.
bool Forward::refuses_addition(const llm::ErrorFacts& said) const {
    return usage_injected_ &&
           llm::may_refuse_field(held_answer_->status, said, held_answer_->body, usage_field);
}

// The server may not know what we added to the request: that is no failure of anybody's, and it is
// asked once more without that.
void Forward::ask_plainly() {
    SLUICE_ASSERT(usage_injected_ && !plainly_);
    SLUICE_ASSERT(link_ == nullptr && place_.held());
    held_answer_ = nullptr;
    disguised_ = false;
    plainly_ = true;
    try_target(upstream::Pool::Freshness::any);
}

// What we asked for could not be taken out of a coded stream again.
void Forward::refuse_coding() {
    drop_link(false);
    ask_plainly();
}

// It answers what it refused with an addition: nothing is added for this server any more.
void Forward::note_plain_answer() {
    SLUICE_ASSERT(plainly_ && !usage_injected_);
    if (!pool_->takes_additions()) return;
    pool_->add_nothing();
    write_event(service_.access_log, "addition_refused",
                {{"backend", backend()},
                 {"model", exchange_.model->name},
                 {"field", usage_field},
                 {"detail",
                  "It refuses requests with this field, which the gateway added to learn "
                  "the tokens of streams: it is no longer added for this server, and "
                  "tokens are estimated where it does not tell them."}});
}

}  // namespace sluice::proxy
