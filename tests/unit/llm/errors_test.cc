#include "sluice/llm/errors.h"

#include "sluice/llm/body_reader.h"
#include "sluice/llm/usage.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;

namespace {

const ErrorText missing{.status = 404,
                        .message = "There is no model \"x\".",
                        .code = "model_not_found",
                        .param = "model"};
const ErrorText broken{.status = 502, .message = "The backend broke off.\n"};

std::string escaped(std::string_view text) {
    std::string out;
    append_json_escaped(out, text);
    return out;
}

bool is_json_object(std::string_view text) {
    BodyReader reader;
    reader.feed(text);
    return reader.finish().ok();
}

std::string event_of(Dialect dialect, const ErrorText& error) {
    return error_event(dialect, sse::Form::event_stream, error);
}

constexpr Dialect dialects[] = {Dialect::openai, Dialect::responses, Dialect::anthropic,
                                Dialect::ollama, Dialect::llama_native};

}  // namespace

TEST_CASE("error bodies have the dialect's form") {
    CHECK(error_body(Dialect::openai, missing) ==
          R"({"error":{"message":"There is no model \"x\".","type":"invalid_request_error",)"
          R"("param":"model","code":"model_not_found"}})");
    CHECK(error_body(Dialect::responses, missing) == error_body(Dialect::openai, missing));
    CHECK(error_body(Dialect::openai, broken) ==
          R"({"error":{"message":"The backend broke off.\n","type":"server_error",)"
          R"("param":null,"code":null}})");
    CHECK(error_body(Dialect::anthropic, missing) ==
          R"({"type":"error","error":{"type":"not_found_error",)"
          R"("message":"There is no model \"x\"."},"request_id":null})");
    ErrorText with_id = missing;
    with_id.request_id = "req_1";
    CHECK(error_body(Dialect::anthropic, with_id).ends_with(R"("request_id":"req_1"})"));
    CHECK(error_body(Dialect::ollama, missing) == R"({"error":"There is no model \"x\"."})");
    CHECK(error_body(Dialect::llama_native, broken) ==
          R"({"error":{"code":502,"message":"The backend broke off.\n","type":"server_error"}})");
}

TEST_CASE("fault 70: error events have the dialect's form, and none is a [DONE]") {
    CHECK(event_of(Dialect::openai, broken) ==
          "data: " + error_body(Dialect::openai, broken) + "\n\n");
    CHECK(event_of(Dialect::llama_native, broken) ==
          "data: " + error_body(Dialect::llama_native, broken) + "\n\n");
    CHECK(event_of(Dialect::anthropic, broken) ==
          "event: error\ndata: " + error_body(Dialect::anthropic, broken) + "\n\n");
    CHECK(event_of(Dialect::responses, missing) ==
          "event: error\ndata: {\"type\":\"error\",\"code\":\"model_not_found\","
          "\"message\":\"There is no model \\\"x\\\".\",\"param\":\"model\","
          "\"sequence_number\":0}\n\n");
    CHECK(event_of(Dialect::responses, broken).find("\"code\":\"server_error\"") !=
          std::string::npos);
    CHECK(event_of(Dialect::ollama, broken) ==
          "data: " + error_body(Dialect::ollama, broken) + "\n\n");
    for (const Dialect dialect : dialects) {
        CHECK(event_of(dialect, broken).find("[DONE]") == std::string::npos);
        CHECK(error_event(dialect, sse::Form::json_lines, broken) ==
              error_body(dialect, broken) + "\n");
    }
}

TEST_CASE("every error is sound JSON that reads as an error, whatever the message holds") {
    std::string message;
    for (int c = 0; c < 256; ++c)
        message += static_cast<char>(c);
    for (const Dialect dialect : dialects) {
        const ErrorText error{.status = 500, .message = message, .code = message, .param = message};
        const std::string body = error_body(dialect, error);
        CHECK(is_json_object(body));
        CHECK(body.find('\n') == std::string::npos);
        Usage usage;
        CHECK(read_event("", body, usage).error);
    }
}

TEST_CASE("error types follow the status") {
    CHECK(error_type(400) == "invalid_request_error");
    CHECK(error_type(401) == "authentication_error");
    CHECK(error_type(403) == "permission_error");
    CHECK(error_type(404) == "invalid_request_error");
    CHECK(error_type(405) == "invalid_request_error");
    CHECK(error_type(413) == "invalid_request_error");
    CHECK(error_type(429) == "rate_limit_error");
    CHECK(error_type(500) == "server_error");
    CHECK(error_type(503) == "server_error");
    const auto anthropic = [](int status) {
        return error_body(Dialect::anthropic, {.status = status, .message = ""}).substr(32);
    };
    CHECK(anthropic(400).starts_with("\"invalid_request_error\""));
    CHECK(anthropic(401).starts_with("\"authentication_error\""));
    CHECK(anthropic(403).starts_with("\"permission_error\""));
    CHECK(anthropic(413).starts_with("\"request_too_large\""));
    CHECK(anthropic(429).starts_with("\"rate_limit_error\""));
    CHECK(anthropic(500).starts_with("\"api_error\""));
    CHECK(anthropic(502).starts_with("\"api_error\""));
    CHECK(anthropic(503).starts_with("\"overloaded_error\""));
    CHECK(anthropic(504).starts_with("\"timeout_error\""));
}

TEST_CASE("text is escaped") {
    CHECK(escaped("") == "");
    CHECK(escaped("plain text, longer than sixteen bytes") ==
          "plain text, longer than sixteen bytes");
    CHECK(escaped("a\"b\\c") == "a\\\"b\\\\c");
    CHECK(escaped(std::string("\n\r\t\0\x1F\x7F", 6)) == "\\n\\u000d\\u0009\\u0000\\u001f\\u007f");
    // What a terminal takes for the begin of a command (U+0080 to U+009F) is not text either.
    CHECK(escaped("\xC2\x9B"
                  "31m\xC2\xA0\xC3\x80") == "\\u009b31m\xC2\xA0\xC3\x80");
    CHECK(escaped("caf\xC3\xA9 \xE6\x9D\xB1\xF0\x9F\x8C\x8A!") ==
          "caf\xC3\xA9 \xE6\x9D\xB1\xF0\x9F\x8C\x8A!");
}

TEST_CASE("text that is not UTF-8 is replaced") {
    const std::string replacement = "\xEF\xBF\xBD";
    CHECK(escaped("\xFF") == replacement);
    CHECK(escaped("a\xC3") == "a" + replacement);
    CHECK(escaped("\xE6\x9D") == replacement + replacement);
    CHECK(escaped("\xED\xA0\x80"
                  "b") == replacement + replacement + replacement + "b");
    CHECK(escaped("\xC3\xA9\xFF\xC3\xA9") == "\xC3\xA9" + replacement + "\xC3\xA9");
}

TEST_CASE("R6c: no figure of a message can be taken for a status") {
    const auto text = [](std::string_view given) { return message_of(given); };
    CHECK(text("plain, with 12 and 1234 and 399600") == "plain, with 12 and 1234 and 399600");
    CHECK(text("status 503: no") == "status ###: no");
    CHECK(text("429") == "###");
    CHECK(text("http://127.0.0.1:8503/v1") == "http://127.0.0.1:####/v1");
    CHECK(text("llama-500b, 5, 50 and 1500ms") == "llama-###b, 5, 50 and ####ms");
    CHECK(text("").empty());
    // Lists of names stand beside it.
    CHECK(error_body(Dialect::openai, {.status = 400, .message = "m", .members = R"("a":["b"])"}) ==
          R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null,)"
          R"("a":["b"]}})");
    CHECK(error_body(Dialect::anthropic, {.status = 404, .message = "m", .members = R"("a":1)"}) ==
          R"({"type":"error","error":{"type":"not_found_error","message":"m","a":1},)"
          R"("request_id":null})");
    CHECK(error_body(Dialect::ollama, {.status = 404, .message = "m", .members = R"("a":1)"}) ==
          R"({"error":"m"})");
}
