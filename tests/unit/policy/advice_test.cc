#include "sluice/policy/advice.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::policy;
using Class = FailureClass;

namespace {

std::string own(int status, std::optional<Duration> known = std::nullopt) {
    return advice_fields(advise({.source = Source::gateway, .status = status, .known = known}));
}

struct Tried {
    int status;
    Class failure;
    bool elsewhere = false;
    std::optional<Duration> known = std::nullopt;
    RetryAdvice said = {};
};

std::string tried(const Tried& t) {
    return advice_fields(advise({.source = Source::backend,
                                 .status = t.status,
                                 .failure = t.failure,
                                 .tried_elsewhere = t.elsewhere,
                                 .known = t.known,
                                 .said = t.said}));
}

const std::string no = "x-should-retry: false\r\n";
const std::string yes = "x-should-retry: true\r\n";

std::string after(int seconds) {
    return "Retry-After: " + std::to_string(seconds) +
           "\r\nretry-after-ms: " + std::to_string(seconds * 1000) + "\r\n";
}

}  // namespace

TEST_CASE("R6a: what the gateway refuses for good is said to be so") {
    for (const int status : {400, 401, 403, 404, 405, 413, 414, 415, 417, 421, 431, 501, 505})
        CHECK(own(status) == no);
    CHECK(own(408).empty());
    for (const int status : {500, 502, 504})
        CHECK(own(status).empty());
    // Nothing of it has to do with a try, whatever happened before.
    CHECK(own(400, Duration::seconds(5)) == no);
}

TEST_CASE("R6e: what passes comes with a time, never above a minute") {
    CHECK(own(429) == after(1) + yes);
    CHECK(own(503) == after(1) + yes);
    CHECK(own(503, Duration::seconds(7)) == after(7) + yes);
    CHECK(own(503, Duration::seconds(1800)) == after(60) + yes);
    CHECK(own(429, Duration{}) == "Retry-After: 1\r\nretry-after-ms: 1\r\n" + yes);
    // Whole seconds, and not before the time.
    CHECK(own(429, Duration::micros(1'500'001)) ==
          "Retry-After: 2\r\nretry-after-ms: 1501\r\n" + yes);
}

TEST_CASE("R6b: what is the request's doing, or the key's, is not tried again") {
    for (const Class failure :
         {Class::client, Class::context_length, Class::policy_block, Class::over_rate}) {
        CHECK(is_about_request(failure));
        for (const int status : {400, 401, 413, 500, 501}) {
            CHECK(tried({status, failure}) == no);
            CHECK(tried({status, failure, true, Duration::seconds(3)}) == no);
        }
    }
    CHECK(tried({401, Class::hard}) == no);
    CHECK_FALSE(is_about_request(Class::hard));
    CHECK_FALSE(is_about_request(Class::transient));
}

TEST_CASE("R6b: a failure that was tried once is never final, one that was tried elsewhere is") {
    for (const int status : {500, 502, 503, 504, 529}) {
        for (const Class failure : {Class::transient, Class::loading}) {
            CHECK(tried({status, failure}).empty());
            CHECK(tried({status, failure, true}) == no);
            // It is known when it helps.
            CHECK(tried({status, failure, true, Duration::seconds(3)}) == after(3) + yes);
            CHECK(tried({status, failure, false, Duration::seconds(3)}) == after(3) + yes);
        }
    }
    CHECK(tried({429, Class::rate_limited}).empty());
    CHECK(tried({429, Class::rate_limited, true}).empty());
}

TEST_CASE("R6e: a backend's own word stays, held to a minute, unless more is known") {
    const RetryAdvice seven{.after = Duration::seconds(7), .should_retry = {}};
    const RetryAdvice hour{.after = Duration::seconds(3600), .should_retry = {}};
    const RetryAdvice never{.after = {}, .should_retry = false};
    const RetryAdvice ever{.after = {}, .should_retry = true};
    CHECK(tried({503, Class::transient, false, {}, seven}) == after(7) + yes);
    CHECK(tried({429, Class::rate_limited, true, {}, seven}) == after(7) + yes);
    CHECK(tried({429, Class::rate_limited, false, {}, hour}) == after(60) + yes);
    CHECK(tried({503, Class::transient, false, Duration::seconds(20), seven}) == after(20) + yes);
    CHECK(tried({503, Class::transient, false, Duration::seconds(2), seven}) == after(7) + yes);
    CHECK(tried({503, Class::transient, false, {}, never}) == no);
    CHECK(tried({500, Class::transient, true, {}, ever}) == yes);
}

TEST_CASE("R6b: a backend's own word makes no settled refusal worth another try") {
    const RetryAdvice ever{.after = {}, .should_retry = true};
    const RetryAdvice seven{.after = Duration::seconds(7), .should_retry = true};
    for (const Class failure : {Class::client, Class::context_length, Class::policy_block,
                                Class::over_rate, Class::hard}) {
        for (const bool elsewhere : {false, true}) {
            CHECK(tried({400, failure, elsewhere, {}, ever}) == no);
            CHECK(tried({500, failure, elsewhere, Duration::seconds(3), ever}) == no);
            CHECK(tried({403, failure, elsewhere, {}, seven}) == after(7) + no);
        }
    }
    // What is of the moment passes.
    for (const int status : {409, 425}) {
        CHECK(tried({status, Class::client}).empty());
        CHECK(tried({status, Class::client, false, {}, ever}) == yes);
        CHECK(tried({status, Class::client, false, {}, seven}) == after(7) + yes);
    }
    CHECK(tried({503, Class::transient, false, {}, ever}) == yes);
    CHECK(tried({429, Class::rate_limited, false, {}, ever}) == yes);
}
