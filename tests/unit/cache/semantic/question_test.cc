// What a conversation asks last, and what its context is.
#include "sluice/cache/semantic/question.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::cache;
using namespace sluice::cache::semantic;

namespace {

constexpr std::string_view chat = "/v1/chat/completions";

std::optional<Question> ask(std::string_view messages, std::string_view more = "",
                            std::string_view path = chat, const KeyParts& parts = {.model = "m"}) {
    static KeyMaker maker;
    const std::string body = R"({"messages":)" + std::string(messages) + std::string(more) + "}";
    REQUIRE(maker.read(*llm::find_endpoint(path), body) == Bypass::none);
    return question_of(maker, parts);
}

// The text, or "-" where there is no question.
std::string text_of(std::string_view messages, std::string_view path = chat) {
    const auto question = ask(messages, "", path);
    return question ? question->text : "-";
}

}  // namespace

TEST_CASE("the last text of the user") {
    CHECK(text_of(R"([{"role":"user","content":"Hi"}])") == "Hi");
    CHECK(text_of(R"([{"role":"user","content":"Hi"}])", "/v1/messages") == "Hi");
    CHECK(text_of(R"([{"role":"user","content":"Hi"}])", "/api/chat") == "Hi");
    CHECK(text_of(R"([{"role":"user","content":[{"type":"text","text":"Hi"}]}])") == "Hi");
    CHECK(text_of(R"([{"role":"user","content":"a\n\u0001\"\\\/\u00e9\t\r\b\f"}])") ==
          "a\n\x01\"\\/\u00E9\t\r\b\f");
    CHECK(text_of(R"([{"role":"user","content":""}])").empty());
    for (
        const std::string_view messages : {
            "[]",
            "{}",
            "null",
            R"(["user"])",
            R"([{"role":"assistant","content":"Hi"}])",
            R"([{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}])",
            R"([{"role":"user","content":"Hi"},{"role":"tool","content":"Ho"}])",
            R"([{"role":"user"}])",
            R"([{"role":"user","content":null}])",
            R"([{"role":"user","content":[]}])",
            R"([{"role":"user","content":["Hi"]}])",
            R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text"}]}])",
            R"([{"role":"user","content":[{"type":"image_url","text":"a"}]}])",
            R"([{"role":"user","content":[{"type":"text","text":1}]}])",
            R"([{"role":"user","content":"half \ud83d"}])",
        }) {
        INFO(messages);
        CHECK(text_of(messages) == "-");
    }
    CHECK(text_of(R"([{"role":"user","content":"Hi"}])", "/completion") == "-");
}

TEST_CASE("the turns of the user") {
    CHECK(ask(R"([{"role":"user","content":"a"}])")->turns == 1);
    CHECK(ask(R"([{"role":"system","content":"s"},{"role":"user","content":"a"},
                  {"role":"assistant","content":"b"},{"role":"user","content":"c"}])")
              ->turns == 2);
}

TEST_CASE("the context is everything but the text") {
    const std::string_view first =
        R"([{"role":"system","content":"s"},{"role":"user","content":"a"}])";
    const Key context = ask(first)->context;
    const auto context_of = [](std::string_view messages, std::string_view more = "") {
        return ask(messages, more)->context;
    };
    CHECK(context_of(R"([{"role":"system","content":"s"},{"role":"user","content":"b"}])") ==
          context);
    CHECK(context_of(R"([{"content":"s","role":"system"},{"content":"\u0061","role":"user"}])") ==
          context);
    CHECK(context_of(first, R"(,"stream":true)") == context);
    CHECK(context_of(first, R"(,"temperature":0.5)") != context);
    CHECK(context_of(first, R"(,"tools":[{"type":"function"}])") != context);
    CHECK(context_of(R"([{"role":"system","content":"t"},{"role":"user","content":"a"}])") !=
          context);
    CHECK(context_of(R"([{"role":"user","content":"s"},{"role":"user","content":"a"}])") !=
          context);
    CHECK(context_of(R"([{"role":"user","content":"a"}])") != context);
    CHECK(context_of(
              R"([{"role":"system","content":"s"},{"role":"user","name":"x","content":"a"}])") !=
          context);
    CHECK(context_of(R"([{"role":"system","content":"s"},)"
                     R"({"role":"user","content":[{"type":"text","text":"a"}]}])") != context);
    for (const KeyParts& parts :
         {KeyParts{.model = "n"}, KeyParts{.scope = {ScopeKind::consumer, "b"}, .model = "m"},
          KeyParts{.model = "m", .fields = "f"}, KeyParts{.model = "m", .build = "2"}})
        CHECK(ask(first, "", chat, parts)->context != context);
    // And it is no key of a request.
    KeyMaker maker;
    const std::string body = R"({"messages":)" + std::string(first) + "}";
    REQUIRE(maker.read(*llm::find_endpoint(chat), body) == Bypass::none);
    CHECK(maker.key({.model = "m"}) != context);
}
