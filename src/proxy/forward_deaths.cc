// Connections that break: whether the request may go out again, and whether the
// server has ended. One that has is left at once, by everybody; and the request stops that servers
// end under (policy/suspicion.h).
#include "forward.h"
#include "sluice/io/socket.h"

#include <utility>

namespace sluice::proxy {
namespace {

using policy::AttemptEnd;
using policy::FailureClass;

// A process that dies closes its connections before it is seen to be gone, by that much at most.
// Who had two connections break waits for so long before a third server is asked.
constexpr Duration aftermath = Duration::millis(500);

bool is_gone(const upstream::Endpoint& endpoint) {
    return io::nobody_listens(endpoint.address().raw(), endpoint.address().size());
}

}  // namespace

// The connection broke, or ended too early.
void Forward::lose(const std::string& cause, AttemptEnd end) {
    const bool silent = link_->stream.bytes_received() == link_bytes_before_;
    const bool reused = link_->reused();
    const bool untouched = nothing_taken();
    drop_link(false);
    if (phase_ == Phase::relaying) {
        relay().see_end();
        // A finish reason makes a stream whole that its server closes, not one that it resets.
        if (event_stream_ && relay().saw_done() && relay().can_end()) return end_answer(false);
        return lose_end("The backend broke off: " + cause);
    }
    held_answer_ = nullptr;
    sent_ = !untouched;
    if (sent_) note_break();
    const bool dead = look_for_listener();
    const bool may_repeat = untouched || !exchange_.must_not_repeat();
    const bool room = untouched || campaign_.may_hop(2);
    if (silent && reused && !dead && may_repeat && room && !std::exchange(retried_link_, true)) {
        // The server closed the kept-alive connection while the request was on its way.
        sends_again_ = !untouched;
        return try_target(upstream::Pool::Freshness::fresh);
    }
    lose_try(cause, end, dead);
}

void Forward::lose_try(const std::string& cause, AttemptEnd end, bool dead) {
    const policy::FailureFacts facts{.end = end, .status = 0, .error = nullptr, .listens = !dead};
    move_on(facts,
            Error::backend(502, Retry::no,
                           "The backend closed the connection before its answer: " + cause + "."));
}

// A fresh connection to the same server, behind one that broke: only now it is another try, for the
// port of one that ends may outlive its connections for a moment. False: so it was.
bool Forward::begin_again() {
    sends_again_ = false;
    if (look_for_listener()) {
        drop_link(false);
        lose_try("nobody listens there any more", AttemptEnd::ended_early, true);
        return false;
    }
    campaign_.count_hop(*exchange_.target, FailureClass::transient);
    log_hop(FailureClass::transient);
    note_try();
    return true;
}

// What it says about the backend that the body broke off.
policy::FailureFacts Forward::facts_of(answer::Break kind, const llm::ErrorFacts& said,
                                       bool dead) const {
    switch (kind) {
        case answer::Break::connection:
            return {.end = AttemptEnd::ended_early, .listens = !dead};
        case answer::Break::silence:
            return {.end = server_lived_ ? AttemptEnd::outlasted : AttemptEnd::timed_out};
        case answer::Break::error_event:
            return {.end = AttemptEnd::error_event,
                    .status = said.status,
                    .error = &said,
                    .credential = credential()};
        case answer::Break::framing:
        case answer::Break::unfinished:
        case answer::Break::malformed:
            break;
    }
    return {.end = AttemptEnd::malformed};
}

// The body broke off.
void Forward::lose_answer(answer::Break kind, std::string cause, End end) {
    SLUICE_ASSERT(link_ == nullptr);
    ++service_.statistics.answers_broken[static_cast<std::size_t>(kind)];
    note_break();
    const bool dead = look_for_listener();
    const auto said = llm::read_failure_body(relay().error_text());
    const auto facts = facts_of(kind, said, dead);
    if (delivery_.withholding()) {
        drop_withheld();
        return move_on(facts, Error::backend(502, Retry::no, std::move(cause)));
    }
    release_place(facts);
    if (try_resume(policy::classify(facts), cause)) return;
    const int status = end == End::timeout ? 504 : 502;
    // An error that was kept from the client is told in the backend's words all the same.
    std::optional<llm::Refusal> refusal;
    if (relay().erred()) refusal = llm::read_refusal(relay().error_text(), llm::message_of(cause));
    break_off(Error::backend(status, Retry::no, std::move(cause)), end,
              refusal ? &*refusal : nullptr);
}

// The connection ended behind what is no end of an answer; its last words may say why.
void Forward::lose_end(std::string cause) {
    if (is_refused()) return refuse_instead();
    if (!relay().erred()) return lose_answer(answer::Break::connection, std::move(cause));
    lose_answer(answer::Break::error_event, "The backend " + relay().error_failure());
}

// Behind a reset the server may be gone, with everything else that it was doing. True: it is.
bool Forward::look_for_listener() {
    if (!is_gone(*exchange_.target->endpoint)) return false;
    see_dead("nobody listens there any more");
    return true;
}

void Forward::see_dead(const std::string& cause) {
    campaign_.leave_freely();
    const auto& endpoint = *exchange_.target->endpoint;
    if (inquest_.suspect.undecided_on(endpoint.id)) inquest_.count(endpoint);
    service_.saw_health(*exchange_.model, *exchange_.target, upstream::Health::down, cause);
}

// The connection to the backend broke behind the request.
void Forward::note_break() {
    inquest_.recall(service_, digest(), exchange_.begun);
    look_back();
    inquest_.broke(service_, exchange_.target->endpoint);
}

// What has become of the servers where that happened before? The last one's listener is looked for
// at its own times.
void Forward::look_back() {
    inquest_.look_back(service_, exchange_.target->endpoint.get(), aftermath);
}

// Servers end under the same request, as far as anybody knows.
bool Forward::is_known() {
    return service_.known_requests.any(service_.loop.now()) && ends_servers(service_, digest());
}

policy::Fate Forward::fate() {
    if (inquest_.suspect.deaths() == 0 && !inquest_.suspect.undecided()) return policy::Fate::moves;
    inquest_.recall(service_, digest(), exchange_.begun);
    return inquest_.fate(service_, digest());
}

// Another server would most likely end as those did.
void Forward::stop_moving() {
    const bool was_known = is_known();
    const bool alone = inquest_.suspect.deaths() == 1;
    name_inquest();
    inquest_.convict(service_, digest());
    held_answer_ = nullptr;
    failure_end_ = End::backend_error;
    campaign_.forbid();
    give_up(Error::backend(
        502, Retry::no,
        std::string(was_known && alone
                        ? "A server ended while it had this request, as others did under the same "
                          "one a moment ago"
                        : "Servers ended one after the other while they had this request") +
            ": it is not sent to another one, which would end as well. The log names them; find "
            "out what it does to them before you send it again."));
}

// Servers end under the same request: none gets it for a while. True: so it is refused.
bool Forward::refuse_known() {
    if (!is_known()) return false;
    place_.cancel();
    held_answer_ = nullptr;
    failure_end_ = End::refused;
    campaign_.forbid();
    give_up({Source::gateway, Retry::no, 502,
             "Servers ended one after the other while they had this very request, a moment ago: it "
             "is not sent to any for a minute. The log names them (query_of_death); find out what "
             "it does to them before you send it again."});
    return true;
}

void Forward::name_inquest() {
    inquest_.request = exchange_.id;
    inquest_.model = exchange_.model->name;
}

// The request is over: what is known of it from now on?
void Forward::end_inquest(bool served) {
    using policy::KnownFor;
    const bool suspected = inquest_.suspect.deaths() > 0 || inquest_.suspect.undecided();
    if (served) {
        const Instant now = service_.loop.now();
        const auto& known = service_.known_requests;
        if (!known.any(now) || digest() == 0) return;
        if (known.knows(digest(), KnownFor::being_there, now) ||
            known.knows(digest(), KnownFor::ending_servers, now))
            service_.note({.digest = digest(), .acquits = true});
    } else if (suspected && !inquest_.closed) {
        name_inquest();
        inquest_.close(service_, digest());
    }
}

}  // namespace sluice::proxy
