#include "sluice/llm/body_reader.h"

#include "splits.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

bool same(Span a, Span b) {
    return a.begin == b.begin && a.end == b.end;
}

bool same(const RequestFacts& a, const RequestFacts& b) {
    return a.model == b.model && same(a.model_value, b.model_value) && a.stream == b.stream &&
           a.stream_given == b.stream_given && same(a.object_open, b.object_open) &&
           a.object_is_empty == b.object_is_empty && same(a.stream_options, b.stream_options) &&
           a.stream_options_is_object == b.stream_options_is_object &&
           a.stream_options_is_null == b.stream_options_is_null &&
           a.stream_options_is_empty == b.stream_options_is_empty &&
           a.include_usage == b.include_usage &&
           same(a.include_usage_value, b.include_usage_value) && a.max_tokens == b.max_tokens &&
           same(a.prompt_value, b.prompt_value) &&
           same(a.instructions_value, b.instructions_value) && same(a.opening, b.opening) &&
           same(a.conversation_value, b.conversation_value) &&
           same(a.user_id_value, b.user_id_value) && a.tools == b.tools;
}

Result<RequestFacts> read_runs(std::string_view body, const Runs& runs) {
    BodyReader reader;
    feed_runs(reader, body, runs);
    return reader.finish();
}

// The facts, which must be the same in every split.
RequestFacts read(std::string_view body) {
    const Result<RequestFacts> whole = read_runs(body, {});
    REQUIRE_MESSAGE(whole.ok(), body);
    for (const Runs& runs : all_splits(body)) {
        const Result<RequestFacts> split = read_runs(body, runs);
        REQUIRE(split.ok());
        CHECK(same(split.value(), whole.value()));
    }
    return whole.value();
}

// What is wrong with it, which must be the same in every split.
std::string refusal(std::string_view body) {
    const Result<RequestFacts> whole = read_runs(body, {});
    if (whole.ok()) return "";
    for (const Runs& runs : all_splits(body)) {
        const Result<RequestFacts> split = read_runs(body, runs);
        CHECK_FALSE(split.ok());
        if (!split.ok()) CHECK(split.error().message == whole.error().message);
    }
    return whole.error().message;
}

std::string_view at(std::string_view body, Span span) {
    return body.substr(span.begin, span.end - span.begin);
}

}  // namespace

TEST_CASE("the model is read wherever it stands") {
    for (const std::string body : {
             R"({"model":"qwen","messages":[]})",
             R"({"messages":[{"model":"no"}],"model":"qwen"})",
             R"( { "model" : "qwen" } )",
             R"({"a":{"model":"no"},"model":"qwen","b":["model"]})",
             R"({"metadata":"\"model\":\"no\"","model":"qwen"})",
             R"({"x":"model","model":"qwen"})",
         }) {
        CAPTURE(body);
        const RequestFacts facts = read(body);
        CHECK(facts.model == "qwen");
        CHECK(at(body, facts.model_value) == "\"qwen\"");
    }
}

TEST_CASE("a body without a model has none") {
    for (const std::string body :
         {R"({})", R"({"a":1})", R"({"model":null})", R"({"m":{"model":"x"}})"}) {
        CAPTURE(body);
        CHECK(read(body).model.empty());
        CHECK(read(body).model_value.empty());
    }
    CHECK(read(R"({"model":""})").model.empty());
}

TEST_CASE("the model's name is decoded") {
    CHECK(read(R"({"model":"a\/b:\"c\" \u00e9\\"})").model == "a/b:\"c\" \xC3\xA9\\");
    CHECK(read(R"({"model":"\ud83c\udf0a\u20ac\u07ff"})").model ==
          "\xF0\x9F\x8C\x8A\xE2\x82\xAC\xDF\xBF");
    CHECK(read("{\"model\":\"\xE6\x9D\xB1 \xF0\x9F\x8C\x8A\"}").model ==
          "\xE6\x9D\xB1 \xF0\x9F\x8C\x8A");
}

TEST_CASE("fault 46: a model's name has a limit") {
    const std::string name(limits::model_name_bytes_max, 'n');
    CHECK(read("{\"model\":\"" + name + "\"}").model == name);
    CHECK(refusal("{\"model\":\"" + name + "n\"}") ==
          "The request body is refused: a model name that is too long at byte 9.");
    CHECK(refusal("{\"model\":\"" + name + "\\n\"}") ==
          "The request body is refused: a model name that is too long at byte 9.");
}

TEST_CASE("fault 46: a model that is no name is refused") {
    for (const std::string value :
         {"1", "true", "[]", "{}", "[\"a\"]", "\"a\\u0000b\"", "\"a\\nb\"", "\"\\u007f\""}) {
        CAPTURE(value);
        CHECK_FALSE(refusal("{\"model\":" + value + "}").empty());
    }
}

TEST_CASE("fault 46: a second model is refused, however it is written") {
    for (const std::string key : {R"("model")", R"("\u006dodel")", R"("mod\u0065l")", R"("Model")",
                                  R"("MODEL")", R"("model\u0000")", R"("model\u0000x")"}) {
        CAPTURE(key);
        CHECK_FALSE(refusal("{\"model\":\"a\"," + key + ":\"b\"}").empty());
        CHECK_FALSE(refusal("{" + key + ":\"b\",\"model\":\"a\"}").empty());
    }
    CHECK(refusal(R"({"model":"a","model":"a"})") ==
          "The request body is refused: a key that is there twice at byte 13.");
    CHECK(refusal(R"({"Model":"a"})") ==
          "The request body is refused: a key that some servers take for another one at byte 1.");
    CHECK(read(R"({"mod\u0065l":"a"})").model == "a");
}

TEST_CASE("fault 46: duplicates of every key that is read are refused") {
    for (const std::string key :
         {"model", "stream", "stream_options", "max_tokens", "n_predict", "max_completion_tokens",
          "max_output_tokens", "messages", "prompt", "input", "system", "instructions",
          "conversation", "prompt_cache_key", "tools"}) {
        CAPTURE(key);
        CHECK(refusal("{\"" + key + "\":null}").empty());
        CHECK_FALSE(refusal("{\"" + key + "\":null,\"" + key + "\":null}").empty());
    }
    CHECK_FALSE(
        refusal(R"({"stream_options":{"include_usage":true,"include_usage":false}})").empty());
    // Letters that Go's parser folds: a long s, and the sign of the kelvin.
    CHECK_FALSE(refusal("{\"\xC5\xBFtream\":true}").empty());
    CHECK_FALSE(refusal("{\"max_to\xE2\x84\xAA"
                        "ens\":1}")
                    .empty());
    CHECK_FALSE(refusal(R"({"max_to\u212aens":1})").empty());
    CHECK_FALSE(refusal(R"({"stream_options":{"Include_Usage":true}})").empty());
}

TEST_CASE("keys that are not read may be there twice, and look like ours elsewhere") {
    CHECK(read(R"({"a":1,"a":2,"model":"m"})").model == "m");
    CHECK(read(R"({"models":1,"mode":2,"modem":3,"Models":4,"model":"m"})").model == "m");
    CHECK(read(R"({"x":{"model":1,"model":2,"Model":3,"stream":7},"model":"m"})").model == "m");
    CHECK(read(R"({"include_usage":1,"include_usage":2,"model":"m"})").model == "m");
    CHECK(read("{\"" + std::string(1000, 'k') + "\":1,\"model\":\"m\"}").model == "m");
    CHECK(read("{\"" + std::string(1000, 's') + "\\n\":1,\"model\":\"m\"}").model == "m");
}

TEST_CASE("stream is read") {
    CHECK(read(R"({"stream":true})").stream);
    CHECK(read(R"({"stream":true})").stream_given);
    CHECK_FALSE(read(R"({"stream":false})").stream);
    CHECK(read(R"({"stream":false})").stream_given);
    CHECK_FALSE(read(R"({"stream":null})").stream_given);
    CHECK_FALSE(read(R"({"a":{"stream":true}})").stream);
    CHECK_FALSE(read(R"({"a":"stream","b":true})").stream);
}

TEST_CASE("fault 46: a stream that servers read differently is refused") {
    for (const std::string value : {"1", "0", "\"true\"", "\"\"", "[]", "{}", "[true]"}) {
        CAPTURE(value);
        CHECK(
            refusal("{\"stream\":" + value + "}") ==
            "The request body is refused: a \"stream\" that is neither true nor false at byte 10.");
    }
}

TEST_CASE("stream_options is read in every form") {
    std::string body = R"({"stream_options": {"include_usage": true }})";
    RequestFacts facts = read(body);
    CHECK(facts.stream_options_is_object);
    CHECK_FALSE(facts.stream_options_is_empty);
    CHECK(at(body, facts.stream_options) == R"({"include_usage": true })");
    CHECK(facts.include_usage == true);
    CHECK(at(body, facts.include_usage_value) == "true");

    body = R"({"stream_options":{"a":[{"include_usage":true}],"include_usage":false}})";
    facts = read(body);
    CHECK(facts.include_usage == false);
    CHECK(at(body, facts.include_usage_value) == "false");

    body = R"({"stream_options":{"include_usage":null}})";
    facts = read(body);
    CHECK_FALSE(facts.include_usage.has_value());
    CHECK(at(body, facts.include_usage_value) == "null");

    body = R"({"stream_options":{"include_usage":{"a":[1]},"b":[[2]]}})";
    facts = read(body);
    CHECK_FALSE(facts.include_usage.has_value());
    CHECK(at(body, facts.include_usage_value) == R"({"a":[1]})");

    body = R"({"stream_options":{ }})";
    facts = read(body);
    CHECK(facts.stream_options_is_empty);
    CHECK(at(body, facts.stream_options) == "{ }");

    body = R"({"stream_options":null})";
    facts = read(body);
    CHECK(facts.stream_options_is_null);
    CHECK_FALSE(facts.stream_options_is_object);
    CHECK(at(body, facts.stream_options) == "null");

    for (const std::string value : {"true", "1", "\"x\"", "[{\"include_usage\":true}]"}) {
        body = "{\"stream_options\":" + value + "}";
        facts = read(body);
        CHECK_FALSE(facts.stream_options_is_object);
        CHECK_FALSE(facts.stream_options_is_null);
        CHECK_FALSE(facts.include_usage.has_value());
        CHECK(at(body, facts.stream_options) == value);
    }
    facts = read(R"({"x":{"include_usage":true},"include_usage":true})");
    CHECK_FALSE(facts.include_usage.has_value());
    CHECK(facts.stream_options.empty());
}

TEST_CASE("the top-level object's begin is known") {
    CHECK(same(read("{}").object_open, {0, 1}));
    CHECK(read("{}").object_is_empty);
    CHECK(same(read(" \n{ }").object_open, {2, 3}));
    CHECK(read(" \n{ }").object_is_empty);
    CHECK_FALSE(read(R"({"a":{}})").object_is_empty);
}

TEST_CASE("the token limit is read from whichever key has it") {
    CHECK(read(R"({"max_tokens":7})").max_tokens == 7u);
    CHECK(read(R"({"n_predict":7})").max_tokens == 7u);
    CHECK(read(R"({"max_output_tokens":7})").max_tokens == 7u);
    CHECK(read(R"({"n_predict":1,"max_tokens":2,"max_completion_tokens":3})").max_tokens == 3u);
    CHECK(read(R"({"max_tokens":2,"n_predict":1})").max_tokens == 2u);
    CHECK(read(R"({"max_tokens":18446744073709551615})").max_tokens == UINT64_MAX);
    for (const std::string value : {"-1", "1.0", "1e3", "null", "\"7\"", "[7]",
                                    "{\"max_tokens\":7}", "18446744073709551616"}) {
        CAPTURE(value);
        CHECK_FALSE(read("{\"max_tokens\":" + value + "}").max_tokens.has_value());
    }
}

TEST_CASE("the prompt is found in whichever key has it") {
    for (const auto& [body, prompt] : std::vector<std::pair<std::string, std::string>>{
             {R"({"messages":[{"content":"a"}],"b":1})", R"([{"content":"a"}])"},
             {R"({"messages" : [ ] })", "[ ]"},
             {R"({"prompt":"a\"b","b":1})", R"("a\"b")"},
             {R"({"prompt":["a",[1]]})", R"(["a",[1]])"},
             {R"({"input":"a"})", R"("a")"},
             {R"({"input":{"a":[]}})", R"({"a":[]})"},
             {R"({"input":"c","prompt":"b","messages":["a"]})", R"(["a"])"},
             {R"({"input":"c","prompt":"b"})", R"("b")"},
             {R"({"messages":null,"prompt":null,"input":"c"})", R"("c")"},
             {R"({"messages":null})", ""},
             {R"({"x":{"messages":[1]},"y":["prompt","input"]})", ""},
             {R"({"messages":7})", "7"},
         }) {
        CAPTURE(body);
        CHECK(at(body, read(body).prompt_value) == prompt);
    }
    CHECK(same(inside({4, 9}), {5, 8}));
    CHECK(inside({4, 5}).empty());  // a digit
    CHECK(inside({}).empty());
}

TEST_CASE("the opening is what all turns of a conversation have in common") {
    for (const auto& [body, opening] : std::vector<std::pair<std::string, std::string>>{
             {R"({"messages":[{"role":"user","content":"a"}]})",
              R"({"role":"user","content":"a"})"},
             {R"({"messages":[ {"role":"system"},{"content":[{"x":1}],"role":"user"},)"
              R"({"role":"x"}]})",
              R"( {"role":"system"},{"content":[{"x":1}],"role":"user"})"},
             {R"({"messages":[{"role":"user"},{"role":"user"}]})", R"({"role":"user"})"},
             {R"({"input":[{"type":"message","role":"user"}]})",
              R"({"type":"message","role":"user"})"},
             {R"({"input":[{"role":"user"}],"messages":[{"a":1},{"role":"us\u0065r"}]})",
              R"({"a":1},{"role":"us\u0065r"})"},
             {R"({"messages":[{"role":"assistant","name":"user"}]})", ""},
             {R"({"messages":[{"role":["user"]},["user"],{"x":{"role":"user"}}]})", ""},
             {R"({"messages":{"a":{"role":"user"}}})", ""},
             {R"({"messages":[],"input":[{"role":"user"}]})", ""},
             {R"({"messages":["role","user"]})", ""},
             {R"({"prompt":[{"role":"user"}]})", ""},
             {R"({"x":[{"role":"user"}],"messages":[{"role":"tool"}],"y":[{"role":"user"}]})", ""},
         }) {
        CAPTURE(body);
        CHECK(at(body, read(body).opening) == opening);
    }
}

TEST_CASE("instructions, conversation and tools are read") {
    std::string body = R"({"instructions":"b","system":[{"text":"a"}],"prompt_cache_key":"k"})";
    RequestFacts facts = read(body);
    CHECK(at(body, facts.instructions_value) == R"([{"text":"a"}])");
    CHECK(at(body, facts.conversation_value) == R"("k")");
    CHECK_FALSE(facts.tools);
    body = R"({"instructions":"b","system":null,"conversation":{"id":"c"},"prompt_cache_key":"k"})";
    facts = read(body);
    CHECK(at(body, facts.instructions_value) == R"("b")");
    CHECK(at(body, facts.conversation_value) == R"({"id":"c"})");
    for (const std::string value : {R"([{}])", R"([null])", R"({"a":1})", R"(["a"])", "[[]]"}) {
        CAPTURE(value);
        CHECK(read("{\"tools\":" + value + "}").tools);
    }
    for (const std::string value : {"[]", "[ ]", "{}", "null", "1", "\"a\"", "false"}) {
        CAPTURE(value);
        CHECK_FALSE(read("{\"tools\":" + value + ",\"b\":[1]}").tools);
    }
}

TEST_CASE("a large body is read run by run") {
    BodyReader reader;
    reader.feed(R"({"model":"m","messages":[{"content":")");
    const std::string piece(4096, 'x');
    for (int i = 0; i < 4096; ++i)
        reader.feed(piece);
    reader.feed(R"("}],"stream":true})");
    const Result<RequestFacts> facts = reader.finish();
    REQUIRE(facts.ok());
    CHECK(facts.value().model == "m");
    CHECK(facts.value().stream);
}

TEST_CASE("a reader can be moved in the middle of a body") {
    BodyReader first;
    first.feed(R"({"mod\u00)");
    BodyReader second = std::move(first);
    second.feed(R"(65l":"m"})");
    const Result<RequestFacts> facts = second.finish();
    REQUIRE(facts.ok());
    CHECK(facts.value().model == "m");
}

TEST_CASE("R17: the session in a user's id is found, and who asks is none") {
    const std::string body =
        R"({"metadata":{"a":"b","user_id":"user_1_account_2_session_3-c"},"user_id":"x"})";
    CHECK(at(body, read(body).user_id_value) == R"("user_1_account_2_session_3-c")");
    for (const std::string other :
         {R"({"user_id":"x"})", R"({"metadata":{"user_id":1}})", R"({"metadata":"user_id"})",
          R"({"metadata":{"a":{"user_id":"x"}}})", R"({"a":{"user_id":"x"},"metadata":null})",
          R"({"metadata":{"user_id":null,"a":"x"}})"}) {
        CAPTURE(other);
        CHECK(read(other).user_id_value.empty());
    }
    for (const auto& [user_id, session] : std::map<std::string_view, std::string_view>{
             {"", ""},
             {R"("user_abc_account_def")", ""},
             {R"("user_abc_account__session_12ab-34")", "12ab-34"},
             {R"("{\"device_id\":\"d\",\"account_uuid\":\"a\",\"session_id\":\"1-2\"}")", "1-2"},
             {R"("{\"session_id\": \"12-34\", \"session_kind\": \"main\"}")", "12-34"},
             {R"("session")", ""},
             {R"("session_id")", ""},
         }) {
        CAPTURE(user_id);
        CHECK(session_in(user_id) == session);
    }
}
