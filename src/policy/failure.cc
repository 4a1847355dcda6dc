#include "sluice/policy/failure.h"

#include "sluice/base/assert.h"

#include <array>
#include <cstddef>

namespace sluice::policy {

namespace {

using llm::ContextSign;
using llm::ErrorFacts;

bool is_too_long(int status, const ErrorFacts& error) {
    if (error.context == ContextSign::exact) return true;
    // A message may repeat what the client wrote, and a broken server must not hide behind that.
    const bool refusal = status == 400 || status == 413 || status == 422;
    return error.context == ContextSign::mentioned && refusal;
}

FailureClass classify_credential(Credential credential) {
    return credential == Credential::gateway ? FailureClass::hard : FailureClass::client;
}

// What a status of 400 or more says by itself. 502, 503, 504 and 529 are of servers that say that
// they, or those behind them, cannot serve anybody now; anything else of 5xx is also what a wrong
// request is answered with.
FailureClass classify_status(const FailureFacts& facts) {
    constexpr int overloaded_status = 529;  // Anthropic's
    switch (facts.status) {
        case 401:
        case 402:
        case 403:
            return classify_credential(facts.credential);
        case 429:
            return FailureClass::rate_limited;
        case 501:
            return FailureClass::client;
        case 502:
        case 503:
        case 504:
        case overloaded_status:
            return FailureClass::transient;
        case 408:
            return FailureClass::doubtful;
        case 508:
            return facts.of_gateway ? FailureClass::loop : FailureClass::doubtful;
        default:
            return facts.status >= 500 ? FailureClass::doubtful : FailureClass::client;
    }
}

// Whether a body's words say more than that status does.
bool leaves_open(int status) {
    return !(status >= 401 && status <= 403) && status != 408 && status != 429 && status != 501 &&
           status != 508;
}

// A status of 400 or more, with what the body said to it.
FailureClass classify_answer(const FailureFacts& facts, const ErrorFacts& error) {
    const int status = facts.status;
    if (error.says_billing) return classify_credential(facts.credential);
    if (error.says_blocked) return FailureClass::policy_block;
    if (error.says_over_rate) return FailureClass::over_rate;
    // Whatever its status (Together says it with 403), but for a bucket of tokens that is empty.
    if (error.context == ContextSign::exact && status != 429) return FailureClass::context_length;
    if (leaves_open(status)) {
        if (is_too_long(status, error)) return FailureClass::context_length;
        if (error.says_unsupported) return FailureClass::client;
        if (error.says_loading && status >= 500) return FailureClass::loading;
    }
    return classify_status(facts);
}

// An error inside of a stream tells its status in itself; one that tells none may be anybody's.
FailureClass classify_event(FailureFacts facts, const ErrorFacts& error) {
    constexpr int unknown_status = 500;
    facts.status = error.status != 0 ? error.status : unknown_status;
    return classify_answer(facts, error);
}

constexpr std::array names{"none",      "transient", "doubtful",       "rate_limited",
                           "hard",      "client",    "context_length", "policy_block",
                           "over_rate", "loading",   "slow",           "loop"};

}  // namespace

FailureClass classify(const FailureFacts& facts) {
    switch (facts.end) {
        case AttemptEnd::answered:
            SLUICE_ASSERT(facts.status >= 100);
            if (facts.status < 400) return FailureClass::none;
            if (facts.error == nullptr) return classify_status(facts);
            return classify_answer(facts, *facts.error);
        case AttemptEnd::error_event:
            if (facts.error == nullptr) return FailureClass::doubtful;
            return classify_event(facts, *facts.error);
        case AttemptEnd::refused:
        case AttemptEnd::unreachable:
        case AttemptEnd::timed_out:
        case AttemptEnd::reset:
        case AttemptEnd::ended_early:
            return FailureClass::transient;
        case AttemptEnd::outlasted:
            return FailureClass::slow;
        case AttemptEnd::malformed:
            return FailureClass::doubtful;
        case AttemptEnd::client_left:
        case AttemptEnd::client_timeout:
        case AttemptEnd::gateway_fault:
            break;
    }
    return FailureClass::none;
}

Disposition disposition_of(FailureClass failure) {
    switch (failure) {
        case FailureClass::none:
            break;
        case FailureClass::transient:
            return {BreakerEffect::counts, NextBackend::any, FallbackChain::general, false};
        case FailureClass::doubtful:
            return {BreakerEffect::with_witnesses, NextBackend::one_other, FallbackChain::general,
                    false};
        case FailureClass::rate_limited:
            return {BreakerEffect::rests, NextBackend::any, FallbackChain::rate_limit, false};
        case FailureClass::hard:
            return {BreakerEffect::trips, NextBackend::any, FallbackChain::general, false};
        case FailureClass::client:
            return {BreakerEffect::none, NextBackend::no, FallbackChain::none, true};
        case FailureClass::context_length:
            return {BreakerEffect::none, NextBackend::larger_context, FallbackChain::context_length,
                    false, false};
        case FailureClass::policy_block:
            return {BreakerEffect::none, NextBackend::no, FallbackChain::policy_block, false,
                    false};
        case FailureClass::over_rate:
            return {BreakerEffect::none, NextBackend::any, FallbackChain::rate_limit, false, false};
        case FailureClass::loading:
            return {BreakerEffect::none, NextBackend::any, FallbackChain::overload, false};
        case FailureClass::slow:
            return {BreakerEffect::none, NextBackend::any, FallbackChain::general, false};
        case FailureClass::loop:
            return {BreakerEffect::trips, NextBackend::any, FallbackChain::general, false, false};
    }
    return {};
}

FallbackChain choose_chain(FailureClass failure, const FailureFacts& facts) {
    const FallbackChain chain = disposition_of(failure).chain;
    if (failure != FailureClass::transient && failure != FailureClass::doubtful) return chain;
    constexpr int overloaded_status = 529;  // Anthropic's
    const bool overloaded = facts.error != nullptr && facts.error->says_overloaded;
    return overloaded || facts.status == overloaded_status ? FallbackChain::overload : chain;
}

std::string_view name_of(FailureClass failure) {
    const auto index = static_cast<std::size_t>(failure);
    SLUICE_ASSERT(index < names.size());
    return names[index];
}

}  // namespace sluice::policy
