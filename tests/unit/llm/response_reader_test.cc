#include "sluice/llm/response_reader.h"

#include "splits.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

struct Seen {
    Usage usage;
    bool complete = false;
    bool error = false;
};

Seen read_runs(std::string_view text, const Runs& runs) {
    ResponseReader reader;
    feed_runs(reader, text, runs);
    return {reader.usage(), reader.complete(), reader.error()};
}

// What it says, which must be the same in every split.
Seen read(std::string_view text) {
    const Seen whole = read_runs(text, {});
    for (const Runs& runs : all_splits(text)) {
        const Seen split = read_runs(text, runs);
        CHECK(split.complete == whole.complete);
        CHECK(split.error == whole.error);
        CHECK(split.usage.known == whole.usage.known);
        CHECK(split.usage.prompt == whole.usage.prompt);
        CHECK(split.usage.completion == whole.usage.completion);
        CHECK(split.usage.cached == whole.usage.cached);
    }
    return whole;
}

bool is(const Seen& seen, std::uint64_t prompt, std::uint64_t completion, std::uint64_t cached) {
    return seen.complete && seen.usage.known && seen.usage.prompt == prompt &&
           seen.usage.completion == completion && seen.usage.cached == cached;
}

}  // namespace

TEST_CASE("answers of every dialect are counted in any split") {
    CHECK(
        is(read(R"({"choices":[{"finish_reason":"length","index":0,"message":{"role":"assistant",)"
                R"("content":" \"usage\":{\"prompt_tokens\":1}"}}],"model":"tiny","object":)"
                R"("chat.completion","usage":{"completion_tokens":12,"prompt_tokens":25,)"
                R"("total_tokens":37,"prompt_tokens_details":{"cached_tokens":24}},"id":"x",)"
                R"("timings":{"cache_n":0,"prompt_n":1,"prompt_ms":0.7,"predicted_n":2}})"),
           25, 12, 24));
    CHECK(is(read(R"({"model":"e","object":"list","usage":{"prompt_tokens":4,"total_tokens":4},)"
                  R"("data":[{"embedding":[-0.21e-3,0.5,1E2,-0],"index":0}]})"),
             4, 0, 0));
    CHECK(is(read(R"({"object":"response","status":"completed","error":null,"output":[],)"
                  R"("usage":{"input_tokens":25,"output_tokens":6,)"
                  R"("input_tokens_details":{"cached_tokens":24}}})"),
             25, 6, 24));
    CHECK(is(read(R"({"type":"message","content":[{"type":"text","text":", was"}],)"
                  R"("usage":{"cache_read_input_tokens":30,"input_tokens":8,"output_tokens":6}})"),
             38, 6, 30));
    CHECK(is(read(R"({"index":0,"content":"x","stop":true,"tokens_predicted":3,)"
                  R"("tokens_evaluated":5,"tokens_cached":7})"),
             5, 3, 0));
    CHECK(is(read(R"({"model":"m","message":{"role":"assistant","content":"x"},"done":true,)"
                  R"("prompt_eval_count":26,"eval_count":298})"),
             26, 298, 0));
    CHECK(is(read(R"({"model":"m","embeddings":[[0.1,0.2]],"prompt_eval_count":8})"), 8, 0, 0));
    CHECK(is(read(R"({"text":"x","usage":{"type":"tokens","input_tokens":14,"output_tokens":5}})"),
             14, 5, 0));
}

TEST_CASE("fault 102: an answer without usage is complete and unknown") {
    for (const char* text : {"{}", "[]", "\"x\"", "null", "{\"usage\":null}", " {\"a\":[1,2]} ",
                             "{\"input_tokens\":25,\"object\":\"response.input_tokens\"}"}) {
        CAPTURE(text);
        CHECK(read(text).complete);
        CHECK_FALSE(read(text).usage.known);
    }
}

TEST_CASE("fault 90: an answer that is no JSON is not complete, and does no harm") {
    for (const char* text :
         {"", "<html><body>\"usage\":{\"prompt_tokens\":5}</body></html>", "{", "{}{}",
          "{\"usage\":{\"prompt_tokens\":5", "\x1F\x8B\x08", "data: {}\n\n"}) {
        CAPTURE(text);
        CHECK_FALSE(read(text).complete);
        CHECK_FALSE(read(text).usage.known);
    }
}

TEST_CASE("fault 69: an answer that is cut tells what it told before") {
    const std::string text =
        R"({"usage":{"prompt_tokens":25,"completion_tokens":12},"choices":[{"message":{"con)";
    const Seen seen = read(text);
    CHECK_FALSE(seen.complete);
    CHECK(seen.usage.known);
    CHECK(seen.usage.completion == 12);
    const Seen half = read(R"({"usage":{"prompt_tokens":25,"completion_tokens":1)");
    CHECK_FALSE(half.usage.known);
    CHECK_FALSE(read(R"({"tokens_evaluated":5,"tokens_predicted":3,)").usage.known);
}

TEST_CASE("what comes first does not outlive what is to be believed more, in any split") {
    CHECK(is(read(R"({"timings":{"cache_n":5,"prompt_n":5,"predicted_n":9},)"
                  R"("usage":{"prompt_tokens":8,"completion_tokens":7}})"),
             8, 7, 0));
    CHECK(is(read(R"({"usage":{"prompt_tokens":25,"completion_tokens":1},)"
                  R"("usage":{"prompt_tokens":2,"completion_tokens":1}})"),
             2, 1, 0));
}

TEST_CASE("text that is not UTF-8 does not hide the usage") {
    CHECK(is(read("{\"a\":\"\xFF\xED\xA0\x80 \\ud800 \x01\",\"usage\":{\"prompt_tokens\":5,"
                  "\"completion_tokens\":6}}"),
             5, 6, 0));
}

TEST_CASE("an error answer is told apart") {
    CHECK(read(R"({"error":{"code":400,"message":"x","type":"invalid_request_error"}})").error);
    CHECK(read(R"({"type":"error","error":{"type":"api_error","message":"x"}})").error);
    CHECK(read(R"({"error":"x"})").error);
    CHECK_FALSE(read(R"({"error":null,"choices":[]})").error);
}

TEST_CASE("a reader that was fed nothing knows nothing") {
    const ResponseReader reader;
    CHECK_FALSE(reader.complete());
    CHECK_FALSE(reader.error());
    CHECK_FALSE(reader.usage().known);
}
