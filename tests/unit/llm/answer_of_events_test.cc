#include "sluice/llm/answer_of_events.h"

#include "answers.h"
#include "recorded_answers.h"
#include "sluice/base/limits.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

constexpr std::string_view usage =
    R"("usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3})";

// A chunk of a chat with one choice.
std::string chunk(std::string_view delta, std::string_view finish = "null",
                  std::string_view more = {}) {
    std::string out = R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m",)";
    out.append(R"("choices":[{"index":0,"delta":)").append(delta);
    out.append(R"(,"finish_reason":)").append(finish).append("}]").append(more);
    return out + "}";
}
const std::string last_chunk =
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],)" +
    std::string(usage) + "}";

// The message of a chat whose deltas these are.
std::string message_of(std::initializer_list<std::string_view> deltas) {
    std::string stream;
    for (const std::string_view delta : deltas)
        stream += data_stream({chunk(delta)});
    stream += data_stream({chunk("{}", "\"stop\""), last_chunk, "[DONE]"});
    const std::string document = document_of(AnswerForm::chat, stream);
    constexpr std::string_view before = R"("message":)";
    constexpr std::string_view behind = R"(,"finish_reason")";
    const std::size_t at = document.find(before);
    const std::size_t end = document.find(behind);
    if (at == document.npos || end == document.npos) return document;
    return document.substr(at + before.size(), end - at - before.size());
}

std::string refused(std::string_view why) {
    return "the recorded answer has no other form: " + std::string(why);
}

}  // namespace

TEST_CASE("the document of a recorded stream is that of the server") {
    for (const Recorded* recorded : recorded_answers) {
        const std::string document = document_of(recorded->form, recorded->stream);
        CHECK_MESSAGE(same_json(document, recorded->document), document);
    }
}

TEST_CASE("a stream that was cut at any event has no document") {
    for (const Recorded* recorded : recorded_answers) {
        const std::string_view stream = recorded->stream;
        for (std::size_t at = 0; (at = stream.find("\n\n", at)) != stream.npos; at += 2) {
            const std::string_view cut = stream.substr(0, at + 2);
            if (cut.size() < stream.size()) CHECK_FALSE(answer_of_events(recorded->form, cut).ok());
        }
    }
}

TEST_CASE("chat: texts are put together as they were written") {
    CHECK(message_of({R"({"role":"assistant","content":""})", R"({"content":"a\u00e9\""})",
                      R"({"content":" \ud83c"})", R"({"content":"\udf0a"})"}) ==
          R"({"role":"assistant","content":"a\u00e9\" \ud83c\udf0a"})");
    CHECK(message_of({R"({"content":null,"refusal":null})", R"({"refusal":"No"})",
                      R"({"refusal":"."})"}) ==
          R"({"role":"assistant","content":null,"refusal":"No."})");
    CHECK(message_of({R"({"reasoning":"a"})", R"({"reasoning":"b"})", R"({"content":"c"})"}) ==
          R"({"role":"assistant","content":"c","reasoning":"ab"})");
}

TEST_CASE("chat: calls are put together by their index") {
    CHECK(message_of({R"({"tool_calls":[{"index":1,"id":"b","type":"function",)"
                      R"("function":{"name":"g","arguments":""}}]})",
                      R"({"tool_calls":[{"index":0,"id":"a","type":"function",)"
                      R"("function":{"name":"f","arguments":"{\"x\""}}]})",
                      R"({"tool_calls":[{"index":0,"id":"","function":{"arguments":":1}"}}]})",
                      R"({"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]})"}) ==
          R"({"role":"assistant","content":null,"tool_calls":[)"
          R"({"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},)"
          R"({"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]})");
    // Whole ones without an index.
    CHECK(message_of({R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]})",
                      R"({"tool_calls":[{"id":"b","function":{"name":"g","arguments":"{}"}}]})"}) ==
          R"({"role":"assistant","content":null,"tool_calls":[)"
          R"({"id":"a","function":{"name":"f","arguments":"{}"}},)"
          R"({"id":"b","function":{"name":"g","arguments":"{}"}}]})");
    CHECK(message_of({R"({"function_call":{"name":"f","arguments":""}})",
                      R"({"function_call":{"arguments":"{}"}})"}) ==
          R"({"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}})");
}

TEST_CASE("chat: what is not known is kept where it is there once, else it is refused") {
    CHECK(message_of({R"({"content":"a","mood":"glad"})", R"({"content":"b"})"}) ==
          R"({"role":"assistant","content":"ab","mood":"glad"})");
    const std::string no = refused("the pieces of a choice cannot be put together");
    CHECK(message_of({R"({"mood":"gl"})", R"({"mood":"ad"})"}) == no);
    CHECK(message_of({R"({"mood":"a"})", R"({"mood":"a"})"}) == no);
    CHECK(message_of({R"({"level":1})", R"({"level":2})"}) == no);
    CHECK(message_of({R"({"content":"a"})", R"({"content":[{"type":"text"}]})"}) == no);
    CHECK(message_of({R"({"role":"assistant"})", R"({"role":"tool"})"}) == no);
    CHECK(message_of({R"({"audio":{"data":"QQ"}})", R"({"audio":{"data":"Qg"}})"}) == no);
    // Half of an escape would be made whole by what follows.
    CHECK(message_of({R"({"content":"\u00"})", R"({"content":"e9"})"}) == no);
    CHECK(message_of({R"({"tool_calls":[{"index":0,"id":"a"}]})",
                      R"({"tool_calls":[{"index":0,"id":"b"}]})"}) == no);
}

TEST_CASE("chat: choices, frames and reports") {
    const auto of = [](std::initializer_list<std::string_view> events) {
        return document_of(AnswerForm::chat, data_stream(events));
    };
    const std::string begin = chunk(R"({"content":"a"})");
    const std::string end = chunk("{}", "\"stop\"");
    CHECK(of({begin, end, last_chunk, "[DONE]"}) ==
          R"({"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[)"
          R"({"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],)" +
              std::string(usage) + "}");
    CHECK(of({begin, end, last_chunk}) == refused("it is not complete: no [DONE]"));
    CHECK(of({begin, last_chunk, "[DONE]"}) == refused("it is not complete: no finish_reason"));
    CHECK(of({begin, end, "[DONE]"}) == refused("it has no usage"));
    CHECK(of({last_chunk, "[DONE]"}) == refused("it has no choices"));
    CHECK(of({begin, R"({"error":{"message":"no"}})", "[DONE]"}) == refused("it holds an error"));
    CHECK(of({begin, R"({"type":"x"})", "[DONE]"}) == refused("an event is not known"));
    CHECK(of({R"({"choices":[],"choices":[]})"}) == refused("an event is no sound object"));
    CHECK(of({R"({"choices":[],"\u0061":1})"}) == refused("an event is no sound object"));
    CHECK(of({chunk("{\"content\":\"\xff\"}"), end, last_chunk, "[DONE]"}) ==
          refused("the stream is not sound JSON"));
    // Members beside the choices.
    const std::string_view tier = R"(,"service_tier":"default","obfuscation":"x")";
    const std::string with_tier = of({chunk("{}", "null", tier), end, last_chunk, "[DONE]"});
    CHECK(with_tier.find(R"("service_tier":"default")") != with_tier.npos);
    CHECK(with_tier.find("obfuscation") == with_tier.npos);
    CHECK(of({chunk("{}", "null", R"(,"x":1)"), chunk("{}", "\"stop\"", R"(,"x":2)"), "[DONE]"}) ==
          refused("its events contradict each other"));
}

TEST_CASE("chat: a message without text is empty where llama-server says so") {
    const std::string timings =
        R"({"object":"chat.completion.chunk","choices":[],"timings":{"cache_n":0},)" +
        std::string(usage) + "}";
    const std::string stream = data_stream(
        {chunk(R"({"role":"assistant","content":null})", "\"stop\""), timings, "[DONE]"});
    CHECK(document_of(AnswerForm::chat, stream).find(R"("content":"")") != std::string::npos);
}

TEST_CASE("events of any length are read, for the whole recording is at hand") {
    const std::string text(limits::sse_event_bytes_max + 10, 'x');
    const std::string begin = chunk(R"({"content":"a"})");
    const std::string middle = chunk(R"({"content":")" + text + "\"}");
    const std::string end = chunk(R"({"content":"b"})", "\"stop\"");
    for (const std::string_view line_end : {"\n", "\r\n", "\r"}) {
        std::string stream;
        for (const std::string& event : {begin, middle, end, last_chunk, std::string("[DONE]")}) {
            stream.append(": x").append(line_end).append("data:").append(event);
            stream.append(line_end).append(line_end);
        }
        const std::string document = document_of(AnswerForm::chat, stream);
        CHECK(document.find("\"content\":\"a" + text + "b\"") != document.npos);
    }
    const std::string completed =
        R"({"type":"response.completed","response":{"output":[{"text":")" + text + "\"}]}}";
    CHECK(
        document_of(AnswerForm::responses, "event: response.completed\ndata: " + completed + "\n\n")
            .size() > text.size());
    CHECK(document_of(AnswerForm::responses, "event: error\ndata: " + completed + "\n\n") ==
          refused("it holds an error"));
    CHECK(document_of(AnswerForm::ollama_generate,
                      lines({R"({"response":")" + text + "\"}", R"({"response":"","done":true})"}))
              .size() > text.size());
    CHECK(document_of(AnswerForm::responses, "data: {\ndata: \"a\":\"" + text + "\"}\n\n") ==
          refused("a long event has its data in several lines"));
}
