// What a model's token takes, and which answers have tokens at all.
#include "sluice/llm/token_rate.h"

#include "sluice/llm/endpoints.h"
#include "sluice/llm/response_reader.h"
#include "sluice/llm/usage.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice::llm;

namespace {

Usage usage_of(std::string_view data) {
    Usage usage;
    read_event({}, data, usage);
    return usage;
}

}  // namespace

TEST_CASE("R14: a token has four bytes until a model has shown otherwise") {
    TokenRate rate;
    CHECK_FALSE(rate.known());
    CHECK(rate.tokens_in(0) == 0);
    CHECK(rate.tokens_in(1) == 1);
    CHECK(rate.tokens_in(400) == 100);
    rate.learn(0, 5);
    rate.learn(5, 0);
    CHECK_FALSE(rate.known());
    rate.learn(1000, 500);
    CHECK(rate.tokens_in(400) == 200);
    CHECK(rate.tokens_in(1) == 1);
}

TEST_CASE("R14: what is learned follows what is told, and long answers weigh more") {
    TokenRate rate;
    rate.learn(10, 10);
    rate.learn(10'000, 2'000);
    CHECK(rate.bytes_a_token() > 4.9);
    for (int i = 0; i < 200; ++i)
        rate.learn(1000, 500);
    CHECK(rate.bytes_a_token() < 2.05);
    CHECK(rate.bytes_a_token() > 1.95);
}

TEST_CASE("R14: cached tokens are known where they were told, be it as none") {
    const std::string usage = R"({"usage":{"prompt_tokens":11,"completion_tokens":5)";
    CHECK_FALSE(usage_of(usage + "}}").cached_known);
    CHECK_FALSE(usage_of(usage + R"(,"prompt_tokens_details":null}})").cached_known);
    CHECK_FALSE(
        usage_of(usage + R"(,"prompt_tokens_details":{"cached_tokens":null}}})").cached_known);
    CHECK(usage_of(usage + R"(,"prompt_tokens_details":{"cached_tokens":0}}})").cached_known);
    CHECK(usage_of(R"({"timings":{"cache_n":0,"prompt_n":11,"predicted_n":5}})").cached_known);
    const Usage ollama = usage_of(
        R"({"done":true,"prompt_eval_count":11,"prompt_eval_cached_count":4,"eval_count":5})");
    CHECK((ollama.cached_known && ollama.cached == 4 && ollama.prompt == 11));
    CHECK_FALSE(usage_of(R"({"done":true,"prompt_eval_count":11,"eval_count":5})").cached_known);
    CHECK(usage_of(R"({"done":true,"eval_count":5})").prompt == 0);
    Usage tail;
    read_tail(R"(x","done":true,"prompt_eval_count":11,"prompt_eval_cached_count":4})", tail);
    CHECK((tail.cached_known && tail.cached == 4));
}

TEST_CASE("R14: the text of an answer is measured in every dialect, in any split") {
    for (const std::string_view body :
         {R"({"choices":[{"message":{"content":"12345","reasoning_content":"678"}}]})",
          R"({"choices":[{"text":"12345"},{"text":"678"}]})",
          R"({"type":"message","content":[{"type":"thinking","thinking":"123"},)"
          R"({"type":"text","text":"45678"}]})",
          R"({"output":[{"type":"reasoning","content":[{"text":"123"}]},)"
          R"({"type":"message","content":[{"type":"output_text","text":"45678"}]}]})",
          R"({"message":{"content":"12345678"},"done":true})", R"({"response":"12345678"})",
          R"({"content":"12345678","stop":true})"}) {
        CAPTURE(body);
        Usage usage;
        CHECK(read_event({}, body, usage).content_bytes == 8);
        for (std::size_t cut = 0; cut <= body.size(); ++cut) {
            ResponseReader reader;
            reader.feed(body.substr(0, cut));
            reader.feed(body.substr(cut));
            CHECK(reader.content_bytes() == 8);
            CHECK(reader.answers());
        }
    }
    Usage usage;
    CHECK(
        read_event("response.output_text.delta", R"({"delta":"12345678"})", usage).content_bytes ==
        8);
}

TEST_CASE("R14: which endpoints' answers have tokens") {
    CHECK(find_endpoint("/v1/chat/completions")->tokens == Tokens::written);
    CHECK(find_endpoint("/v1/messages")->tokens == Tokens::written);
    CHECK(find_endpoint("/api/generate")->tokens == Tokens::written);
    CHECK(find_endpoint("/v1/embeddings")->tokens == Tokens::read);
    CHECK(find_endpoint("/v1/rerank")->tokens == Tokens::read);
    CHECK(find_endpoint("/tokenize")->tokens == Tokens::none);
    CHECK(find_endpoint("/v1/audio/speech")->tokens == Tokens::none);
}

TEST_CASE("R8: an error is told from an answer that has one beside it, in any split") {
    struct Case {
        std::string_view body;
        bool error;
        bool answers;
    };
    for (const Case& c :
         {Case{R"({"error":{"message":"no"}})", true, false},
          Case{R"({"error":"no"})", true, false},
          Case{R"({"type":"error","error":{"type":"x"}})", true, false},
          Case{R"({"object":"error","message":"no"})", true, false},
          Case{R"({"choices":null,"error":{"code":1}})", true, false},
          Case{R"({"error":null,"choices":[{"message":{"content":""}}]})", false, true},
          Case{R"({"error":"x","choices":[{"message":{"content":""}}]})", true, true},
          Case{R"({"object":"list","data":[{"error":"x"}]})", false, false}}) {
        CAPTURE(c.body);
        Usage usage;
        const EventFacts facts = read_event({}, c.body, usage);
        CHECK((facts.error == c.error && facts.answers == c.answers));
        for (std::size_t cut = 0; cut <= c.body.size(); ++cut) {
            ResponseReader reader;
            reader.feed(c.body.substr(0, cut));
            reader.feed(c.body.substr(cut));
            CHECK((reader.error() == c.error && reader.answers() == c.answers));
            CHECK(reader.complete());
        }
    }
}

TEST_CASE("R14: the count of the text is known where the report at the end has it") {
    const auto read = [](std::string_view delta) {
        Usage usage;
        read_event("message_start",
                   R"({"type":"message_start","message":{"usage":{"input_tokens":9,)"
                   R"("output_tokens":1}}})",
                   usage);
        CHECK_FALSE((usage.known || usage.completion_known));
        read_event("message_delta", delta, usage);
        CHECK(usage.prompt == 9);
        return usage;
    };
    CHECK_FALSE(read(R"({"type":"message_delta","usage":{"input_tokens":9,"output_tokens":null}})")
                    .completion_known);
    CHECK_FALSE(read(R"({"type":"message_delta","usage":{"input_tokens":9}})").completion_known);
    CHECK(read(R"({"type":"message_delta","usage":{"input_tokens":9}})").known);
    CHECK(read(R"({"type":"message_delta","usage":{"output_tokens":5}})").completion_known);
    CHECK(usage_of(R"({"usage":{"prompt_tokens":9,"completion_tokens":5}})").completion_known);
    CHECK_FALSE(usage_of(R"({"usage":{"prompt_tokens":9}})").completion_known);
}
