#include "sluice/llm/resume.h"

#include "chat_streams.h"
#include "streams.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

ResumeJournal read(const std::vector<std::string>& events) {
    ResumeJournal journal;
    for (const std::string& data : events)
        journal.take(data);
    return journal;
}

// An event with that delta, as JSON.
std::string with_delta(std::string_view delta) {
    return R"({"id":"a","choices":[{"index":0,"delta":)" + std::string(delta) + "}]}";
}
// Contents as they stand between the quotes of JSON.
std::vector<std::string> with_contents(const std::vector<std::string>& raw) {
    std::vector<std::string> events;
    for (const std::string& content : raw)
        events.push_back(with_delta("{\"content\":\"" + content + "\"}"));
    return events;
}
ResumeObstacle obstacle_after(std::string_view event) {
    return read({with_delta(R"({"role":"assistant","content":"Hi"})"), std::string(event)})
        .obstacle();
}

const Pieces pieces{"Hel",  "lo \"you\"", "\\\n",   "\t", "caf\u00E9", "\u6771\u4EAC", "\U0001F30A",
                    " and", "<b>",        "\u0001", "/",  "\u007F",    " end."};

}  // namespace

TEST_CASE("the text so far is the text that a client has read, wherever a stream is cut") {
    for (const auto& make : {llama_stream, vllm_stream, ollama_stream}) {
        const Pieces events = make({.pieces = pieces});
        for (std::size_t cut = 0; cut <= events.size(); ++cut) {
            const Pieces first(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(cut));
            const ResumeJournal journal = read(first);
            const ReadChat client = read_chat(first);
            REQUIRE(client.sound);
            CHECK(journal.text() == client.text);
            CHECK(journal.role_sent() == (client.roles > 0));
            CHECK(journal.finish_sent() == (!client.finish.empty() || client.done));
            CHECK(journal.usage_sent() == (client.total_tokens > 0));
            const bool open = client.finish.empty() && !client.done;
            CHECK(journal.obstacle() == (open ? ResumeObstacle::none : ResumeObstacle::finished));
            CHECK(journal.tokens_sent() == journal.content_events());
            if (cut > 0) CHECK(journal.id() == "\"chatcmpl-1\"");
            if (cut > 0) CHECK(journal.created() == "1763000001");
        }
        CHECK(read(events).text() == join(pieces));
        CHECK(read(events).content_events() == pieces.size());
    }
}

TEST_CASE("recorded streams: the text agrees with a library's parser") {
    for (const std::string& name : sse::test::stream_names) {
        std::vector<std::string> events;
        for (const sse::test::Seen& seen :
             sse::test::scan(sse::test::read_stream("sse_scanner/" + name + ".sse"), {})) {
            if (!seen.comment_only) events.push_back(seen.data);
        }
        std::vector<std::string> first;
        for (const std::string& data : events) {
            first.push_back(data);
            const ResumeJournal journal = read(first);
            const ReadChat client = read_chat(first);
            if (journal.obstacle() != ResumeObstacle::none) continue;
            CHECK_MESSAGE(journal.text() == client.text, name);
            CHECK_MESSAGE(journal.reasoning() == client.reasoning, name);
        }
    }
}

TEST_CASE("recorded streams that cannot be resumed say why") {
    const auto obstacle = [](const std::string& name, std::size_t count) {
        ResumeJournal journal;
        for (const sse::test::Seen& seen :
             sse::test::scan(sse::test::read_stream("sse_scanner/" + name), {})) {
            if (count-- == 0) break;
            journal.take(seen.data);
        }
        return journal.obstacle();
    };
    CHECK(obstacle("llama-chat.sse", 3) == ResumeObstacle::none);
    CHECK(obstacle("llama-overflow.sse", 3) == ResumeObstacle::none);  // the error is none of it
    CHECK(obstacle("llama-chat-two-choices.sse", 4) == ResumeObstacle::choices);
    CHECK(obstacle("llama-tools.sse", 2) == ResumeObstacle::tool_call);
    CHECK(obstacle("llama-reasoning.sse", 2) == ResumeObstacle::reasoning);
    CHECK(obstacle("llama-native.sse", 2) == ResumeObstacle::malformed);
    CHECK(obstacle("llama-completions.sse", 2) != ResumeObstacle::none);
    CHECK(obstacle("anthropic.sse", 2) == ResumeObstacle::malformed);
    CHECK(obstacle("responses.sse", 2) == ResumeObstacle::malformed);
}

TEST_CASE("what stands in the way of going on") {
    struct Case {
        std::string_view event;
        ResumeObstacle obstacle;
    };
    const std::string tool = with_delta(R"({"tool_calls":[{"index":0,"id":"x"}]})");
    const Case cases[] = {
        {R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})",
         ResumeObstacle::finished},
        {"[DONE]", ResumeObstacle::finished},
        {"", ResumeObstacle::malformed},
        {"null", ResumeObstacle::malformed},
        {"{}", ResumeObstacle::malformed},
        {"[1]", ResumeObstacle::malformed},
        {R"({"choices":{}})", ResumeObstacle::malformed},
        {R"({"choices":[1]})", ResumeObstacle::malformed},
        {R"({"choices":[{"index":0,"delta":[]}]})", ResumeObstacle::malformed},
        {R"({"choices":[{"index":0,"delta":{"content":"a"}}]} x)", ResumeObstacle::malformed},
        {R"({"choices":[{"index":0,"delta":{"content":"a"}})", ResumeObstacle::malformed},
        {R"({"choic\u0065s":[{"index":0,"delta":{"content":"a"}}]})", ResumeObstacle::malformed},
        {R"({"choices":[{"index":0,"delta":{"cont\u0065nt":"a"}}]})", ResumeObstacle::malformed},
        {R"({"choices":[{"index":0,"delta":{"content":"a","content":"b"}}]})",
         ResumeObstacle::malformed},
        {R"({"choices":[],"choices":[]})", ResumeObstacle::malformed},
        {R"({"content":"a","stop":false})", ResumeObstacle::malformed},
        {tool, ResumeObstacle::tool_call},
        {R"({"choices":[{"delta":{"function_call":{"name":"f"}}}]})",
         ResumeObstacle::function_call},
        {R"({"choices":[{"delta":{"audio":{"id":"f"}}}]})", ResumeObstacle::audio},
        {R"({"choices":[{"delta":{"refusal":"I"}}]})", ResumeObstacle::refusal},
        {R"({"choices":[{"delta":{"citation":"x"}}]})", ResumeObstacle::unknown_content},
        {R"({"choices":[{"delta":{"parts":[{"text":"x"}]}}]})", ResumeObstacle::unknown_content},
        {R"({"choices":[{"delta":{"content":[{"text":"x"}]}}]})", ResumeObstacle::unknown_content},
        {R"({"choices":[{"delta":{"content":5}}]})", ResumeObstacle::unknown_content},
        {R"({"choices":[{"delta":{"reasoning":"a","reasoning_content":"a"}}]})",
         ResumeObstacle::unknown_content},
        {R"({"choices":[{"text":"x"}]})", ResumeObstacle::unknown_content},
        {R"({"choices":[{"message":{"content":"x"}}]})", ResumeObstacle::unknown_content},
        {R"({"choices":[{"delta":{"content":"x"},"token_ids":[1]}]})",
         ResumeObstacle::unknown_content},
        {R"({"choices":[{"delta":{"content":"x"},"logprobs":{"content":[]}}]})",
         ResumeObstacle::logprobs},
        {R"({"choices":[{"index":1,"delta":{"content":"x"}}]})", ResumeObstacle::choices},
        {R"({"choices":[{"index":0,"delta":{}},{"index":1,"delta":{}}]})", ResumeObstacle::choices},
        {R"({"choices":[{"delta":{"reasoning_content":"late"}}]})", ResumeObstacle::reasoning},
        {R"({"choices":[{"delta":{"content":"<think>hm"}}]})", ResumeObstacle::reasoning_tags},
        {R"({"choices":[{"delta":{"content":"</think>\n"}}]})", ResumeObstacle::reasoning_tags},
        {R"({"choices":[{"delta":{"content":"\ud83c"}}]})", ResumeObstacle::half_character},
        {R"({"choices":[{"delta":{"content":"\udf0a"}}]})", ResumeObstacle::malformed},
        {R"({"choices":[{"delta":{"content":"\ud83cx"}}]})", ResumeObstacle::malformed},
        {R"({"choices":[{"delta":{"content":"\ud83c\ud83c"}}]})", ResumeObstacle::malformed},
        {R"({"choices":[{"delta":{"content":"\x"}}]})", ResumeObstacle::malformed},
        {R"({"choices":[{"delta":{"content":"\u12g4"}}]})", ResumeObstacle::malformed},
        {"{\"choices\":[{\"delta\":{\"content\":\"\xE6\x9D\"}}]}", ResumeObstacle::malformed},
        {"{\"choices\":[{\"delta\":{\"content\":\"\n\"}}]}", ResumeObstacle::malformed},
    };
    for (const Case& c : cases) {
        CHECK_MESSAGE(obstacle_after(c.event) == c.obstacle, c.event);
        CHECK_FALSE(describe(c.obstacle).empty());
    }
}

TEST_CASE("what says nothing does not stand in the way") {
    for (const std::string_view event : {
             R"({"choices":[]})",
             R"({"choices":[],"prompt_filter_results":[{"a":"b"}]})",
             R"({"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":null}]})",
             R"({"choices":[{"index":0,"delta":{"content":"","tool_calls":[],"audio":null}}]})",
             R"({"choices":[{"index":0,"delta":{"refusal":null,"annotations":[],"x":""}}]})",
             R"({"choices":[{"delta":{"content":"a"},"content_filter_results":{"h":{"s":"x"}}}]})",
             R"({ "choices" : [ { "delta" : { "content" : "a" } } ] , "usage" : null })",
             R"({"error":{"message":"gone"}})",
         }) {
        CHECK_MESSAGE(obstacle_after(event) == ResumeObstacle::none, event);
    }
    CHECK(describe(ResumeObstacle::none).empty());
}

TEST_CASE("escapes are decoded, also those whose halves come in two events") {
    CHECK(read(with_contents({R"(\"\\\/\b\f\n\r\t\u0041\u00e9\u6771\ud83c\udf0a)"})).text() ==
          "\"\\/\b\f\n\r\tA\u00E9\u6771\U0001F30A");
    const ResumeJournal split = read(with_contents({"a\\ud83c", "", "\\udf0a b"}));
    CHECK(split.text() == "a\U0001F30A b");
    CHECK(split.obstacle() == ResumeObstacle::none);
    CHECK(read(with_contents({"a\\ud83c", "b"})).obstacle() == ResumeObstacle::malformed);
    CHECK(read(with_contents({std::string("\\u0000x")})).text() == std::string("\0x", 2));
}

TEST_CASE("reasoning that is complete is kept; half of it cannot be continued") {
    const Pieces events =
        llama_stream({.pieces = {"so", " it is"}, .reasoning = {"let me", " see"}});
    ResumeJournal journal;
    CHECK(journal.obstacle() == ResumeObstacle::none);
    journal.take(events[0]);
    CHECK(journal.obstacle() == ResumeObstacle::none);
    journal.take(events[1]);
    journal.take(events[2]);
    CHECK(journal.obstacle() == ResumeObstacle::reasoning);
    journal.take(events[3]);
    CHECK(journal.obstacle() == ResumeObstacle::none);
    CHECK(journal.reasoning() == "let me see");
    CHECK(journal.text() == "so");
    CHECK(journal.tokens_sent() == 3);
}

TEST_CASE("tokens that the stream tells of count more than its events") {
    const auto event = [](const std::string& rest) {
        return R"({"choices":[{"index":0,"delta":{"content":"x"}}],)" + rest + "}";
    };
    CHECK(read({event(R"("usage":{"completion_tokens":4,"prompt_tokens":9})")}).tokens_sent() == 4);
    CHECK(read({event(R"("usage":{"completion_tokens":4,"prompt_tokens":9})")}).prompt_tokens() ==
          9);
    CHECK(read({event(R"("timings":{"predicted_n":3})")}).tokens_sent() == 3);
    CHECK(read({event(R"("usage":{"completion_tokens":0})")}).tokens_sent() == 1);
    CHECK(read({event(R"("x":{"predicted_n":3,"completion_tokens":8})")}).tokens_sent() == 1);
}

TEST_CASE("text is kept up to a bound, and given up beyond it") {
    const std::string half(limits::resumable_text_bytes_max / 2, 'x');
    ResumeJournal journal = read(with_contents({half, half}));
    CHECK(journal.obstacle() == ResumeObstacle::none);
    CHECK(journal.text().size() == limits::resumable_text_bytes_max);
    journal.take(with_contents({"y"})[0]);
    CHECK(journal.obstacle() == ResumeObstacle::text_too_long);
    CHECK(journal.text().capacity() < 64);  // a text that is of no use is not kept
}

TEST_CASE("the frame is the first choice's, as it stands there") {
    const ResumeJournal journal = read({
        R"({"id":"","created":0,"model":"","choices":[]})",
        R"({"id":"a\/b","created":17,"model":"m","system_fingerprint":null,"choices":[{}]})",
        R"({"id":"c","created":18,"model":"n","system_fingerprint":"f","choices":[{}]})",
    });
    CHECK(journal.id() == R"("a\/b")");
    CHECK(journal.created() == "17");
    CHECK(journal.model() == "\"m\"");
    CHECK(journal.system_fingerprint() == "null");
}

TEST_CASE("a frame that is not sound is not spread") {
    const auto created = [](const std::string& value) {
        return std::string(read({R"({"choices":[{}],"created":)" + value + "}"}).created());
    };
    for (const std::string sound : {"0", "17", "1763000001.25", "null", R"("a\n\u00e9")", R"("")"})
        CHECK(created(sound) == sound);
    for (const std::string odd : {"01", "-1", "1.", "1.2.3", "1e5", "true", "\"\x80\"", R"("\x")",
                                  R"("\ud83c")", "[1]", "{}"}) {
        CHECK_MESSAGE(created(odd).empty(), odd);
    }
    CHECK(created("\"" + std::string(2000, 'a') + "\"").empty());
}
