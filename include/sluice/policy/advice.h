// Advice: what a client whose request was refused is told about another try.
//
// Pure. Every refusal goes by this table, the gateway's own and a backend's that is passed on:
//
//     the refusal                                       x-should-retry   retry-after
//     another try may do harm                           false            -
//     our own: 429, 503                                 true             what is known, else 1 s
//     our own: 408                                      -                -
//     our own: any other 4xx, 501, 505, 508             false            -
//     the request's doing (but for 409 and 425), or
//       a key or bill refused                           false            what the backend says
//     a 5xx, and two backends at least were asked       false            -
//     any of a backend of which it is known when        true             what is known
//     any other of a backend                            -                -
//
// The first row that fits counts; what is known of the time comes before "two were asked". From
// "two backends" on, what the backend itself says of trying again stays its word; above that no
// word of a server makes another request of this one, and a client that heeds it would ask for
// ever. "-": no field, so that a client does what it does by itself; official ones try a 5xx again.
//
// Known is when it helps: how fast slots become free, when a breaker opens, what the backend said;
// the longest counts. A client is never told to wait for more than retry_advice_max, above which
// some give up at once and others wait in silence.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/result.h"
#include "sluice/policy/failure.h"
#include "sluice/policy/retry_after.h"

#include <optional>
#include <string>

namespace sluice::policy {

inline constexpr Duration retry_advice_max = Duration::seconds(60);

struct RefusalFacts {
    Source source = Source::gateway;  // backend: one was asked, and `failure` says how that ended
    int status = 0;
    FailureClass failure = FailureClass::none;
    bool tried_elsewhere = false;  // two backends at least were asked
    // Servers end under it, or it may have been done and must not be done twice.
    bool harmful = false;
    std::optional<Duration> known;  // by ourselves: until it may help
    RetryAdvice said;               // by the backend whose refusal it is
};

// It is the request's own doing: whoever is asked, the answer stays the same.
bool is_about_request(FailureClass failure);

// Both absent: no field is written.
RetryAdvice advise(const RefusalFacts& facts);

// The header lines for it, each with its CRLF. Retry-After in whole seconds from 1 to 60, with
// retry-after-ms beside it.
std::string advice_fields(const RetryAdvice& advice);

}  // namespace sluice::policy
