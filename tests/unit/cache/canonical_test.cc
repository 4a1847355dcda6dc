// Which requests are the same, which are deterministic, and which bypass: tables by endpoint.
#include "sluice/cache/canonical.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::cache;

namespace {

const llm::Endpoint& endpoint(std::string_view path) {
    const llm::Endpoint* found = llm::find_endpoint(path);
    REQUIRE(found != nullptr);
    return *found;
}

// The form, or the name of what bypasses in angle brackets.
std::string form(std::string_view path, std::string_view body) {
    CanonicalRequest request;
    const Bypass bypass = request.read(endpoint(path), body);
    if (bypass != Bypass::none) return "<" + std::string(name_of(bypass)) + ">";
    std::string out;
    llm::RunWriter writer(
        [](void* to, std::string_view run) { static_cast<std::string*>(to)->append(run); }, &out);
    request.write(writer);
    writer.flush();
    return out;
}

bool deterministic(std::string_view path, std::string_view body) {
    CanonicalRequest request;
    REQUIRE(request.read(endpoint(path), body) == Bypass::none);
    return request.deterministic();
}

constexpr std::string_view chat = "/v1/chat/completions";
constexpr std::string_view completions = "/v1/completions";
constexpr std::string_view responses = "/v1/responses";
constexpr std::string_view messages = "/v1/messages";

// Of one that bypasses nothing.
std::string begin_of_body(std::string_view path) {
    return path == responses ? R"({"input":"p","model":"m")"
                             : R"({"messages":[1],"model":"m","prompt":"p")";
}

}  // namespace

TEST_CASE("members that change nothing are left out, and no others") {
    struct Case {
        std::string_view path;
        std::string_view member;
        bool left_out;
    };
    const Case cases[] = {
        {chat, R"("stream":true)", true},
        {chat, R"("stream":false)", true},
        {chat, R"("stream":null)", true},
        {chat, R"("stream":"true")", false},
        {chat, R"("Stream":true)", false},
        {chat, R"("stream_options":{"include_usage":true})", true},
        {chat, R"("stream_options":null)", true},
        {chat, R"("stream_options":[])", false},
        {chat, R"("n":1)", true},
        {chat, R"("n":1.0)", true},
        {chat, R"("\u006e":1)", true},
        {chat, R"("n":null)", true},
        {chat, R"("temperature":null)", true},
        {chat, R"("temperature":1)", false},
        {chat, R"("top_p":1)", false},
        {chat, R"("presence_penalty":0)", false},
        {chat, R"("max_tokens":null)", true},
        {chat, R"("logprobs":false)", true},
        {chat, R"("tool_choice":null)", false},
        {chat, R"("parallel_tool_calls":null)", false},
        {chat, R"("parallel_tool_calls":true)", false},
        {chat, R"("top_logprobs":null)", false},
        {chat, R"("tools":[])", false},
        {chat, R"("unheard_of":null)", false},
        {chat, R"("metadata":{"n":1,"stream":true})", false},
        {"/chat/completions", R"("stream":true)", true},
        {completions, R"("max_tokens":null)", false},
        {completions, R"("max_tokens":16)", false},
        {completions, R"("best_of":1)", true},
        {completions, R"("echo":false)", true},
        {completions, R"("echo":true)", false},
        {completions, R"("logprobs":null)", true},
        {completions, R"("logprobs":false)", false},
        {"/v1/embeddings", R"("encoding_format":"float")", true},
        {"/v1/embeddings", R"("encoding_format":"base64")", false},
        {"/v1/embeddings", R"("dimensions":null)", true},
        {"/v1/embeddings", R"("stream":true)", false},
        {responses, R"("stream":true)", true},
        {responses, R"("stream_options":{"include_obfuscation":false})", true},
        {responses, R"("previous_response_id":null)", true},
        {responses, R"("background":false)", true},
        {responses, R"("store":false)", false},
        {responses, R"("prompt":null)", false},
        {messages, R"("stream":true)", true},
        {messages, R"("stream_options":{})", false},
        {messages, R"("temperature":null)", false},
        {messages, R"("temperature":1)", false},
        {"/completion", R"("stream":true)", true},
        {"/completion", R"("n_predict":-1)", false},
        {"/api/chat", R"("stream":false)", true},
        {"/api/chat", R"("options":{})", false},
    };
    for (const Case& each : cases) {
        const std::string rest = begin_of_body(each.path);
        INFO(each.path, " ", each.member);
        const std::string with = form(each.path, rest + "," + std::string(each.member) + "}");
        const std::string without = form(each.path, rest + "}");
        CHECK((without[0] == '{' && with[0] == '{'));
        CHECK((with == without) == each.left_out);
    }
}

TEST_CASE("the members of a level below are nobody's default") {
    CHECK(form(chat, R"({"messages":[{"n":1,"stream":true,"name":null}]})") ==
          R"({"messages":[{"n":1,"name":null,"stream":true}]})");
}

TEST_CASE("what bypasses") {
    struct Case {
        std::string_view path;
        std::string_view body;
        std::string_view bypass;
    };
    const Case cases[] = {
        {chat, "[]", "not_an_object"},
        {chat, "1", "not_an_object"},
        {chat, "", "malformed"},
        {chat, "{} {}", "trailing_bytes"},
        {chat, R"({"temperature":0,"temperature":1})", "duplicate_key"},
        {chat, R"({"stream_options":{"a":1,"a":2}})", "duplicate_key"},
        {chat, R"({"temperature":0,"Temperature":1})", "ambiguous_key"},
        {chat, R"({"n":2})", "several_choices"},
        {chat, R"({"n":"2"})", "several_choices"},
        {chat, R"({"n":1.5})", "several_choices"},
        {chat, R"({"n":true})", "several_choices"},
        {completions, R"({"best_of":4,"n":1})", "several_choices"},
        {"/completion", R"({"n_cmpl":3})", "several_choices"},
        {responses, R"({"previous_response_id":"r"})", "stateful"},
        {responses, R"({"conversation":{"id":"c"}})", "stateful"},
        {responses, R"({"background":true})", "stateful"},
        {responses, R"({"store":true})", "stateful"},
        {"/api/generate", R"({"model":"m"})", "stateful"},
        {"/api/generate", R"({"model":"m","prompt":"","keep_alive":0})", "stateful"},
        {"/api/chat", R"({"model":"m","messages":[]})", "stateful"},
        {responses, R"({"prompt":{"id":"p"}})", "stateful"},
        {messages, R"({"container":"c"})", "stateful"},
        {chat, R"({"kv_transfer_params":{}})", "stateful"},
        {"/api/chat", R"({"messages":[1],"keep_alive":0})", "stateful"},
        {"/api/chat", R"({"messages":[1],"keep_alive":0.0})", "stateful"},
        {"/api/chat", R"({"messages":[1],"keep_alive":"0s"})", "stateful"},
        {"/api/embed", R"({"input":[]})", "stateful"},
        {"/api/embeddings", R"({"prompt":""})", "stateful"},
        {"/api/show", R"({"model":"m"})", "endpoint"},
        {"/v1/audio/speech", R"({"model":"m"})", "endpoint"},
        {"/v1/audio/transcriptions", R"({"model":"m"})", "endpoint"},
        {"/v1/images/generations", R"({"model":"m"})", "endpoint"},
        {"/v1/moderations", R"({"model":"m"})", "endpoint"},
    };
    for (const Case& each : cases) {
        INFO(each.path, " ", each.body);
        CHECK(form(each.path, each.body) == "<" + std::string(each.bypass) + ">");
    }
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < bypass_count; ++i)
        names.insert(name_of(static_cast<Bypass>(i)));
    CHECK(names.size() == bypass_count);
    CHECK(name_of(Bypass::stateful) == "stateful");
    CHECK(name_of(Bypass::too_many_values) == "too_many_values");
}

TEST_CASE("tools, tool calls and images are bytes of the key") {
    const std::string_view body = R"({"tools":[{"type":"function"}],"messages":[{"content":[
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]})";
    CHECK(form(chat, body) ==
          R"({"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,AA"},)"
          R"("type":"image_url"}]}],"tools":[{"type":"function"}]})");
}

TEST_CASE("what is deterministic") {
    struct Case {
        std::string_view path;
        std::string_view body;
        bool deterministic;
    };
    const Case cases[] = {
        {chat, R"({})", false},
        {chat, R"({"temperature":0})", true},
        {chat, R"({"temperature":-0.0})", true},
        {chat, R"({"temperature":0e5})", true},
        {chat, R"({"temperature":1e-9999})", false},
        {chat, R"({"temperature":"0"})", false},
        {chat, R"({"temperature":null})", false},
        {chat, R"({"temperature":[0]})", false},
        {chat, R"({"x":{"temperature":0,"seed":1}})", false},
        {chat, R"({"seed":0})", true},
        {chat, R"({"seed":42,"temperature":1})", true},
        {chat, R"({"seed":4e2})", true},
        {chat, R"({"seed":-1})", false},
        {chat, R"({"seed":-1,"temperature":0})", true},
        {chat, R"({"seed":4294967295})", false},
        {chat, R"({"seed":4294967294})", true},
        {chat, R"({"seed":4294967295.0})", false},
        {chat, R"({"seed":8589934591})", false},
        {chat, R"({"seed":99999999999999999999999})", false},
        {chat, R"({"seed":1e9})", true},
        {chat, R"({"seed":1e10})", false},
        {chat, R"({"seed":1e99999999})", false},
        {chat, R"({"seed":0.5})", false},
        {chat, R"({"seed":null})", false},
        {chat, R"({"seed":"1"})", false},
        {responses, R"({"temperature":0})", true},
        {messages, R"({"temperature":0})", true},
        {"/completion", R"({"temperature":0})", true},
        {"/infill", R"({"seed":3})", true},
        {"/api/chat", R"({"messages":[1],"temperature":0})", false},
        {"/api/chat", R"({"messages":[1],"options":{"temperature":0}})", true},
        {"/api/chat", R"({"messages":[1],"keep_alive":"10m","options":{"seed":5}})", true},
        {"/api/chat", R"({"messages":[1],"keep_alive":-1,"options":{"seed":5}})", true},
        {"/api/chat", R"({"messages":[1],"keep_alive":null,"options":{"seed":5}})", true},
        {"/api/generate", R"({"prompt":"x","options":{"seed":7}})", true},
        {"/api/generate", R"({"prompt":"x","options":null,"seed":7})", false},
        {"/v1/embeddings", R"({"input":"x"})", true},
        {"/embedding", R"({"content":"x"})", true},
        {"/api/embed", R"({"input":"x"})", true},
        {"/v1/rerank", R"({})", true},
        {"/score", R"({})", true},
        {"/classify", R"({})", true},
        {"/pooling", R"({})", true},
        {"/tokenize", R"({})", true},
        {"/v1/detokenize", R"({})", true},
        {"/apply-template", R"({})", true},
        {"/v1/messages/count_tokens", R"({})", true},
    };
    for (const Case& each : cases) {
        INFO(each.path, " ", each.body);
        CHECK(deterministic(each.path, each.body) == each.deterministic);
    }
}
