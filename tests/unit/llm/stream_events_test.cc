// Which events of a stream say nothing, which end it, and for which of its choices.
#include "sluice/llm/failure_body.h"
#include "sluice/llm/response_reader.h"
#include "sluice/llm/usage.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice::llm;

namespace {

EventFacts facts_of(std::string_view data, std::string_view name = {}) {
    Usage usage;
    return read_event(name, data, usage);
}

bool means_nothing(const EventFacts& facts) {
    return !facts.done && !facts.error && !facts.finished && !facts.content && !facts.usage_only;
}

}  // namespace

TEST_CASE("R10: signs of life are no errors, whatever they hold") {
    for (const std::string_view data : {"", " ", " \t", "ping", "{", "{}", "null", "1764510000"}) {
        CAPTURE(data);
        const EventFacts ping = facts_of(data, "ping");
        CHECK((ping.silent && !ping.malformed && means_nothing(ping)));
        CHECK_FALSE(facts_of(data, "keepalive").malformed);
        CHECK_FALSE(facts_of(data, "x-queue").malformed);
    }
    CHECK(facts_of("").silent);
    CHECK(facts_of("  ").silent);
    CHECK(facts_of("ping", "x-queue").silent);
    CHECK_FALSE(facts_of("{}", "x-queue").silent);
    // What the dialect itself sends has to be read.
    for (const std::string_view name :
         {"", "message", "message_delta", "content_block_delta", "response.output_text.delta"}) {
        CAPTURE(name);
        CHECK(facts_of("ping", name).malformed);
        CHECK_FALSE(facts_of("ping", name).silent);
    }
    CHECK(facts_of("no memory", "error").error);
    CHECK_FALSE(facts_of("no memory", "error").malformed);
}

TEST_CASE("R10: white space around [DONE] is none of its") {
    for (const std::string_view data : {"[DONE]", " [DONE]", "[DONE] ", "\t[DONE]\r", "[DONE]\n"})
        CHECK((facts_of(data).done && is_done_mark(data)));
    for (const std::string_view data :
         {"[DONE", "DONE", "[DONE]]", "x[DONE]", "[DONE] x", "[]", ""})
        CHECK_FALSE((facts_of(data).done || is_done_mark(data)));
}

TEST_CASE("R10: each choice says and ends for itself") {
    const auto choices = [](std::string_view list) {
        return facts_of("{\"object\":\"x\",\"choices\":[" + std::string(list) + "]}").choices;
    };
    Choices found = choices(R"({"index":1,"delta":{"content":"a"},"finish_reason":null})");
    CHECK((found.named == 2 && found.said == 2 && found.ended == 0));
    found = choices(R"({"finish_reason":"stop","delta":{},"index":2})");
    CHECK((found.named == 4 && found.said == 0 && found.ended == 4));
    found = choices(R"({"delta":{"content":"a"},"index":0},{"delta":{},"index":1},)"
                    R"({"text":"b","finish_reason":"length","index":3})");
    CHECK((found.named == 0b1011 && found.said == 0b1001 && found.ended == 0b1000));
    found = choices(R"({"delta":{"tool_calls":[{"index":5,"function":{"arguments":"{"}}]}})");
    CHECK((found.named == 1 && found.said == 1));
    CHECK(choices(R"({"index":1000,"delta":{}})").named == 1u << Choices::index_max);
    const EventFacts both = facts_of(
        R"({"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"delta":{"content":"a"}}]})");
    CHECK((both.finished && both.content));
    // Dialects of one answer.
    CHECK(facts_of(R"({"message":{"content":"a"},"done":false})").choices.said == 1);
    CHECK(facts_of(R"({"message":{"content":""},"done":true})").choices.ended == 1);
    CHECK(
        facts_of(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})").choices.ended ==
        1);
}

TEST_CASE("R8: what is of use before the first word, and what only begins an answer") {
    struct Case {
        std::string_view name;
        std::string_view data;
        bool notable;
    };
    const Case cases[] = {
        {"", R"({"object":"x","choices":[{"index":0,"delta":{"role":"assistant"}}]})", false},
        {"message", R"({"object":"x","choices":[{"index":0,"delta":{"role":"assistant"}}]})",
         false},
        {"", R"({"index":0,"content":"","stop":false})", false},
        {"", R"({"model":"m","message":{"role":"assistant","content":""},"done":false})", false},
        {"message_start", R"({"type":"message_start","message":{"usage":{}}})", false},
        {"", R"({"type":"message_start","message":{}})", false},
        {"content_block_start", R"({"type":"content_block_start","content_block":{}})", false},
        {"", R"({"type":"ping"})", false},
        {"response.created", R"({"type":"response.created","response":{}})", false},
        {"response.in_progress", R"({"type":"response.in_progress"})", false},
        {"response.output_item.added", R"({"type":"response.output_item.added"})", false},
        {"", R"({"choices":[{"index":0,"delta":{}}],"prompt_progress":{"processed":4}})", true},
        {"", R"({"prompt_progress":{"processed":4},"choices":[{"index":0,"delta":{}}]})", true},
        {"", R"({"content":"","prompt_progress":{"processed":4},"stop":false})", true},
        {"", R"({"choices":[{"index":0,"delta":{}}],"prompt_progress":null})", false},
        {"response.web_search_call.searching", R"({"type":"response.web_search_call.searching"})",
         true},
        {"", R"({"type":"image_generation.partial_image"})", true},
        {"queue", R"({"position":3})", true},
    };
    for (const Case& c : cases) {
        CAPTURE(c.name);
        CAPTURE(c.data);
        CHECK(facts_of(c.data, c.name).notable == c.notable);
    }
}

TEST_CASE("R8: what says something of the answer, and what only says that it comes") {
    struct Case {
        std::string_view data;
        bool speaks;
    };
    const Case cases[] = {
        {R"({"choices":[{"delta":{"reasoning_details":[{"type":"x","text":"a"}]}}]})", true},
        {R"({"choices":[{"delta":{"images":[{"image_url":{"url":"data:"}}]}}]})", true},
        {R"({"choices":[{"delta":{"content":[{"type":"text","text":"a"}]}}]})", true},
        {R"({"choices":[{"delta":{"reasoning":{"text":"a"}}}]})", true},
        {R"({"choices":[{"delta":{"thinking_blocks":[{"thinking":"a"}]}}]})", true},
        {R"({"choices":[{"delta":{"content":"a"}}]})", true},
        {R"({"choices":[{"delta":{"analysis":"a"}}]})", true},
        {R"({"choices":[{"delta":{"analysis":"","role":"assistant"}}]})", false},
        {R"({"choices":[{"delta":{"analysis":7}}]})", true},
        {R"({"choices":[{"delta":{"analysis":0.5,"role":"assistant"}}]})", true},
        {R"({"choices":[{"delta":{"analysis":true}}]})", true},
        {R"({"choices":[{"delta":{"analysis":false}}]})", false},
        {R"({"choices":[{"delta":{"tokens":[17,4]}}]})", true},
        {R"({"choices":[{"delta":{"x":{"done":true}}}]})", true},
        {R"({"choices":[{"delta":{"x":{"done":false,"y":null,"z":""}}}]})", false},
        {R"({"choices":[{"delta":{"role":"assistant","annotations":[],"content":null}}]})", false},
        {R"({"choices":[{"delta":{"role":"assistant","audio":null,"x":{}}}]})", false},
        {R"({"choices":[{"delta":{"role":"assistant","content":[]}}]})", false},
        {R"({"type":"content_block_start","content_block":{"type":"tool_use","name":"f"}})", true},
        {R"({"type":"content_block_start","content_block":{"type":"server_tool_use"}})", true},
        {R"({"type":"content_block_start","content_block":{"type":"redacted_thinking"}})", true},
        {R"({"type":"content_block_start","content_block":{"type":"text","text":"a"}})", true},
        {R"({"type":"content_block_start","content_block":{"type":"text","text":""}})", false},
        {R"({"type":"content_block_start","content_block":{"type":"thinking"}})", false},
        {R"({"type":"response.output_item.added","item":{"type":"function_call"}})", true},
        {R"({"type":"response.output_item.added","item":{"type":"message","content":[]}})", false},
        {R"({"type":"response.output_item.added","item":{"type":"reasoning"}})", false},
        {R"({"type":"response.image_generation_call.partial_image"})", true},
        {R"({"type":"response.created","response":{"tools":[{"type":"function"}]}})", false},
        {R"({"type":"message_start","message":{"content":[],"usage":{"input_tokens":1}}})", false},
        // Beside empty choices: what nobody knows, and what is known to be no word of an answer.
        {R"({"choices":[],"citations":["https://a"]})", true},
        {R"({"choices":[ ] , "id":"1","object":"x","created":1,"citations":["https://a"]})", true},
        {R"({"id":"1","citations":[{"url":"https://a"}],"object":"x","choices":[]})", true},
        {R"({"citations":"https://a","choices":[]})", true},
        {R"({"choices":[],"found":3})", true},
        {R"({"choices":[],"found":[[]]})", true},
        {R"({"choices":[],"citations":[],"found":{},"note":"","a":null,"b":false})", false},
        {R"({"choices":[],"id":"1","object":"x","created":1,"model":"m"})", false},
        {R"({"choices":[],"prompt_filter_results":[{"prompt_index":0}],"model":""})", false},
        {R"({"choices":[],"x_groq":{"id":"r"},"provider":"p"})", false},
        {R"({"choices":[],"usage":{"prompt_tokens":1},"timings":{"prompt_n":1}})", false},
        {R"({"choices":[{"delta":{"role":"assistant"}}],"citations":["https://a"]})", false},
    };
    for (const Case& c : cases) {
        CAPTURE(c.data);
        CHECK(facts_of(c.data).speaks == c.speaks);
    }
}

TEST_CASE("R8: a byte order mark in front of a document hides no error") {
    const std::string_view error = "\xEF\xBB\xBF{\"error\":{\"code\":503,\"message\":\"Loading\"}}";
    CHECK(facts_of(error).error);
    CHECK(read_failure_body(error).message == "Loading");
    for (std::size_t split = 0; split < error.size(); ++split) {
        ResponseReader reader;
        reader.feed(error.substr(0, split));
        reader.feed(error.substr(split));
        CHECK((reader.complete() && reader.error()));
    }
}

TEST_CASE("R8: an event by the name of error is one, whatever its data are") {
    CHECK(facts_of(R"({"code":503,"message":"Loading"})", "error").error);
    CHECK(read_failure_body(R"({"code":503,"message":"Loading"})").message == "Loading");
}

TEST_CASE("R9: an event named as those without a name is one of them") {
    const std::string_view usage = R"({"choices":[],"usage":{"prompt_tokens":1}})";
    CHECK(facts_of(usage).usage_only);
    CHECK(facts_of(usage, "message").usage_only);
    CHECK_FALSE(facts_of(usage, "usage").usage_only);
}
