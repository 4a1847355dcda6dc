// Which events of a stream say nothing, which end it, and for which of its choices.
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
