// What single events mean, and what whole streams of every dialect come to.
#include "sluice/llm/usage.h"

#include "streams.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using sluice::sse::test::read_stream;

namespace {

EventFacts facts_of(std::string_view data, std::string_view name = {}) {
    Usage usage;
    return read_event(name, data, usage);
}

Usage usage_of(std::string_view data, std::string_view name = {}) {
    Usage usage;
    read_event(name, data, usage);
    return usage;
}

bool is(const Usage& usage, std::uint64_t prompt, std::uint64_t completion, std::uint64_t cached) {
    return usage.known && usage.prompt == prompt && usage.completion == completion &&
           usage.cached == cached;
}

bool means_nothing(const EventFacts& facts) {
    return !facts.done && !facts.error && !facts.finished && !facts.content && !facts.usage_only;
}

// What a whole stream comes to.
struct Outcome {
    Usage usage;
    int events = 0;
    int content = 0;
    int finished = 0;
    int done = 0;
    int errors = 0;
    int usage_only = 0;
    bool done_is_last = false;

    void add(std::string_view name, std::string_view data) {
        const EventFacts facts = read_event(name, data, usage);
        ++events;
        content += facts.content;
        finished += facts.finished;
        done += facts.done;
        errors += facts.error;
        usage_only += facts.usage_only;
        done_is_last = facts.done;
    }
};

Outcome read_sse(const std::string& file) {
    Outcome outcome;
    const std::string stream = read_stream("sse_scanner/" + file + ".sse");
    for (const sse::test::Seen& event : sse::test::scan(stream, {})) {
        if (!event.comment_only) outcome.add(event.name, event.data);
    }
    return outcome;
}

}  // namespace

TEST_CASE("llama-server's chat stream tells its timings on the last event") {
    const Outcome outcome = read_sse("llama-chat");
    CHECK(is(outcome.usage, 25, 5, 20));
    CHECK(outcome.content == 5);
    CHECK(outcome.finished == 1);
    CHECK(outcome.done == 1);
    CHECK(outcome.done_is_last);
    CHECK(outcome.usage_only == 0);
    CHECK(outcome.errors == 0);
}

TEST_CASE("fault 103: the event that was asked for in the client's name is told apart") {
    const Outcome outcome = read_sse("llama-chat-usage");
    CHECK(is(outcome.usage, 25, 2, 24));
    CHECK(outcome.usage_only == 1);
    CHECK(outcome.finished == 1);
    CHECK(outcome.done_is_last);
    CHECK(read_sse("openai-usage-null").usage_only == 1);
    CHECK(read_sse("ollama-openai").usage_only == 1);
    CHECK(read_sse("vllm-continuous-usage").usage_only == 1);
    CHECK(read_sse("llama-chat-two-choices").usage_only == 2);
    CHECK(read_sse("azure-filter-first").usage_only == 0);
    CHECK(read_sse("llama-completions").usage_only == 0);
}

TEST_CASE("fault 103: an event with anything else for the client is not usage only") {
    const std::string usage = R"("usage":{"prompt_tokens":1,"completion_tokens":1})";
    const auto usage_only = [](const std::string& data) { return facts_of(data).usage_only; };
    CHECK(usage_only("{\"choices\":[]," + usage + "}"));
    CHECK(usage_only("{" + usage + ",\"choices\":[]}"));
    CHECK(usage_only("{\"choices\":[ ],\"error\":null,\"x\":null," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[]}"));
    CHECK_FALSE(usage_only("{\"choices\":[],\"usage\":null}"));
    CHECK_FALSE(usage_only("{\"choices\":[],\"usage\":[]}"));
    CHECK_FALSE(usage_only("{\"choices\":null," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":{}," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[{}]," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[null]," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[1]," + usage + "}"));
    CHECK_FALSE(usage_only("{" + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[],\"prompt_filter_results\":[]," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[],\"citations\":[\"x\"]," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[],\"x\":0," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[],\"error\":{}," + usage + "}"));
    CHECK(usage_only("{\"id\":\"1\",\"choices\":[]," + usage + "}"));
    CHECK_FALSE(usage_only("{\"x\":0,\"choices\":[]," + usage + "}"));
    CHECK_FALSE(usage_only("{\"choices\":[]," + usage + ",\"x\":0}"));
    CHECK_FALSE(usage_only("{\"choices\":[]," + usage + "}}"));
    CHECK_FALSE(usage_only("{\"a\":{\"choices\":[]," + usage + "}}"));
    Usage counted;
    CHECK_FALSE(read_event("named", "{\"choices\":[]," + usage + "}", counted).usage_only);
}

TEST_CASE("llama-server's other streams") {
    Outcome outcome = read_sse("llama-tools");
    CHECK(is(outcome.usage, 268, 7, 267));
    CHECK(outcome.content == 6);
    CHECK(outcome.finished == 1);

    outcome = read_sse("llama-reasoning");
    CHECK(is(outcome.usage, 9, 3, 0));
    CHECK(outcome.content == 3);

    outcome = read_sse("llama-completions");
    CHECK(is(outcome.usage, 5, 2, 4));
    CHECK(outcome.events == 5);
    CHECK(outcome.content == 2);
    CHECK(outcome.finished == 1);
    CHECK(outcome.done == 1);

    outcome = read_sse("llama-native");
    CHECK(is(outcome.usage, 5, 3, 4));
    CHECK(outcome.content == 3);
    CHECK(outcome.finished == 1);
    CHECK(outcome.done_is_last);
}

TEST_CASE("of several choices the largest is counted") {
    const Outcome outcome = read_sse("llama-chat-two-choices");
    CHECK(is(outcome.usage, 25, 3, 24));
    CHECK(outcome.done == 1);
}

TEST_CASE("fault 70: an error event is an error, and nothing follows it") {
    Outcome outcome = read_sse("llama-overflow");
    CHECK(outcome.errors == 1);
    CHECK(outcome.done == 0);
    CHECK(outcome.finished == 0);
    CHECK_FALSE(outcome.usage.known);

    outcome = read_sse("anthropic-error");
    CHECK(outcome.errors == 1);
    CHECK(outcome.done == 0);
}

TEST_CASE("fault 104: a stream that ends early is neither finished nor done") {
    const Outcome outcome = read_sse("llama-router-killed");
    CHECK(outcome.content == 1);
    CHECK(outcome.finished == 0);
    CHECK(outcome.done == 0);
}

TEST_CASE("fault 108: Anthropic's streams") {
    Outcome outcome = read_sse("anthropic");
    CHECK(is(outcome.usage, 38, 3, 37));
    CHECK(outcome.content == 2);
    CHECK(outcome.finished == 2);  // its stop_reason, and message_stop
    CHECK(outcome.done == 1);
    CHECK(outcome.done_is_last);

    outcome = read_sse("anthropic-tools");
    CHECK(is(outcome.usage, 269, 52, 11));
    CHECK(outcome.content == 3);
    CHECK(outcome.done_is_last);
    CHECK(means_nothing(facts_of(R"({"type":"ping"})", "ping")));
}

TEST_CASE("what message_start tells is not yet known") {
    Usage usage;
    read_event("message_start",
               R"({"type":"message_start","message":{"usage":{"input_tokens":9,)"
               R"("output_tokens":1}}})",
               usage);
    CHECK_FALSE(usage.known);
    CHECK(usage.prompt == 9);
    read_event("message_delta", R"({"type":"message_delta","usage":{"output_tokens":4}})", usage);
    CHECK(is(usage, 9, 4, 0));
    read_event("message_delta",
               R"({"type":"message_delta","usage":{"input_tokens":2,"output_tokens":6,)"
               R"("cache_read_input_tokens":10,"cache_creation_input_tokens":5}})",
               usage);
    CHECK(is(usage, 17, 6, 10));
}

TEST_CASE("the Responses stream") {
    const Outcome outcome = read_sse("responses");
    CHECK(is(outcome.usage, 25, 2, 24));
    CHECK(outcome.content == 2);
    CHECK(outcome.done == 1);
    CHECK(outcome.done_is_last);
    CHECK(outcome.errors == 0);
    EventFacts facts = facts_of(R"({"type":"response.incomplete","response":{"error":null}})");
    CHECK(facts.done);
    CHECK_FALSE(facts.error);
    facts = facts_of(R"({"type":"response.failed","response":{"error":{"code":"x"}}})");
    CHECK(facts.done);
    CHECK(facts.error);
    CHECK(facts_of(R"({"type":"error","code":"x","message":"y","param":null})").error);
}

TEST_CASE("Ollama's lines") {
    const std::string lines = read_stream("usage/ollama-chat.ndjson");
    Outcome outcome;
    for (std::size_t at = 0; at < lines.size();) {
        const std::size_t end = lines.find('\n', at);
        outcome.add("", std::string_view(lines).substr(at, end - at));
        at = end + 1;
    }
    CHECK(outcome.events == 3);
    CHECK(is(outcome.usage, 26, 298, 0));
    CHECK(outcome.content == 2);
    CHECK(outcome.done == 1);
    CHECK(outcome.done_is_last);
    CHECK(facts_of(R"({"model":"m","response":"Hi","done":false})").content);
    CHECK_FALSE(facts_of(R"({"model":"m","response":"","done":false})").content);
    CHECK(facts_of(R"({"error":"model requires more memory"})").error);
}

TEST_CASE("the end of a long answer tells its usage, wherever it begins") {
    const auto tail_of = [](std::string_view text) {
        Usage usage;
        read_tail(text, usage);
        return usage;
    };
    const std::string openai =
        R"(AAAA","index":1}],"model":"m","usage":{"prompt_tokens":7,"completion_tokens":3,)"
        R"("prompt_tokens_details":{"cached_tokens":2}}})";
    for (std::size_t begin = 0; begin < openai.find("\"usage\""); ++begin)
        CHECK(is(tail_of(std::string_view(openai).substr(begin)), 7, 3, 2));
    CHECK(is(tail_of(R"(x"}],"timings" : {"cache_n":2,"prompt_n":5,"predicted_n":3}})"), 7, 3, 2));
    CHECK(is(tail_of(R"(x"},"prompt_eval_count":7,"eval_count":3})"), 7, 3, 0));
    // The last one counts, and what is not whole does not.
    CHECK(is(tail_of(R"("usage":{"prompt_tokens":1},"usage":{"prompt_tokens":7}})"), 7, 0, 0));
    CHECK_FALSE(tail_of(R"("usage":{"prompt_tokens":7,"completion_tok)").known);
    CHECK_FALSE(tail_of(R"("usage":null})").known);
    CHECK_FALSE(tail_of(R"("usage")").known);
    CHECK_FALSE(tail_of(R"("usage":)").known);
    CHECK_FALSE(tail_of("").known);
    // In a string every quote is escaped.
    CHECK_FALSE(tail_of(R"(say \"usage\":{\"prompt_tokens\":7}"}]})").known);
}

TEST_CASE("fault 101: words in the text do not fool it") {
    const Outcome outcome = read_sse("fooling-text");
    CHECK(outcome.events == 5);
    CHECK(outcome.content == 3);
    CHECK(outcome.finished == 1);
    CHECK(outcome.done == 1);
    CHECK_FALSE(outcome.usage.known);
    const auto delta = [](const std::string& text) {
        return "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text + "\"}}]}";
    };
    for (const std::string text : {"[DONE]", "\\\"done\\\":true", "},\\\"stop\\\":true,{",
                                   "\\\\\\\"}],\\\"error\\\":{", "\\\\", "\\u0022error\\u0022:1"}) {
        CAPTURE(text);
        const EventFacts facts = facts_of(delta(text));
        CHECK(facts.content);
        CHECK_FALSE(facts.done);
        CHECK_FALSE(facts.finished);
        CHECK_FALSE(facts.error);
        CHECK_FALSE(usage_of(delta(text)).known);
    }
    CHECK(means_nothing(facts_of("\"[DONE]\"")));
    CHECK(means_nothing(facts_of("[DONE")));
    CHECK(means_nothing(facts_of(" [DONE]x")));
    CHECK(facts_of("[DONE]").done);
}

TEST_CASE("fault 101: the keys mean something in their place only") {
    for (const std::string data : {
             R"({"a":{"error":{"message":"x"}}})",
             R"({"a":{"done":true,"stop":true}})",
             R"([{"error":1}])",
             R"({"choices":[{"delta":{"tool":{"content":"x"}}}]})",
             R"({"choices":[[{"finish_reason":"stop"}]]})",
             R"({"usage":{"error":"x"}})",
             R"({"choices":[{"index":0,"finish_reason":null,"delta":{"role":"assistant"}}]})",
             R"({"choices":[{"error":{}}]})",
             R"({"metadata":{"type":"message_stop"}})",
         }) {
        CAPTURE(data);
        CHECK(means_nothing(facts_of(data)));
    }
    CHECK_FALSE(usage_of(R"({"a":{"usage":{"prompt_tokens":5,"completion_tokens":5}}})").known);
    CHECK_FALSE(usage_of(R"({"choices":[{"usage":{"prompt_tokens":5}}]})").known);
    CHECK_FALSE(usage_of(R"({"usage":{"a":{"prompt_tokens":5}}})").known);
    CHECK_FALSE(usage_of(R"({"prompt_tokens":5,"completion_tokens":5})").known);
    CHECK_FALSE(usage_of(R"({"usage":[{"prompt_tokens":5}]})").known);
}

TEST_CASE("fault 102: usage that is missing, null, zero or strange is unknown") {
    for (const std::string data : {
             R"({})",
             R"({"usage":null})",
             R"({"usage":{}})",
             R"({"usage":0})",
             R"({"usage":"x"})",
             R"({"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}})",
             R"({"usage":{"prompt_tokens":null,"completion_tokens":null}})",
             R"({"usage":{"prompt_tokens":"5"}})",
             R"({"usage":{"prompt_tokens":-5}})",
             R"({"usage":{"prompt_tokens":5.5}})",
             R"({"usage":{"prompt_tokens":1e3}})",
             R"({"usage":{"prompt_tokens":1099511627777}})",
             R"({"usage":{"prompt_tokens":18446744073709551615}})",
             R"({"usage":{"prompt_tokens":99999999999999999999999}})",
             R"({"usage":{"total_tokens":5}})",
             R"({"timings":{}})",
             R"({"timings":{"cache_n":5}})",
             R"({"usage":{"prompt_tokens":5})",
             R"({"usage":{"prompt_tokens":5}}x)",
             R"({"usage":{"prompt_tokens":5},})",
             "null",
             "",
             "5",
             "[]",
             "{",
             "proxy error",
         }) {
        CAPTURE(data);
        CHECK_FALSE(usage_of(data).known);
    }
}

TEST_CASE("fault 102: usage that comes twice is counted once, and only grows") {
    Usage usage;
    const std::string report = R"({"usage":{"prompt_tokens":5,"completion_tokens":7}})";
    read_event("", report, usage);
    read_event("", report, usage);
    CHECK(is(usage, 5, 7, 0));
    read_event("", R"({"usage":{"prompt_tokens":0,"completion_tokens":0}})", usage);
    CHECK(is(usage, 5, 7, 0));
    read_event("", R"({"usage":{"prompt_tokens":5,"completion_tokens":9}})", usage);
    CHECK(is(usage, 5, 9, 0));
}

TEST_CASE("fault 102: the last report of a stream with continuous usage counts") {
    CHECK(is(read_sse("vllm-continuous-usage").usage, 7, 2, 0));
}

TEST_CASE("usage comes before timings, timings before plain counts") {
    CHECK(is(usage_of(R"({"timings":{"cache_n":1,"prompt_n":2,"predicted_n":3},)"
                      R"("usage":{"prompt_tokens":10,"completion_tokens":20,)"
                      R"("prompt_tokens_details":{"cached_tokens":4}}})"),
             10, 20, 4));
    CHECK(is(usage_of(R"({"tokens_evaluated":9,"tokens_predicted":9,"tokens_cached":18,)"
                      R"("timings":{"cache_n":1,"prompt_n":2,"predicted_n":3}})"),
             3, 3, 1));
    CHECK(
        is(usage_of(R"({"tokens_evaluated":9,"tokens_predicted":8,"tokens_cached":17})"), 9, 8, 0));
    CHECK(is(usage_of(R"({"usage":{"prompt_tokens":4,"total_tokens":4}})"), 4, 0, 0));
    // More cached than read cannot be.
    CHECK(is(usage_of(R"({"usage":{"prompt_tokens":4,"completion_tokens":1,)"
                      R"("prompt_tokens_details":{"cached_tokens":400}}})"),
             4, 1, 4));
}

TEST_CASE("finish reasons and errors of odd servers") {
    const auto finished = [](const std::string& reason) {
        return facts_of("{\"choices\":[{\"delta\":{},\"finish_reason\":" + reason + "}]}").finished;
    };
    CHECK(finished("\"stop\""));
    CHECK(finished("\"tool_calls\""));
    CHECK_FALSE(finished("null"));
    CHECK_FALSE(finished("\"\""));
    const auto error = [](const std::string& value) {
        return facts_of("{\"error\":" + value + "}").error;
    };
    for (const char* value : {"{}", "{\"message\":\"x\"}", "\"x\"", "true", "1", "[]"}) {
        CHECK(error(value));
    }
    for (const char* value : {"null", "false", "\"\""})
        CHECK_FALSE(error(value));
    CHECK(facts_of(R"({"object":"error","message":"x","code":400})").error);
    CHECK(facts_of("not JSON", "error").error);
}

TEST_CASE("pieces of content in every dialect") {
    for (const std::string delta : {
             R"({"content":"x"})",
             R"({"reasoning_content":"x"})",
             R"({"reasoning":"x"})",
             R"({"refusal":"x"})",
             R"({"tool_calls":[{"index":0}]})",
             R"({"function_call":{}})",
             R"({"audio":{"data":"x"}})",
         }) {
        CAPTURE(delta);
        CHECK(facts_of("{\"choices\":[{\"delta\":" + delta + "}]}").content);
    }
    for (const std::string delta : {R"({})", R"(null)", R"({"content":null})", R"({"content":""})",
                                    R"({"tool_calls":[]})", R"({"role":"assistant"})"}) {
        CAPTURE(delta);
        CHECK_FALSE(facts_of("{\"choices\":[{\"delta\":" + delta + "}]}").content);
    }
    CHECK(facts_of(R"({"type":"transcript.text.delta","delta":"x"})").content);
    CHECK(facts_of(R"({"type":"transcript.text.done","text":"x"})").done);
    CHECK(facts_of(R"({"message":{"role":"assistant","content":"x"},"done":false})").content);
}

TEST_CASE("a chunk is read alike wherever its choices stand and whatever is around them") {
    const std::string choices = R"("choices":[{"delta":{"content":"x"},"finish_reason":"stop"}])";
    const std::string frame =
        R"("id":"chatcmpl-1","object":"chat.completion.chunk","model":"tiny-e")";
    const std::string usage = R"("usage":{"prompt_tokens":5,"completion_tokens":7})";
    const auto reads = [](const std::string& data) {
        const EventFacts facts = facts_of(data);
        CHECK_FALSE(facts.done);
        return facts.content && facts.finished && !facts.error;
    };
    for (const std::string& data : {
             "{" + choices + "," + frame + "}",
             "{" + frame + "," + choices + "}",
             "{ " + frame + " , " + choices + " }",
             "{" + choices + "}",
             "{\"x\":{\"y\":[]}," + choices + "," + frame + "}",
             "{" + choices + ",\"x\":{\"error\":1}," + frame + "}",
             "{" + choices + ",\"x\":\"\\\"error\"," + frame + "}",
             "{\"x\":\"a \\\"choices\"," + choices + "}",
             "{\"x\":\"error\"," + choices + "}",
         }) {
        CAPTURE(data);
        CHECK(reads(data));
        CHECK_FALSE(usage_of(data).known);
    }
    for (const std::string& data : {
             "{" + choices + "," + frame + "," + usage + "}",
             "{" + usage + "," + frame + "," + choices + "}",
             "{" + frame + "," + usage + "," + choices + "}",
             "{" + choices + "," + usage + "," + frame + "}",
             "{" + choices + ",\"x\":\"\\\"usage\"," + usage + "}",
         }) {
        CAPTURE(data);
        CHECK(reads(data));
        CHECK(is(usage_of(data), 5, 7, 0));
    }
    CHECK(facts_of("{" + choices + ",\"error\":{}}").error);
    CHECK(facts_of("{\"error\":\"x\"," + choices + "}").error);
    CHECK(facts_of("{" + choices + "," + frame + ",\"error\":{}}").error);
    CHECK(facts_of("{" + choices + ",\"object\":\"error\"}").error);
    CHECK(
        is(usage_of("{" + choices + ",\"timings\":{\"prompt_n\":2,\"predicted_n\":3}}"), 2, 3, 0));
    CHECK(is(usage_of("{" + choices + ",\"tokens_evaluated\":2,\"tokens_predicted\":3}"), 2, 3, 0));
    CHECK(is(usage_of("{\"prompt_eval_count\":2,\"eval_count\":3," + choices + "}"), 2, 3, 0));
    // Choices of something else, or that are not whole.
    CHECK(means_nothing(facts_of("{\"a\":{" + choices + "}}")));
    CHECK(means_nothing(facts_of("{\"a\":[{" + choices + "}]}")));
    CHECK(means_nothing(facts_of("{" + choices)));
    CHECK(means_nothing(facts_of("{\"choices\":[{\"delta\":{\"content\":\"x\"}}")));
    CHECK(means_nothing(facts_of("{\"choices\":[{\"delta\":{\"content\":\"x\"}}}")));
}

TEST_CASE("a word of interest is found at every place of a frame") {
    for (std::size_t length = 0; length < 40; ++length) {
        const std::string pad = std::string(",\"x\":\"").append(length, 'x') + "\"";
        const std::string choices = R"("choices":[{"delta":{"content":"x"}}])";
        const std::string data =
            "{" + choices + pad + R"(,"usage":{"prompt_tokens":5})" + pad + "}";
        CHECK(is(usage_of(data), 5, 0, 0));
        CHECK(facts_of("{" + choices + pad + ",\"error\":1}").error);
        CHECK(facts_of("{\"error\":1" + pad + "," + choices + "}").error);
        CHECK(facts_of(std::string("{").append(pad, 1).append(",").append(choices) + "}").content);
    }
}

TEST_CASE("deep and long events are read without harm") {
    const std::string deep = std::string(100'000, '[');
    CHECK(means_nothing(facts_of(deep)));
    CHECK(means_nothing(facts_of("{\"a\":" + deep)));
    const std::string closed = std::string(200, '[') + std::string(200, ']');
    CHECK(facts_of("{\"a\":" + closed + ",\"done\":true}").done);
    const std::string text(60'000, 'x');
    CHECK(facts_of("{\"choices\":[{\"delta\":{\"content\":\"" + text + "\"}}]}").content);
}
