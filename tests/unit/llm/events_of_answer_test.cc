#include "sluice/llm/events_of_answer.h"

#include "answers.h"
#include "recorded_answers.h"
#include "sluice/base/prng.h"
#include "sluice/sse/scanner.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

constexpr std::string_view chat_of_all =
    R"({"id":"c1","object":"chat.completion","created":7,"model":"m","service_tier":"default",)"
    R"("choices":[{"index":0,"message":{"role":"assistant","content":"Hi \u00e9 \ud83c\udf0a",)"
    R"("refusal":null,"reasoning_content":"hm","annotations":[{"type":"x"}],"tool_calls":[)"
    R"({"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},)"
    R"({"id":"b","type":"custom","custom":{"name":"g","input":"run"}}]},)"
    R"("logprobs":{"content":[{"token":"Hi","logprob":-1.50}],"refusal":null},)"
    R"("finish_reason":"tool_calls"},{"index":1,"message":{"role":"assistant","content":null,)"
    R"("refusal":"No."},"logprobs":null,"finish_reason":"stop","stop_reason":null}],)"
    R"("usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"provider":"p"})";
constexpr std::string_view message_of_all =
    R"({"id":"m1","type":"message","role":"assistant","model":"m","container":null,"content":[)"
    R"({"type":"thinking","thinking":"hm","signature":"c2ln"},)"
    R"({"type":"redacted_thinking","data":"AA"},)"
    R"({"type":"text","text":"a\"b","citations":[{"type":"char_location","cited_text":"x"}]},)"
    R"({"type":"text","text":"","citations":null},)"
    R"({"type":"tool_use","id":"t","name":"f","input":{"a":[1.50,"\u00e9\n\\"],"b":{}}},)"
    R"({"type":"server_tool_use","id":"u","name":"g","input":{}}],)"
    R"("stop_reason":"tool_use","stop_sequence":null,)"
    R"("usage":{"input_tokens":5,"cache_read_input_tokens":2,"output_tokens":9}})";
constexpr std::string_view response_of_all =
    R"({"id":"r1","object":"response","created_at":7,"status":"incomplete","error":null,)"
    R"("incomplete_details":{"reason":"max_output_tokens"},"model":"m","output":[)"
    R"({"id":"rs","type":"reasoning","summary":[{"type":"summary_text","text":"s"}],)"
    R"("content":[{"type":"reasoning_text","text":"t"}]},)"
    R"({"id":"msg","type":"message","role":"assistant","status":"completed","content":[)"
    R"({"type":"output_text","text":"Hi","annotations":[{"type":"url_citation"}],"logprobs":[]},)"
    R"({"type":"refusal","refusal":"no"},{"type":"output_news","news":1}]},)"
    R"({"id":"fc","type":"function_call","call_id":"c","name":"f","arguments":"{}",)"
    R"("status":"completed"},{"type":"function_call","call_id":"d","name":"f","arguments":"{}"},)"
    R"({"id":"ct","type":"custom_tool_call","call_id":"e","name":"g","input":"run"},)"
    R"({"id":"ws","type":"web_search_call","status":"completed"}],)"
    R"("usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}})";
constexpr std::string_view ollama_chat_of_all =
    R"({"model":"m","created_at":"2026-11-01T00:00:00.1Z","message":{"role":"assistant",)"
    R"("content":"Hi","thinking":"hm","mood":"glad","tool_calls":[{"function":{"name":"f",)"
    R"("arguments":{"x":1.50}}}]},"done_reason":"stop","done":true,"eval_count":3,)"
    R"("logprobs":[{"token":"Hi"}]})";
constexpr std::string_view ollama_text_of_all =
    R"({"model":"m","created_at":"2026-11-01T00:00:00.1Z","response":"Hi","thinking":"hm",)"
    R"("done_reason":"length","done":true,"context":[1,2],"eval_count":3})";

struct Whole {
    AnswerForm form;
    std::string_view document;
};
constexpr Whole wholes[] = {
    {AnswerForm::chat, chat_of_all},
    {AnswerForm::messages, message_of_all},
    {AnswerForm::responses, response_of_all},
    {AnswerForm::ollama_chat, ollama_chat_of_all},
    {AnswerForm::ollama_generate, ollama_text_of_all},
    {AnswerForm::chat, recorded_tool_call.document},
    {AnswerForm::chat, recorded_chat_of_two.document},
    {AnswerForm::completion, recorded_completion.document},
    {AnswerForm::completion, recorded_prompts.document},
    {AnswerForm::messages, recorded_thinking.document},
    {AnswerForm::messages, recorded_tool_use.document},
    {AnswerForm::responses, recorded_response.document},
};

bool holds(std::string_view text, std::string_view part) {
    return text.find(part) != text.npos;
}

// A text of a JSON string, of all kinds of characters and escapes.
std::string random_text(Prng& prng) {
    static constexpr std::string_view parts[] = {
        "a",  "the ", R"(\n)",     R"(\")",           R"(\\)", R"(\/)", "é",
        "東", "🌊",   R"(\u00e9)", R"(\ud83c\udf0a)", "{",     "]"};
    std::string out;
    for (std::uint64_t left = prng.between(0, prng.chance(1, 4) ? 3000 : 30); left > 0; --left)
        out += parts[prng.between(0, std::size(parts) - 1)];
    return out;
}

// The document with another text in the place of each "Hi" and "hm".
std::string with_random_texts(std::string_view document, Prng& prng) {
    std::string out(document);
    for (const std::string_view word : {"\"Hi\"", "\"hm\"", "\"{}\"", "\"run\""}) {
        for (std::size_t at = 0; (at = out.find(word, at)) != out.npos;) {
            const std::string text = "\"" + random_text(prng) + "\"";
            out.replace(at, word.size(), text);
            at += text.size();
        }
    }
    return out;
}

}  // namespace

TEST_CASE("a document, as a stream, as a document again is the same") {
    for (const Whole& whole : wholes) {
        const std::string stream = stream_of(whole.form, whole.document);
        const std::string again = document_of(whole.form, stream);
        CHECK_MESSAGE(same_json(again, whole.document), stream << again);
    }
}

TEST_CASE("whatever the texts are, and in pieces that are sound by themselves") {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        Prng prng(seed);
        for (const Whole& whole : wholes) {
            const std::string document = with_random_texts(whole.document, prng);
            const std::string stream = stream_of(whole.form, document);
            INFO("seed " << seed);
            CHECK(same_json(document_of(whole.form, stream), document));
            sse::Scanner scanner(stream_form(whole.form));
            sse::Event event;
            simdjson::dom::parser parser;
            for (std::size_t at = 0; scanner.next(stream, at, event); at = event.end) {
                if (event.data == "[DONE]") continue;
                // Padded: what is read may not lie at the end of the text.
                const simdjson::padded_string data(event.data);
                CHECK_MESSAGE(parser.parse(data).error() == simdjson::SUCCESS, event.data);
            }
        }
    }
}

TEST_CASE("a document of many lines is told in events of one") {
    std::string document(chat_of_all);
    for (std::size_t at = 0; (at = document.find(",\"", at)) != document.npos; at += 8)
        document.replace(at, 1, ",\r\n    ");
    CHECK(same_json(document_of(AnswerForm::chat, stream_of(AnswerForm::chat, document)),
                    chat_of_all));
}

TEST_CASE("chat: usage is told to those who ask for it") {
    const std::string asked = stream_of(AnswerForm::chat, chat_of_all, true);
    const std::string unasked = stream_of(AnswerForm::chat, chat_of_all, false);
    CHECK(holds(asked, R"("choices":[],"usage":{"prompt_tokens":1)"));
    CHECK(asked.ends_with("data: [DONE]\n\n"));
    CHECK_FALSE(holds(unasked, "usage"));
    CHECK(unasked.ends_with("data: [DONE]\n\n"));
    CHECK(holds(unasked, R"("provider":"p")"));
    CHECK(text_of(chunks_with_usage(asked, true)) == asked);
    CHECK_FALSE(holds(text_of(chunks_with_usage(asked, false)), "usage"));
    CHECK(text_of(chunks_with_usage(unasked, false)) == unasked);
    CHECK_FALSE(chunks_with_usage(unasked, true).ok());
    // llama-server's timings are no usage.
    const std::string timed = stream_of(AnswerForm::chat, recorded_chat_of_two.document, false);
    CHECK(holds(timed, "timings"));
    CHECK_FALSE(chunks_with_usage(timed, true).ok());
    // Comments and all other bytes stay.
    const std::string with_comment = ": here\n\n" + asked;
    CHECK(text_of(chunks_with_usage(with_comment, true)) == with_comment);
    CHECK_FALSE(chunks_with_usage("data: {}", true).ok());
}

TEST_CASE("chat: first who speaks, then what, then why it ends") {
    const std::string stream = stream_of(
        AnswerForm::chat,
        R"({"id":"c","object":"chat.completion","choices":[{"index":0,"message":)"
        R"({"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"a":1}})");
    CHECK(stream ==
          data_stream({R"({"id":"c","object":"chat.completion.chunk","choices":[{"index":0,)"
                       R"("delta":{"role":"assistant","content":""},"finish_reason":null}]})",
                       R"({"id":"c","object":"chat.completion.chunk","choices":[{"index":0,)"
                       R"("delta":{"content":"Hi"},"finish_reason":null}]})",
                       R"({"id":"c","object":"chat.completion.chunk","choices":[{"index":0,)"
                       R"("delta":{},"finish_reason":"stop"}]})",
                       R"({"id":"c","object":"chat.completion.chunk","choices":[],)"
                       R"("usage":{"a":1}})",
                       "[DONE]"}));
}

TEST_CASE("chat: what a message does not say stays so") {
    const auto document = [](std::string_view content, std::string_view timings) {
        return R"({"object":"chat.completion","choices":[{"index":0,"message":)"
               R"({"role":"assistant","content":)" +
               std::string(content) + R"(},"finish_reason":"stop"}],"usage":{"a":1})" +
               std::string(timings) + "}";
    };
    for (const std::string_view content : {"null", "\"\"", "\"a\""}) {
        for (const std::string_view timings : {"", R"(,"timings":{"n":1})"}) {
            const std::string whole = document(content, timings);
            CHECK(same_json(document_of(AnswerForm::chat, stream_of(AnswerForm::chat, whole)),
                            whole));
        }
    }
}

TEST_CASE("messages: no output is counted before there is some") {
    const std::string stream = stream_of(AnswerForm::messages, message_of_all);
    CHECK(stream.starts_with("event: message_start\ndata: {\"type\":\"message_start\""));
    CHECK(holds(stream, R"("cache_read_input_tokens":2,"output_tokens":0}}})"));
    CHECK(stream.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

TEST_CASE("responses: the events are numbered without gaps") {
    const std::string stream = stream_of(AnswerForm::responses, response_of_all);
    std::size_t count = 0;
    for (std::size_t at = 0; (at = stream.find("\"sequence_number\":", at)) != stream.npos; ++at) {
        CHECK(stream.substr(at + 18).starts_with(std::to_string(count) + ","));
        ++count;
    }
    CHECK(count > 30);
    CHECK(holds(stream, "event: response.incomplete\n"));
    CHECK_FALSE(holds(stream, "[DONE]"));
}

TEST_CASE("an answer that is none, or not whole, is told in no stream") {
    CHECK_FALSE(events_of_answer(AnswerForm::chat, R"({"error":{"message":"x"}})", true).ok());
    CHECK_FALSE(events_of_answer(AnswerForm::chat, "{", true).ok());
    CHECK_FALSE(events_of_answer(AnswerForm::chat, "[]", true).ok());
    CHECK_FALSE(events_of_answer(AnswerForm::responses,
                                 R"({"object":"response","status":"failed","output":[]})", true)
                    .ok());
    for (const Whole& whole : wholes) {
        const auto without = [&whole](std::string_view part, std::string_view other) {
            std::string document(whole.document);
            const std::size_t at = document.find(part);
            REQUIRE(at != document.npos);
            document.replace(at, part.size(), other);
            return events_of_answer(whole.form, document, true).ok();
        };
        switch (whole.form) {
            case AnswerForm::chat:
            case AnswerForm::completion:
                CHECK_FALSE(without("\"finish_reason\":", "\"finish\":"));
                CHECK_FALSE(without("\"object\":\"", "\"object\":\"x"));
                CHECK_FALSE(without("\"index\":0", "\"index\":1"));
                if (whole.form == AnswerForm::chat) CHECK_FALSE(without("\"role\":", "\"who\":"));
                break;
            case AnswerForm::messages:
                CHECK_FALSE(without("\"stop_reason\":", "\"stop\":"));
                break;
            case AnswerForm::responses:
                CHECK_FALSE(without("\"object\":\"response", "\"object\":\"x"));
                break;
            default:
                CHECK_FALSE(without("\"done\":true", "\"done\":false"));
        }
    }
}
