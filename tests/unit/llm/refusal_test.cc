#include "sluice/llm/refusal.h"

#include "sluice/llm/body_reader.h"
#include "sluice/llm/errors.h"
#include "sluice/llm/responses_end.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;

namespace {

constexpr std::string_view overflow =
    R"({"error":{"code":400,"message":"request (6023 tokens) exceeds the available context size )"
    R"~((4096 tokens)","type":"exceed_context_size_error","n_prompt_tokens":6023,"n_ctx":4096}})~";

Refusal refusal_of(std::string_view body) {
    return read_refusal(body, "otherwise");
}

std::string event_of(Dialect dialect, std::string_view body, int status = 400) {
    const Refusal refusal = refusal_of(body);
    return error_event(
        dialect, sse::Form::event_stream,
        {.status = status, .message = "ours", .request_id = "r1", .refusal = &refusal});
}

bool is_json_object(std::string_view text) {
    BodyReader reader;
    reader.feed(text);
    return reader.finish().ok();
}

// The data of an event.
std::string_view data_of(std::string_view event) {
    event.remove_prefix(event.find("data: ") + 6);
    return event.substr(0, event.find('\n'));
}

}  // namespace

TEST_CASE("R7c: a backend's error object is told again with all its members") {
    CHECK(event_of(Dialect::openai, overflow) ==
          "data: {\"error\":{\"message\":\"request (6023 tokens) exceeds the available context "
          "size (4096 tokens)\",\"type\":\"exceed_context_size_error\",\"param\":null,"
          "\"code\":400,\"n_prompt_tokens\":6023,\"n_ctx\":4096}}\n\n");
    // Anthropic's readers know its types only; the backend's own stands beside it.
    const std::string anthropic = event_of(Dialect::anthropic, overflow);
    CHECK(
        anthropic.starts_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                              "\"invalid_request_error\",\"message\":\"request (6023"));
    CHECK(
        anthropic.ends_with("\"backend_type\":\"exceed_context_size_error\",\"code\":400,"
                            "\"n_prompt_tokens\":6023,\"n_ctx\":4096},\"request_id\":\"r1\"}"
                            "\n\n"));
    const Refusal refusal = refusal_of(overflow);
    CHECK(refusal.says_too_long);
    const std::string responses =
        responses_end({}, {.status = 400, .message = "ours", .refusal = &refusal}, false);
    // A code is a string there, and agents compact by this one.
    CHECK(responses.find("\"type\":\"error\",\"code\":\"context_length_exceeded\"") !=
          responses.npos);
    CHECK(responses.find("\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"request") !=
          responses.npos);
    CHECK(responses.find("\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":6023,"
                         "\"n_ctx\":4096}") != responses.npos);
    CHECK(event_of(Dialect::llama_native, overflow) ==
          "data: {\"error\":{\"code\":400,\"message\":\"request (6023 tokens) exceeds the "
          "available context size (4096 tokens)\",\"type\":\"exceed_context_size_error\","
          "\"n_prompt_tokens\":6023,\"n_ctx\":4096}}\n\n");
}

TEST_CASE("R7c: of every dialect's shape the words are found") {
    struct Case {
        std::string_view body;
        std::string_view message;
        std::string_view type;
        std::string_view code;
        std::string_view members;
    };
    const Case cases[] = {
        {R"({"error":{"message":"m","type":"t","param":"p","code":"c"}})", "m", "\"t\"", "\"c\"",
         ""},
        {R"({"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"})",
         "m", "\"overloaded_error\"", "", ""},
        {R"({"error":"m"})", "m", "", "", ""},
        {R"({"detail":"m"})", "m", "", "", ""},
        {R"({"object":"error","message":"m","type":"BadRequestError","code":400})", "m",
         "\"BadRequestError\"", "400", ""},
        {R"({"type":"error","code":"c","message":"m","sequence_number":4})", "m", "", "\"c\"", ""},
        {R"({"type":"response.failed","response":{"id":"x","error":{"code":"c","message":"m"}}})",
         "m", "", "\"c\"", ""},
        // The first of each counts, and what cannot be one is none.
        {R"({"error":{"message":"m","message":"n","type":null,"code":null,"a":{"b":[1]}}})", "m",
         "", "", R"("a":{"b":[1]})"},
        {"{\"error\": {\n \"message\" : \"m\",\n \"x\": [1,\n 2]\n}}", "m", "", "",
         "\"x\":[1,  2]"},
        {R"({"error":{"inner":{"error":{"message":"n"}},"message":"m"}})", "m", "", "",
         R"("inner":{"error":{"message":"n"}})"},
        // No JSON, or none that is sound, is told by what can be read of it.
        {"no room", "no room", "", "", ""},
        {R"([{"error":{"message":"m","code":429}}])", "m", "", "\"429\"", ""},
        {R"({"error":{"message":"m","n_ctx":4096,"type":"t")", "m", "\"t\"", "", "\"n_ctx\":4096"},
        {"{\"error\":{\"message\":\"a\nb\",\"type\":\"t\"}}", "a b", "\"t\"", "", ""},
        {"", "otherwise", "", "", ""},
        {"<html>", "otherwise", "", "", ""},
        {"{}", "otherwise", "", "", ""},
        {R"({"error":{"message":""}})", "otherwise", "", "", ""},
        {R"({"error":null})", "otherwise", "", "", ""},
    };
    for (const Case& c : cases) {
        CAPTURE(c.body);
        const Refusal refusal = refusal_of(c.body);
        CHECK(refusal.message == "\"" + std::string(c.message) + "\"");
        CHECK(refusal.type == c.type);
        CHECK(refusal.code == c.code);
        CHECK(refusal.members == c.members);
        for (const Dialect dialect : {Dialect::openai, Dialect::responses, Dialect::anthropic,
                                      Dialect::ollama, Dialect::llama_native}) {
            const std::string event = event_of(dialect, c.body);
            CHECK(is_json_object(data_of(event)));
            CHECK(event.ends_with("\n\n"));
            CHECK(event.find('\n', event.find("data: ")) == event.size() - 2);
        }
    }
}

TEST_CASE("R7c: hostile and endless refusals stay sound and short") {
    const std::string long_text(100'000, 'x');
    const Refusal refusal = refusal_of(R"({"error":{"message":")" + long_text + R"(","n_ctx":7}})");
    CHECK(refusal.message.size() < 1000);
    CHECK(refusal.members.empty());
    std::string hostile = R"({"error":{"message":"a)";
    hostile += "\xFF\xC3";
    hostile += R"(","type":"t"}})";
    for (std::size_t end = 0; end <= hostile.size(); ++end) {
        const std::string event = event_of(Dialect::openai, hostile.substr(0, end));
        CHECK(is_json_object(data_of(event)));
    }
    for (std::size_t end = 0; end < overflow.size(); ++end)
        CHECK(is_json_object(data_of(event_of(Dialect::anthropic, overflow.substr(0, end)))));
}
