#include "sluice/llm/failure_body.h"

#include <doctest/doctest.h>

#include <span>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::llm;

namespace {

constexpr std::string_view llama_context =
    R"({"error":{"code":400,"message":"request (1523 tokens) exceeds the available context size )"
    R"((512 tokens), try increasing it","type":"exceed_context_size_error",)"
    R"("n_prompt_tokens":1523,"n_ctx":512}})";

// The signs in the order of their fields: c(ontext) exact or m(entioned), l(oading), $, b(locked),
// o(verloaded), u(nsupported).
std::string signs(const ErrorFacts& facts) {
    std::string text;
    if (facts.context == ContextSign::exact) text += 'c';
    if (facts.context == ContextSign::mentioned) text += 'm';
    if (facts.says_loading) text += 'l';
    if (facts.says_billing) text += '$';
    if (facts.says_blocked) text += 'b';
    if (facts.says_overloaded) text += 'o';
    if (facts.says_unsupported) text += 'u';
    return text;
}

struct SignCase {
    std::string_view body;
    std::string_view signs;
    int status;
};

void check_signs(std::span<const SignCase> cases) {
    for (const SignCase& c : cases) {
        CAPTURE(c.body);
        const ErrorFacts facts = read_failure_body(c.body);
        CHECK(facts.is_error);
        CHECK(signs(facts) == c.signs);
        CHECK(facts.status == c.status);
    }
}

std::string openai_error(std::string_view message) {
    return R"({"error":{"message":")" + std::string(message) + R"(","type":"BadRequestError"}})";
}

}  // namespace

TEST_CASE("llama-server's context error is read whole") {
    const ErrorFacts facts = read_failure_body(llama_context);
    CHECK(facts.is_error);
    CHECK(facts.type == "exceed_context_size_error");
    CHECK(facts.code == "400");
    CHECK(facts.status == 400);
    CHECK(facts.message.starts_with("request (1523 tokens) exceeds"));
    CHECK(facts.context == ContextSign::exact);
    CHECK(facts.n_ctx == 512);
    CHECK(facts.n_prompt_tokens == 1523);
}

TEST_CASE("every dialect's error is read") {
    struct Case {
        std::string_view body;
        std::string_view type;
        std::string_view code;
        std::string_view message;
        int status;
    };
    const Case cases[] = {
        {R"({"error":{"message":"m","type":"rate_limit_error","param":null,"code":null}})",
         "rate_limit_error", "", "m", 429},
        {R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})",
         "overloaded_error", "", "Overloaded", 529},
        {R"({"error":"model 'x' not found, try pulling it first"})", "", "",
         "model 'x' not found, try pulling it first", 0},
        {R"({"object":"error","message":"m","type":"BadRequestError","param":null,"code":400})",
         "BadRequestError", "400", "m", 400},
        {R"([{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}])", "", "503", "m", 503},
        {R"({"type":"error","code":"server_error","message":"m","param":null})", "", "server_error",
         "m", 500},
        {R"({"type":"response.failed","response":{"id":"r","error":{"code":"server_error",)"
         R"("message":"m"}}})",
         "response.failed", "server_error", "m", 500},
        {R"({"detail":"Not Found"})", "", "", "Not Found", 0},
        {R"({"error":{"code":"503","message":"m"}})", "", "503", "m", 503},
        {R"({"error":{"code":200,"message":"m"}})", "", "200", "m", 0},
        {R"({"error":{"code":"4xx","message":"m"}})", "", "4xx", "m", 0},
    };
    for (const Case& c : cases) {
        CAPTURE(c.body);
        const ErrorFacts facts = read_failure_body(c.body);
        CHECK(facts.is_error == !c.body.starts_with(R"({"detail)"));
        CHECK(facts.type == c.type);
        CHECK(facts.code == c.code);
        CHECK(facts.message == c.message);
        CHECK(facts.status == c.status);
    }
}

TEST_CASE("what is no error is none") {
    for (
        const std::string_view body :
        {R"({"id":"x","object":"chat.completion.chunk","choices":[{"delta":{"content":"error"}}]})",
         R"({"type":"response.completed","response":{"error":null}})", R"({"error":null})",
         R"({"message":{"role":"assistant","content":"error"},"done":false})", "", "[]", "null",
         R"({"choices":[{"error":{"message":"deep"}}]})", R"(["error"])"}) {
        CAPTURE(body);
        const ErrorFacts facts = read_failure_body(body);
        CHECK_FALSE(facts.is_error);
        CHECK(signs(facts).empty());
    }
}

TEST_CASE("the signs of a body") {
    const SignCase cases[] = {
        {llama_context, "c", 400},
        {R"({"error":{"message":"m","type":"invalid_request_error","param":"messages",)"
         R"("code":"context_length_exceeded"}})",
         "c", 400},
        {R"({"type":"error","error":{"type":"invalid_request_error","message":)"
         R"("prompt is too long: 203284 tokens > 200000 maximum"}})",
         "c", 400},
        {R"j({"error":"prompt too long; exceeded max context length by 17 tokens (ref: x)"})j", "c",
         0},
        {R"({"error":"the input length exceeds the context length"})", "c", 0},
        {R"({"error":{"code":500,"message":"Context size has been exceeded.",)"
         R"("type":"server_error"}})",
         "c", 500},
        {R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})", "l",
         503},
        {R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})", "l",
         503},
        {R"({"error":"unexpected server status: llm server loading model"})", "l", 0},
        {R"({"error":{"code":503,"message":"no slot available","type":"unavailable_error"}})", "o",
         503},
        {R"({"error":"server busy, please try again.  maximum pending requests exceeded"})", "o",
         0},
        {R"j({"error":"model requires more system memory (9.9 GiB) than is available (7.6 GiB)"})j",
         "o", 0},
        {R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", "o",
         529},
        {R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota",)"
         R"("param":null,"code":"insufficient_quota"}})",
         "$", 429},
        {R"({"error":{"message":"m","type":"invalid_request_error",)"
         R"("code":"billing_hard_limit_reached"}})",
         "$", 400},
        {R"({"type":"error","error":{"type":"invalid_request_error","message":"Your credit )"
         R"(balance is too low to access the Anthropic API."}})",
         "$", 400},
        {R"({"error":{"code":501,"message":"m","type":"not_supported_error"}})", "u", 501},
        {R"({"error":{"code":500,"message":"image input is not supported - hint: if this is )"
         R"(unexpected, you may need to provide the mmproj","type":"server_error"}})",
         "u", 500},
        {R"({"error":{"code":400,"message":"'messages' is required",)"
         R"("type":"invalid_request_error"}})",
         "", 400},
    };
    check_signs(cases);
}

TEST_CASE("the signs of a body that was refused for what it says") {
    const SignCase cases[] = {
        {R"({"error":{"message":"The response was filtered","type":null,"param":"prompt",)"
         R"("code":"content_filter","status":400,"innererror":{)"
         R"("code":"ResponsibleAIPolicyViolation"}}})",
         "b", 400},
        {R"({"error":{"message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}})", "b",
         400},
        {R"({"error":{"message":"m","code":"content_policy_violation"}})", "b", 400},
        {R"({"error":{"message":"m","type":"image_generation_user_error",)"
         R"("code":"moderation_blocked"}})",
         "b", 400},
        {R"({"error":{"message":"Invalid prompt: it was flagged","type":"invalid_request_error",)"
         R"("param":null,"code":"invalid_prompt"}})",
         "b", 400},
        {R"({"type":"error","error":{"type":"invalid_request_error",)"
         R"("message":"Output blocked by content filtering policy"}})",
         "b", 400},
        // A body that is too long in bytes is none for another context.
        {R"({"type":"error","error":{"type":"request_too_large","message":"Request exceeds the )"
         R"(maximum size"}})",
         "", 413},
        {R"j([{"error":{"code":400,"message":"The input token count (1200293) exceeds the )j"
         R"j(maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}])j",
         "m", 400},
    };
    check_signs(cases);
}

TEST_CASE("a server that has no memory left has no room") {
    struct Case {
        std::string_view message;
        bool overloaded;
    };
    const Case cases[] = {
        {"CUDA error: out of memory", true},
        {"llama runner process has terminated: CUDA error: out of memory", true},
        {"llama runner process has terminated: cudaMalloc failed: out of memory", true},
        {"llama runner process has terminated: exit status 2: VRAM out of memory", true},
        {"cudaMalloc failed: out of memory", true},
        {"ROCm error: out of memory", true},
        {"CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.6 GiB",
         true},
        {"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB", true},
        {"HIP out of memory. Tried to allocate 20.00 MiB", true},
        {"failed to allocate buffer for kv cache", true},
        {"failed to allocate compute buffers", true},
        {"llama_init: FAILED to allocate CUDA0 buffer of size 512", true},
        {"error loading model: unable to allocate CUDA0 buffer", true},
        {"llama runner process has terminated: exit status 2", false},
        {"the story ran out of memory", false},
        {"no tool 'llama runner process has terminated: out of memory'", false},
        {"buffer: failed to allocate a port", false},
        {"CUDA error: an illegal memory access was encountered", false},
        {"CUDA out of memory", false},
    };
    for (const Case& c : cases) {
        CAPTURE(c.message);
        CHECK(signs(read_failure_body(openai_error(c.message))) == (c.overloaded ? "o" : ""));
        const std::string ollama = R"({"error":")" + std::string(c.message) + R"("})";
        CHECK(read_failure_body(ollama).says_overloaded == c.overloaded);
        CHECK(read_failure_body(c.message).says_overloaded == c.overloaded);
    }
}

TEST_CASE("a message that repeats the client's words cannot harm others") {
    for (const std::string_view message :
         {"model 'Loading model' not found", "no such tool: Your credit balance is too low",
          "unknown field content_filter", "bad value insufficient_quota",
          "no model 'server busy, please try again'",
          "no model 'Output blocked by content filtering policy'", "invalid_prompt"}) {
        CAPTURE(message);
        CHECK(signs(read_failure_body(openai_error(message))).empty());
    }
}

TEST_CASE("R9: a refusal may be for the sake of a field that was added") {
    struct Case {
        int status;
        std::string_view body;
        bool may;
    };
    const Case cases[] = {
        {400, R"({"error":{"message":"Unrecognized request argument: stream_options"}})", true},
        {422, R"({"detail":[{"loc":["body","stream_options"],"msg":"no"}]})", true},
        {422, R"({"detail":[{"loc":["body"],"msg":"Extra inputs are not permitted"}]})", true},
        {422, R"({"detail":"Unexpected fields in the request: ..."})", true},
        {500, R"({"error":"unknown field: stream_options"})", true},
        {400, R"({"error":{"message":"Bad Request"}})", true},
        {400, "", true},
        {400, R"({"error":{"message":"temperature must be below 2"}})", false},
        {400, R"({"error":{"message":"no","code":"model_not_found"}})", false},
        {401, R"({"error":{"message":"stream_options"}})", false},
        {404, "", false},
        {500, R"({"error":"unknown field: x"})", false},
        {400, llama_context, false},
    };
    for (const Case& c : cases) {
        CAPTURE(c.body);
        const ErrorFacts error = read_failure_body(c.body);
        CHECK(may_refuse_field(c.status, error, c.body, "stream_options") == c.may);
    }
}

TEST_CASE("a text that is cut tells what came before the cut") {
    // From the first key on that decides, every longer begin says the same.
    const std::size_t message_end = llama_context.find("context size") + 12;
    for (std::size_t size = 0; size <= llama_context.size(); ++size) {
        CAPTURE(size);
        const std::string cut(llama_context.substr(0, size));  // of the exact size
        const ErrorFacts facts = read_failure_body(cut);
        CHECK((facts.context == ContextSign::exact) == (size >= message_end));
    }
    const ErrorFacts message_cut = read_failure_body(
        R"({"error":{"message":"This model's maximum context length is 8192 tokens. Howe)");
    CHECK(message_cut.is_error);
    CHECK(message_cut.context == ContextSign::mentioned);
    CHECK(message_cut.n_ctx == 8192);
    // Half a type is none.
    CHECK(read_failure_body(R"({"error":{"type":"server_err)").type.empty());
}

TEST_CASE("long texts are bounded") {
    const std::string text(100'000, 'x');
    const ErrorFacts facts = read_failure_body(R"({"error":{"type":"t","message":")" + text);
    CHECK(facts.type == "t");
    CHECK(facts.message == text.substr(0, failure_message_bytes_max));
    CHECK(read_failure_body(R"({"error":{"code":")" + text.substr(0, 65) + R"("}})").code.empty());
    CHECK(read_failure_body(R"({"error":{"code":")" + text.substr(0, 64) + R"("}})").code.size() ==
          64);
    // What stands behind the bound is not looked at.
    const std::string late =
        R"({"x":")" + text.substr(0, failure_body_bytes_max) + R"(","error":"e"})";
    CHECK_FALSE(read_failure_body(late).is_error);
    CHECK(read_failure_body(std::string(failure_body_bytes_max, '[')).message.empty());
}

TEST_CASE("a message is one line of valid UTF-8") {
    CHECK(read_failure_body(R"({"error":"a\nb\u001b[31m\u0000c"})").message == "a b [31m c");
    CHECK(read_failure_body("{\"error\":\"\xC3\xA4\xF0\x9F\x98\x80\"}").message ==
          "\xC3\xA4\xF0\x9F\x98\x80");
    // A character that the bound cuts in two goes.
    const std::string begin(failure_message_bytes_max - 1, 'x');
    CHECK(read_failure_body(R"({"error":")" + begin + "\xC3\xA4\"}").message == begin);
    CHECK(read_failure_body("\xFF\xFEgarbage\x01").message == "garbage ");
}

TEST_CASE("text that is no JSON is its own message, a page is none") {
    CHECK(read_failure_body("  upstream connect error\n").message == "upstream connect error ");
    CHECK(read_failure_body("Loading model").says_loading);
    CHECK(read_failure_body("<html><body>Bad Gateway</body></html>").message.empty());
    CHECK(read_failure_body("\r\n").message.empty());
}

TEST_CASE("the first of two counts, and strange types count nothing") {
    CHECK(read_failure_body(R"({"error":{"type":"a","type":"insufficient_quota"}})").type == "a");
    const ErrorFacts facts = read_failure_body(
        R"({"error":{"type":["insufficient_quota"],"code":{"code":"content_filter"},)"
        R"("n_ctx":-5,"n_prompt_tokens":1.5,"message":{"message":"Loading model"}}})");
    CHECK(facts.is_error);
    CHECK(signs(facts).empty());
    CHECK_FALSE(facts.n_ctx.has_value());
    CHECK_FALSE(facts.n_prompt_tokens.has_value());
    CHECK(facts.message.empty());
}
