#include "sluice/policy/advice.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <cstdint>

namespace sluice::policy {

namespace {

// What nobody knows more of than that it will pass.
constexpr Duration soon = Duration::seconds(1);

// Of what the gateway says by itself.
RetryAdvice advise_own(const RefusalFacts& facts) {
    switch (facts.status) {
        case 429:
        case 503:
            return {.after = facts.known.value_or(soon), .should_retry = true};
        case 408:  // a network that was slow once
            return {};
        case 501:
        case 505:
        case 508:
            return {.after = {}, .should_retry = false};
        default:
            break;
    }
    if (facts.status >= 500) return {};
    return {.after = {}, .should_retry = false};
}

// Asked again, it would be answered the same. A conflict, and what came too early (RFC 8470), are
// of the moment.
bool is_settled(const RefusalFacts& facts) {
    if (facts.failure == FailureClass::client && (facts.status == 409 || facts.status == 425))
        return false;
    return facts.failure == FailureClass::hard || facts.failure == FailureClass::loop ||
           is_about_request(facts.failure);
}

RetryAdvice advise_tried(const RefusalFacts& facts) {
    const auto after = std::max(facts.known, facts.said.after);  // nothing is less than any
    if (after) return {.after = after, .should_retry = true};
    if (facts.status >= 500 && facts.tried_elsewhere) return {.after = {}, .should_retry = false};
    return {};
}

}  // namespace

bool is_about_request(FailureClass failure) {
    switch (failure) {
        case FailureClass::client:
        case FailureClass::context_length:
        case FailureClass::policy_block:
        case FailureClass::over_rate:
            return true;
        case FailureClass::none:
        case FailureClass::transient:
        case FailureClass::rate_limited:
        case FailureClass::hard:
        case FailureClass::loading:
        case FailureClass::slow:
        case FailureClass::doubtful:
        case FailureClass::loop:
            break;
    }
    return false;
}

RetryAdvice advise(const RefusalFacts& facts) {
    SLUICE_ASSERT(facts.status >= 400);
    if (facts.harmful) return {.after = {}, .should_retry = false};
    const bool tried = facts.source == Source::backend && facts.failure != FailureClass::none;
    RetryAdvice advice = tried ? advise_tried(facts) : advise_own(facts);
    if (facts.said.should_retry) advice.should_retry = facts.said.should_retry;
    // Servers stamp `true` on whatever they refuse, proxies on whatever passes them.
    if (tried && is_settled(facts)) advice = {.after = facts.said.after, .should_retry = false};
    if (advice.after)
        advice.after = std::clamp(*advice.after, Duration::millis(1), retry_advice_max);
    return advice;
}

std::string advice_fields(const RetryAdvice& advice) {
    std::string fields;
    if (advice.after) {
        SLUICE_ASSERT(advice.after->ns > 0 && *advice.after <= retry_advice_max);
        constexpr std::int64_t ns_a_milli = 1'000'000;
        const std::int64_t millis = (advice.after->ns + ns_a_milli - 1) / ns_a_milli;
        fields += "Retry-After: " + std::to_string((millis + 999) / 1000) +
                  "\r\nretry-after-ms: " + std::to_string(millis) + "\r\n";
    }
    if (advice.should_retry)
        fields += *advice.should_retry ? "x-should-retry: true\r\n" : "x-should-retry: false\r\n";
    return fields;
}

}  // namespace sluice::policy
