// The pure parts of sluice-sim: JSON values found in place, scripts, text, and what is due when.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "generation.h"
#include "json.h"
#include "script.h"
#include "text.h"

#include <doctest/doctest.h>

namespace {

using namespace sluice;
using namespace sluice::model_sim;

constexpr Instant start{1'000'000'000};

Generation chat_stream(const Script& script, std::uint64_t tokens) {
    Job job{.kind = Kind::chat, .api = Api::openai, .stream = true, .model = "m", .id = "i"};
    job.script = script;
    job.tokens = tokens;
    job.prompt_tokens = 1;
    job.text = Text(script.seed, script.token_bytes);
    Generation generation;
    generation.take(std::move(job), {.api = Api::openai}, {});
    generation.start(start);
    return generation;
}

}  // namespace

TEST_CASE("a member is found whatever stands around it") {
    const std::string_view text =
        "{ \"a\" : \"}\\\"]\" ,\n\"b\":[1,{\"x\":2}], \"model\" :\t-1.5e3,\"c\":{}, \"d\": null }";
    CHECK(json::member(text, "a") == "\"}\\\"]\"");
    CHECK(json::member(text, "b") == "[1,{\"x\":2}]");
    CHECK(json::member(text, "model") == "-1.5e3");
    CHECK(json::member(text, "c") == "{}");
    CHECK(json::member(text, "d") == "null");
    CHECK(json::member(text, "x").empty());
    CHECK(json::member("{}", "a").empty());
    CHECK(json::member("[]", "a").empty());
    CHECK(json::member("", "a").empty());
}

TEST_CASE("the elements of an array come in order") {
    const auto found = json::elements("[ 1, \"a,b\" ,[2,3],{\"k\":[]}, true ]");
    REQUIRE(found.size() == 5);
    CHECK(found[0] == "1");
    CHECK(found[1] == "\"a,b\"");
    CHECK(found[2] == "[2,3]");
    CHECK(found[3] == "{\"k\":[]}");
    CHECK(found[4] == "true");
    CHECK(json::elements("[ ]").empty());
    CHECK(json::elements("{}").empty());
}

TEST_CASE("a string is decoded with all its escapes") {
    CHECK(json::decoded(R"("a\n\t\"\\\/\u00e9\u6771\ud83d\ude80")") ==
          "a\n\t\"\\/\xc3\xa9\xe6\x9d\xb1\xf0\x9f\x9a\x80");
    CHECK(json::decoded("12").empty());
}

TEST_CASE("durations are read with their unit and nothing else") {
    CHECK(parse_duration("250us").value() == Duration::micros(250));
    CHECK(parse_duration("20ms").value() == Duration::millis(20));
    CHECK(parse_duration("1.5s").value() == Duration::millis(1500));
    CHECK(parse_duration("2m").value() == Duration::seconds(120));
    CHECK(parse_duration("0").value() == Duration{});
    for (const auto* wrong : {"", "5", "5x", "-1s", "ms", "1s2", "inf", "nan s", "1e300h"})
        CHECK_MESSAGE(!parse_duration(wrong).ok(), wrong);
}

TEST_CASE("x-sim changes what it names and refuses what it does not know") {
    Script script;
    REQUIRE(apply_overrides(script, " ttft=5ms , tokens=100,fail=malformed-chunk,,seed=9").ok());
    CHECK(script.ttft == Duration::millis(5));
    CHECK(script.tokens == 100);
    CHECK(script.failure == Failure::malformed_chunk);
    CHECK(script.seed == 9);
    CHECK(script.itl == Script().itl);
    for (const auto* wrong : {"tokens", "tokens=", "tokens=-1", "tokens=4294967296", "fail=x",
                              "events-per-chunk=0", "speed=1"})
        CHECK_MESSAGE(!apply_overrides(script, wrong).ok(), wrong);
}

TEST_CASE("the escaped text means the plain text") {
    const Text text(7, 0);
    for (std::uint64_t i = 0; i < 2000; ++i) {
        std::string plain;
        std::string escaped = "\"";
        text.append_plain(plain, i);
        text.append_escaped(escaped, i);
        CHECK(json::decoded(escaped + "\"") == plain);
    }
}

TEST_CASE("a begin of the text is measured in tokens, and anything else is not") {
    const Text text(1, 0);
    std::string said;
    for (std::uint64_t i = 0; i < 50; ++i) {
        CHECK(text.tokens_in(said) == i);
        text.append_plain(said, i);
    }
    std::string first;
    text.append_plain(first, 0);
    CHECK(!text.tokens_in(first.substr(0, first.size() - 1)));
    CHECK(!text.tokens_in("x" + said));
    CHECK(!Text(2, 0).tokens_in(said));
    CHECK(!text.of_choice(1).tokens_in(said));
}

TEST_CASE("every token has the size that was asked for") {
    for (const std::uint32_t size : {1U, 4U, 33U, 1000U}) {
        const Text text(3, size);
        for (std::uint64_t i = 0; i < 200; ++i) {
            std::string plain;
            text.append_plain(plain, i);
            REQUIRE(plain.size() == size);
        }
    }
}

TEST_CASE("the head is due at once, and each token at its own time") {
    auto generation = chat_stream({.ttft = Duration::millis(20), .itl = Duration::millis(10)}, 3);
    std::string out;
    generation.produce(start, 1 << 16, out);
    CHECK(out.ends_with("\r\n\r\n"));
    CHECK(generation.tokens_made() == 0);
    CHECK(generation.due() == start + Duration::millis(20));
    generation.produce(start + Duration::millis(19), 1 << 16, out);
    CHECK(generation.tokens_made() == 0);
    generation.produce(start + Duration::millis(20), 1 << 16, out);
    CHECK(generation.tokens_made() == 1);
    CHECK(generation.due() == start + Duration::millis(30));
    // A late turn makes up for what is due, and does not shift what follows.
    generation.produce(start + Duration::millis(47), 1 << 16, out);
    CHECK(generation.tokens_made() == 3);
    CHECK(generation.ending() == Ending::keep_alive);
    CHECK(out.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
}

TEST_CASE("no more is rendered than there is room for") {
    auto generation = chat_stream({.ttft = {}, .itl = {}, .token_bytes = 100}, 1000);
    std::string all;
    int rounds = 0;
    while (generation.ending() == Ending::none) {
        std::string out;
        generation.produce(start, 4096, out);
        CHECK(out.size() < 4096 + 1024);
        all += out;
        ++rounds;
    }
    CHECK(rounds > 50);
    auto at_once = chat_stream({.ttft = {}, .itl = {}, .token_bytes = 100}, 1000);
    std::string whole;
    at_once.produce(start, 1 << 30, whole);
    CHECK(whole == all);
}
