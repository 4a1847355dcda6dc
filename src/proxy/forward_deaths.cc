// Connections that break: whether the request may go out again, and whether the
// server has ended. One that has is left at once, by everybody; and the request stops that servers
// end under (policy/suspicion.h).
#include "forward.h"
#include "sluice/io/socket.h"
#include "sluice/proxy/event_log.h"

#include <utility>

namespace sluice::proxy {
namespace {

using policy::AttemptEnd;
using policy::FailureClass;

// A process that dies closes its connections before it is seen to be gone, by that much at most.
constexpr Duration aftermath = Duration::millis(100);

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
        relay_.see_end();
        // A finish reason makes a stream whole that its server closes, not one that it resets.
        if (event_stream_ && relay_.saw_done() && relay_.can_end()) return end_answer(false);
        return lose_answer(Break::connection, "The backend broke off: " + cause);
    }
    held_answer_ = nullptr;
    sent_ = !untouched;
    if (sent_) note_break();
    const bool dead = look_for_listener();
    const bool may_repeat = untouched || !exchange_.must_not_repeat();
    const bool room = untouched || hops_ + 1 < hops_max;
    if (silent && reused && !dead && may_repeat && room && !std::exchange(retried_link_, true)) {
        // The server closed the kept-alive connection while the request was on its way.
        sends_again_ = !untouched;
        return try_target(upstream::Pool::Freshness::fresh);
    }
    lose_try(cause, end);
}

void Forward::lose_try(const std::string& cause, AttemptEnd end) {
    const policy::FailureFacts facts{.end = end, .status = 0, .error = nullptr};
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
        lose_try("nobody listens there any more", AttemptEnd::ended_early);
        return false;
    }
    note_hop(FailureClass::transient);
    note_try();
    return true;
}

// What it says about the backend that the body broke off.
policy::FailureFacts Forward::facts_of(Break kind, const llm::ErrorFacts& said) const {
    switch (kind) {
        case Break::connection:
            return {.end = AttemptEnd::ended_early};
        case Break::silence:
            return {.end = server_lived_ ? AttemptEnd::outlasted : AttemptEnd::timed_out};
        case Break::error_event:
            return {.end = AttemptEnd::error_event,
                    .status = said.status,
                    .error = &said,
                    .credential = credential()};
        case Break::framing:
        case Break::unfinished:
        case Break::malformed:
            break;
    }
    return {.end = AttemptEnd::malformed};
}

// The body broke off.
void Forward::lose_answer(Break kind, std::string cause, End end) {
    SLUICE_ASSERT(link_ == nullptr);
    ++service_.statistics.answers_broken[static_cast<std::size_t>(kind)];
    note_break();
    look_for_listener();
    const auto said = llm::read_failure_body(relay_.error_text());
    const auto facts = facts_of(kind, said);
    if (withholding_) {
        drop_withheld();
        return move_on(facts, Error::backend(502, Retry::no, std::move(cause)));
    }
    release_place(policy::classify(facts), policy::has_answered(facts.end));
    if (try_resume(policy::classify(facts), cause)) return;
    const int status = end == End::timeout ? 504 : 502;
    break_off(Error::backend(status, Retry::no, std::move(cause)), end);
}

// Behind a reset the server may be gone, with everything else that it was doing. True: it is.
bool Forward::look_for_listener() {
    if (!is_gone(*exchange_.target->endpoint)) return false;
    see_dead("nobody listens there any more");
    return true;
}

void Forward::see_dead(const std::string& cause) {
    free_hop_ = true;
    if (suspect_.undecided_on(server())) count_death(*exchange_.target->endpoint);
    service_.saw_health(*exchange_.model, *exchange_.target, upstream::Health::down, cause);
}

void Forward::count_death(const upstream::Endpoint& endpoint) {
    policy::Suspicion::ended(suspect_, endpoint.id);
    ended_.append(ended_.empty() ? "" : ", ").append(endpoint.url);
}

// The connection to the backend broke behind the request.
void Forward::note_break() {
    look_back();
    const auto* endpoint = exchange_.target->endpoint.get();
    if (!suspect_.undecided_on(server())) broke_on_.push_back({endpoint, service_.loop.now()});
    service_.suspicion.broke(suspect_, service_.loop.now());
}

// What has become of the servers where that happened before? The last one's listener is looked for
// at its own times.
void Forward::look_back() {
    std::erase_if(broke_on_, [this](const BrokenLink& each) {
        const upstream::Endpoint& endpoint = *each.endpoint;
        if (!suspect_.undecided_on(endpoint.id)) return true;
        const bool down = service_.dispatch.health_of(endpoint) == upstream::Health::down;
        const bool last = endpoint.id == server();
        if (!last && (down || is_gone(endpoint)))
            count_death(endpoint);
        else if (each.at + aftermath <= service_.loop.now())
            policy::Suspicion::survived(suspect_, endpoint.id);
        else
            return false;
        return true;
    });
}

policy::Fate Forward::fate() const {
    if (suspect_.deaths() == 0 && !suspect_.undecided()) return policy::Fate::moves;
    return policy::Suspicion::fate(suspect_, is_known());
}

// Servers ended under the same request a moment ago.
bool Forward::is_known() const {
    const Instant now = service_.loop.now();
    const auto& known = service_.known_requests;
    return known.any(now) && known.knows(digest(), policy::KnownFor::ending_servers, now);
}

// Another server would most likely end as those did.
void Forward::stop_moving() {
    SLUICE_ASSERT(suspect_.deaths() > 0);
    const bool was_known = is_known();
    service_.known_requests.note(digest(), policy::KnownFor::ending_servers, service_.loop.now());
    write_event(service_.access_log, "query_of_death",
                {{"request", exchange_.id},
                 {"model", exchange_.model->name},
                 {"ended", ended_},
                 {"cause", was_known ? "servers ended under the same request before"
                                     : "servers ended under this request one after the other"}});
    held_answer_ = nullptr;
    failure_end_ = End::backend_error;
    harmful_ = true;
    give_up(Error::backend(
        502, Retry::no,
        std::string(suspect_.deaths() == 1
                        ? "A server ended while it had this request, as others did under the same "
                          "one a moment ago"
                        : "Servers ended one after the other while they had this request") +
            ": it is not sent to another one, which would end as well. The log names them; find "
            "out what it does to them before you send it again."));
}

}  // namespace sluice::proxy
