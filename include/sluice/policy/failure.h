// Failure classes: what an attempt's end says, and about whom; and what may be done next.
//
// Pure. classify() looks at where the attempt ended and at what the backend said; the words of the
// dialects are llm/failure_body.h's. A class says:
//
//     class           is about    breaker          next in the pool  fallback chain  relayed
//     none            -           -                -                 -               -
//     transient       server      counts           any               general         no
//     doubtful        not known   with witnesses   one other         general         no
//     rate_limited    credential  rests            any               rate_limit      no
//     hard            credential  trips at once    any               general         no
//     client          request     -                no                none            yes
//     context_length  request     -                larger context    context_length  no
//     policy_block    request     -                no                policy_block    no
//     over_rate       request     -                any               rate_limit      no
//     loading         server      -                any               overload        no
//     slow            nobody      -                any               general         no
//     loop            server      trips at once    any               general         no
//
// "No" under "relayed" still means that the last answer goes to the client as it came when nothing
// is left to try. Whether a try is still possible (first byte, retry budget) is not asked here.
//
// No client may take a backend from the others. So these count as the client's: a credential that
// it brought itself, a deadline that it set, and what this server cannot do whoever asks (501). And
// model servers answer 500 to faults of the request (arguments of a tool call that are no JSON, an
// input longer than a batch): a quick, complete answer of that kind is doubtful. It is the server's
// only where others fail with other requests, too (policy/doubts.h), and one other backend is asked
// for a second opinion, not all of them. A request that takes too long while its server shows that
// it is alive says nothing about that one. A gateway's 508 says that what this backend is asked
// comes back to whoever asked, and that nothing was done (RFC 5842 section 7.2): whatever it was
// may be asked of others. Anybody else's is an answer like 500: an application may have done
// something before it found out. A connection that breaks may be one caller's doing, too: it
// counts, but a server whose health check is answered is asked where nobody else is left, until
// others have seen the same.
#pragma once

#include "sluice/llm/failure_body.h"

#include <cstdint>
#include <string_view>

namespace sluice::policy {

enum class FailureClass : std::uint8_t {
    none,
    transient,
    doubtful,
    rate_limited,
    hard,
    client,
    context_length,
    policy_block,
    over_rate,  // it is more than the account may use in a minute: waiting is no use
    loading,
    slow,
    loop,
};

// How an attempt ended.
enum class AttemptEnd : std::uint8_t {
    answered,        // with a response; its status and body decide
    error_event,     // with an error object inside a stream of status 200; its facts decide
    refused,         // the port, while connecting
    unreachable,     // any other failure to connect
    timed_out,       // one of the gateway's own deadlines, in whatever phase: it was silent
    outlasted,       // the same, while its server showed signs of life
    reset,           // the connection broke
    ended_early,     // it ended before the answer did, or the answer without its finish
    malformed,       // what came is no answer of the kind that was asked for
    client_left,     // closed from our side: the client is gone
    client_timeout,  // the client's own deadline (x-request-timeout) fired
    gateway_fault,   // something of ours: no memory, no descriptor
};

// Whose credential the backend saw.
enum class Credential : std::uint8_t { gateway, client };

struct FailureFacts {
    AttemptEnd end = AttemptEnd::answered;
    int status = 0;                          // of the response; 0 where none came
    const llm::ErrorFacts* error = nullptr;  // what its body or event said, where that was read
    Credential credential = Credential::gateway;
    bool listens = false;     // behind a connection that broke: somebody does at that port
    bool of_gateway = false;  // the answer is a gateway's like this one
};

// Whether the backend has said something: one that answers badly is still there.
constexpr bool has_answered(AttemptEnd end) {
    return end == AttemptEnd::answered || end == AttemptEnd::error_event ||
           end == AttemptEnd::malformed;
}

// The connection broke, but the backend takes others.
constexpr bool broke_alone(const FailureFacts& facts) {
    return facts.listens &&
           (facts.end == AttemptEnd::reset || facts.end == AttemptEnd::ended_early);
}

FailureClass classify(const FailureFacts& facts);

// The chains of models that a request may fall back to.
enum class FallbackChain : std::uint8_t {
    none,
    general,
    context_length,
    policy_block,
    rate_limit,
    overload,
};

enum class NextBackend : std::uint8_t { no, any, one_other, larger_context };

enum class BreakerEffect : std::uint8_t {
    none,
    counts,
    with_witnesses,  // counts where others failed there with other requests, see policy/doubts.h
    rests,  // no breaker: that credential does not come before the backend says, see rests.h
    trips,
};

struct Disposition {
    BreakerEffect breaker = BreakerEffect::none;
    NextBackend next = NextBackend::no;
    FallbackChain chain = FallbackChain::none;
    bool relayed = false;  // to the client, as it came, without another try
    // Another try takes from the retry budget. Not where it is the request that does not suit the
    // backend: nothing is overloaded then.
    bool budgeted = true;
};

Disposition disposition_of(FailureClass failure);

// The chain of this very failure: that of its class, but `overload` for a transient or doubtful one
// where the backend said that it has no room (529, busy, out of memory).
FallbackChain choose_chain(FailureClass failure, const FailureFacts& facts);

// For logs and metrics: "rate_limited".
std::string_view name_of(FailureClass failure);

}  // namespace sluice::policy
