#include "sluice/policy/failure.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

using namespace sluice;
using namespace sluice::policy;
using Class = FailureClass;

namespace {

constexpr std::string_view exact_context =
    R"({"error":{"code":400,"message":"m","type":"exceed_context_size_error"}})";
constexpr std::string_view anthropic_context =
    R"({"type":"error","error":{"type":"invalid_request_error",)"
    R"("message":"prompt is too long: 203284 tokens > 200000 maximum"}})";
constexpr std::string_view loading =
    R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})";
constexpr std::string_view no_quota =
    R"({"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}})";
constexpr std::string_view no_credit =
    R"({"type":"error","error":{"type":"invalid_request_error",)"
    R"("message":"Your credit balance is too low to access the Anthropic API."}})";
constexpr std::string_view blocked = R"({"error":{"message":"m","code":"content_filter"}})";
constexpr std::string_view no_image =
    R"({"error":{"code":500,"message":"image input is not supported - hint: x",)"
    R"("type":"server_error"}})";
constexpr std::string_view overflow =
    R"({"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}})";

Class answered(int status, std::string_view body, Credential credential = Credential::gateway) {
    const llm::ErrorFacts error = llm::read_failure_body(body);
    return classify({AttemptEnd::answered, status, &error, credential});
}

Class event(std::string_view data) {
    const llm::ErrorFacts error = llm::read_failure_body(data);
    return classify({AttemptEnd::error_event, 200, &error});
}

constexpr Class classes[] = {Class::none,           Class::transient,    Class::doubtful,
                             Class::rate_limited,   Class::hard,         Class::client,
                             Class::context_length, Class::policy_block, Class::over_rate,
                             Class::loading,        Class::slow,         Class::loop};

// What Groq and OpenAI say of a request that is more than a minute's allowance by itself.
constexpr std::string_view too_large_for_a_minute =
    R"j({"error":{"message":"Request too large for model `llama-3.3-70b` in organization `org_x` )j"
    R"j(service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 14810, )j"
    R"j(please reduce your message size and try again.","type":"tokens",)j"
    R"j("code":"rate_limit_exceeded"}})j";
constexpr std::string_view too_large_for_a_min =
    R"j({"error":{"message":"Request too large for gpt-4o in organization org-x on tokens per )j"
    R"j(min (TPM): Limit 30000, Requested 342389. The input or output tokens must be reduced in )j"
    R"j(order to run successfully.","type":"tokens","code":"rate_limit_exceeded"}})j";
constexpr std::string_view used_up =
    R"j({"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per )j"
    R"j(min (TPM): Limit 30000, Used 29000, Requested 5000. Please try again in 2s.",)j"
    R"j("type":"tokens","code":"rate_limit_exceeded"}})j";

}  // namespace

TEST_CASE("an answer is classed by its status where its body says nothing") {
    for (int status = 100; status <= 599; ++status) {
        CAPTURE(status);
        Class expected = status < 400   ? Class::none
                         : status < 500 ? Class::client
                                        : Class::doubtful;
        if (status == 408) expected = Class::doubtful;
        if ((status >= 502 && status <= 504) || status == 529) expected = Class::transient;
        if (status == 429) expected = Class::rate_limited;
        if (status == 501) expected = Class::client;
        if (status >= 401 && status <= 403) expected = Class::hard;
        CHECK(classify({AttemptEnd::answered, status}) == expected);
        // Odd bodies change nothing.
        for (const std::string_view body :
             {"", "<html>", "{", "null", R"({"error":{}})", R"({"error":"no"})", "\xFF\x00\x80"}) {
            CHECK(answered(status, body) == expected);
        }
    }
}

TEST_CASE("an answer is classed by its status and body") {
    struct Case {
        int status;
        std::string_view body;
        Class expected;
    };
    const Case cases[] = {
        {400, exact_context, Class::context_length},
        {413, exact_context, Class::context_length},
        {500, exact_context, Class::context_length},
        {400, R"({"error":{"message":"m","code":"context_length_exceeded"}})",
         Class::context_length},
        {500, R"({"error":{"message":"m","code":"context_length_exceeded"}})",
         Class::context_length},
        {400, anthropic_context, Class::context_length},
        {413, anthropic_context, Class::context_length},
        {422, anthropic_context, Class::context_length},
        {400, R"({"error":"prompt too long; exceeded max context length by 17 tokens"})",
         Class::context_length},
        // A message that begins with a known wording is believed with any status.
        {500, anthropic_context, Class::context_length},
        {502, anthropic_context, Class::context_length},
        {404, anthropic_context, Class::context_length},
        {500, overflow, Class::context_length},
        {500, R"({"error":"the input length exceeds the context length"})", Class::context_length},
        // A failing server that only mentions the context is a failing server.
        {500, R"({"error":"lost: the input length exceeds the context length"})", Class::doubtful},
        {429, anthropic_context, Class::rate_limited},
        {413, R"({"type":"error","error":{"type":"request_too_large","message":"m"}})",
         Class::client},

        {503, loading, Class::loading},
        {500, R"({"error":"unexpected server status: llm server loading model"})", Class::loading},
        {400, loading, Class::client},
        {503, R"({"error":{"code":503,"message":"no slot available","type":"unavailable_error"}})",
         Class::transient},

        {429, no_quota, Class::hard},
        {400, no_credit, Class::hard},
        {402, "", Class::hard},
        {400, R"({"error":{"message":"m","code":"billing_hard_limit_reached"}})", Class::hard},
        {429, R"({"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}})",
         Class::rate_limited},

        {400, blocked, Class::policy_block},
        {403, blocked, Class::policy_block},
        {400, R"({"error":{"message":"m","code":"content_policy_violation"}})",
         Class::policy_block},

        {500, no_image, Class::client},
        {501, R"({"error":{"code":501,"message":"m","type":"not_supported_error"}})",
         Class::client},
        {529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})",
         Class::transient},
        {404, R"({"error":"model 'x' not found, try pulling it first"})", Class::client},
        {400,
         R"({"error":{"code":400,"message":"'messages' is required",)"
         R"("type":"invalid_request_error"}})",
         Class::client},
    };
    for (const Case& c : cases) {
        CAPTURE(c.status);
        CAPTURE(c.body);
        CHECK(name_of(answered(c.status, c.body)) == name_of(c.expected));
    }
}

TEST_CASE("what providers refuse for its words or its length is classed so") {
    struct Case {
        int status;
        std::string_view body;
        Class expected;
    };
    const Case cases[] = {
        {400, R"({"error":{"message":"m","code":"invalid_prompt"}})", Class::policy_block},
        {400, R"({"error":{"message":"m","code":"moderation_blocked"}})", Class::policy_block},
        {400,
         R"({"type":"error","error":{"type":"invalid_request_error",)"
         R"("message":"Output blocked by content filtering policy"}})",
         Class::policy_block},
        {400,
         R"j({"error":{"code":400,"message":"The input token count (1234) exceeds the maximum )j"
         R"j(number of tokens allowed (1000).","status":"INVALID_ARGUMENT"}})j",
         Class::context_length},
    };
    for (const Case& c : cases) {
        CAPTURE(c.status);
        CAPTURE(c.body);
        CHECK(name_of(answered(c.status, c.body)) == name_of(c.expected));
    }
}

TEST_CASE("a credential of the client's own is the client's fault") {
    for (const int status : {401, 402, 403}) {
        CHECK(answered(status, "", Credential::gateway) == Class::hard);
        CHECK(answered(status, "", Credential::client) == Class::client);
    }
    CHECK(answered(429, no_quota, Credential::client) == Class::client);
    CHECK(answered(400, no_credit, Credential::client) == Class::client);
    CHECK(answered(429, "", Credential::client) == Class::rate_limited);
    CHECK(answered(500, "", Credential::client) == Class::doubtful);
    CHECK(answered(503, "", Credential::client) == Class::transient);
}

TEST_CASE("every other end of an attempt has its class") {
    struct Case {
        AttemptEnd end;
        Class expected;
    };
    const Case cases[] = {
        {AttemptEnd::refused, Class::transient},     {AttemptEnd::unreachable, Class::transient},
        {AttemptEnd::timed_out, Class::transient},   {AttemptEnd::reset, Class::transient},
        {AttemptEnd::ended_early, Class::transient}, {AttemptEnd::malformed, Class::doubtful},
        {AttemptEnd::client_left, Class::none},      {AttemptEnd::client_timeout, Class::none},
        {AttemptEnd::gateway_fault, Class::none},    {AttemptEnd::outlasted, Class::slow},
    };
    for (const Case& c : cases) {
        CAPTURE(static_cast<int>(c.end));
        // Whatever the head had said before.
        for (const int status : {0, 200, 400, 401, 503})
            CHECK(classify({c.end, status}) == c.expected);
    }
}

TEST_CASE("an error inside of a stream is classed by what it says itself") {
    struct Case {
        std::string_view data;
        Class expected;
    };
    const Case cases[] = {
        {R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})",
         Class::transient},
        {R"({"type":"error","error":{"type":"rate_limit_error","message":"m"}})",
         Class::rate_limited},
        {R"({"type":"error","error":{"type":"invalid_request_error","message":"m"}})",
         Class::client},
        {R"({"type":"error","error":{"type":"authentication_error","message":"m"}})", Class::hard},
        {R"({"error":{"message":"m","code":429}})", Class::rate_limited},
        {R"({"error":{"message":"m","type":"server_error"}})", Class::doubtful},
        {R"({"error":"llama runner process has terminated"})", Class::doubtful},
        {anthropic_context, Class::context_length},
        {exact_context, Class::context_length},
        {blocked, Class::policy_block},
        {no_quota, Class::hard},
        {overflow, Class::context_length},
        {loading, Class::loading},
        {"", Class::doubtful},
    };
    for (const Case& c : cases) {
        CAPTURE(c.data);
        CHECK(name_of(event(c.data)) == name_of(c.expected));
    }
    CHECK(classify({AttemptEnd::error_event, 200, nullptr}) == Class::doubtful);
}

TEST_CASE("what may be done next, by class") {
    struct Row {
        Class failure;
        BreakerEffect breaker;
        NextBackend next;
        FallbackChain chain;
        bool relayed;
    };
    using B = BreakerEffect;
    using N = NextBackend;
    using F = FallbackChain;
    const Row rows[] = {
        {Class::none, B::none, N::no, F::none, false},
        {Class::transient, B::counts, N::any, F::general, false},
        {Class::doubtful, B::with_witnesses, N::one_other, F::general, false},
        {Class::rate_limited, B::rests, N::any, F::rate_limit, false},
        {Class::hard, B::trips, N::any, F::general, false},
        {Class::client, B::none, N::no, F::none, true},
        {Class::context_length, B::none, N::larger_context, F::context_length, false},
        {Class::policy_block, B::none, N::no, F::policy_block, false},
        {Class::over_rate, B::none, N::any, F::rate_limit, false},
        {Class::loading, B::none, N::any, F::overload, false},
        {Class::slow, B::none, N::any, F::general, false},
        {Class::loop, B::trips, N::any, F::general, false},
    };
    CHECK(std::size(rows) == std::size(classes));
    for (const Row& row : rows) {
        CAPTURE(name_of(row.failure));
        const Disposition d = disposition_of(row.failure);
        CHECK(d.breaker == row.breaker);
        CHECK(d.next == row.next);
        CHECK(d.chain == row.chain);
        CHECK(d.relayed == row.relayed);
        CHECK(choose_chain(row.failure, {}) == row.chain);
    }
}

TEST_CASE("a backend without room falls back by its own chain") {
    const auto chain = [](int status, std::string_view body) {
        const llm::ErrorFacts error = llm::read_failure_body(body);
        const FailureFacts facts{AttemptEnd::answered, status, &error};
        return choose_chain(classify(facts), facts);
    };
    CHECK(chain(529, "") == FallbackChain::overload);
    CHECK(chain(503, R"({"error":"server busy, please try again.  maximum"})") ==
          FallbackChain::overload);
    CHECK(chain(500, R"({"error":"model requires more system memory (9 GiB) than"})") ==
          FallbackChain::overload);
    for (const int status : {500, 503}) {
        for (
            const std::string_view body :
            {R"({"error":"llama runner process has terminated: cudaMalloc failed: out of memory"})",
             R"({"error":{"message":"CUDA out of memory. Tried to allocate 2.00 GiB.",)"
             R"("type":"InternalServerError","code":500}})",
             R"({"error":{"code":500,"message":"failed to allocate buffer for kv cache",)"
             R"("type":"server_error"}})"}) {
            CAPTURE(body);
            CHECK(chain(status, body) == FallbackChain::overload);
        }
    }
    CHECK(chain(400, R"({"error":"CUDA error: out of memory"})") == FallbackChain::none);
    CHECK(chain(500, R"({"error":"llama runner process has terminated: exit status 2"})") ==
          FallbackChain::general);
    CHECK(chain(503, "") == FallbackChain::general);
    CHECK(chain(429, R"({"error":"server busy, please try again"})") == FallbackChain::rate_limit);
    CHECK(chain(404, R"({"error":"server busy, please try again"})") == FallbackChain::none);
}

TEST_CASE("classes have names of their own") {
    std::set<std::string_view> names;
    for (const Class failure : classes)
        names.insert(name_of(failure));
    CHECK(names.size() == std::size(classes));
    CHECK(name_of(Class::rate_limited) == "rate_limited");
}

TEST_CASE("R16: what comes round was not done, and is no fault of the request") {
    constexpr FailureFacts ours{.end = AttemptEnd::answered, .status = 508, .of_gateway = true};
    CHECK(classify(ours) == Class::loop);
    // An application's own says no more than 500.
    CHECK(answered(508, "") == Class::doubtful);
    CHECK(disposition_of(Class::loop).breaker == BreakerEffect::trips);
    CHECK_FALSE(disposition_of(Class::loop).budgeted);
}

TEST_CASE("R13: a request that is more than a minute's allowance is no limit that passes") {
    for (const std::string_view body : {too_large_for_a_minute, too_large_for_a_min}) {
        for (const int status : {400, 413, 429, 500})
            CHECK(answered(status, body) == Class::over_rate);
        CHECK(event(body) == Class::over_rate);
        CHECK(answered(413, body, Credential::client) == Class::over_rate);
    }
    CHECK(answered(429, used_up) == Class::rate_limited);
    CHECK(answered(413, R"({"error":{"message":"Request too large for model"}})") ==
          Class::context_length);
    CHECK(answered(413, R"({"error":{"message":"Request too large"}})") == Class::client);

    // Others may have room for it, and nobody else is to suffer for it.
    const Disposition disposition = disposition_of(Class::over_rate);
    CHECK(disposition.breaker == BreakerEffect::none);
    CHECK(disposition.next == NextBackend::any);
    CHECK(disposition.chain == FallbackChain::rate_limit);
    CHECK_FALSE(disposition.relayed);
}
