// The grammar of JSON as BodyReader checks it: tables of what must be taken (y), what must be
// refused (n) and what parsers differ in (i, refused unless it says so). Each text stands as a
// value inside of a request, in every split.
#include "sluice/llm/body_reader.h"
#include "splits.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

bool accepts(std::string_view body, const Runs& runs) {
    BodyReader reader;
    feed_runs(reader, body, runs);
    const bool failed_early = reader.failed();
    const Result<RequestFacts> facts = reader.finish();
    CHECK_FALSE((failed_early && facts.ok()));
    if (!facts.ok()) {
        CHECK(facts.error().status == 400);
        CHECK(facts.error().source == Source::client);
    }
    return facts.ok();
}

// Whether it is accepted, which must be the same in every split.
bool accepts(std::string_view body) {
    const bool whole = accepts(body, {});
    for (const Runs& runs : all_splits(body)) {
        if (accepts(body, runs) != whole) FAIL_CHECK("a split changes the answer: " << body);
    }
    return whole;
}

std::string as_value(std::string_view text) {
    return "{\"a\":" + std::string(text) + ",\"model\":\"m\"}";
}

std::string quoted(std::string_view text) {
    return std::string("\"").append(text).append("\"");
}

std::string refusal(std::string_view body) {
    BodyReader reader;
    reader.feed(body);
    const Result<RequestFacts> facts = reader.finish();
    return facts.ok() ? "" : facts.error().message;
}

constexpr std::string_view well_formed[] = {
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "123456789",
    "1.5",
    "0.5",
    "-0.0",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "1.25e10",
    "0e0",
    "0e999",
    "0.000e999",
    "1e-999",
    "1e307",
    "-9.99e307",
    "18446744073709551615",
    "18446744073709551616",
    "100000000000000000000000",
    "0.00000000000000000000000000000000000000000000000001e350",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\" \"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0041\"",
    "\"\\u00e9\"",
    "\"\\uFFFF\"",
    "\"\\u0000\"",
    "\"\\uD834\\uDD1E\"",
    "\"\\udbff\\udfff\"",
    "\"\x7F\"",
    "\"\xC2\x80\"",
    "\"\xDF\xBF\"",
    "\"\xE0\xA0\x80\"",
    "\"\xED\x9F\xBF\"",
    "\"\xEE\x80\x80\"",
    "\"\xEF\xBF\xBF\"",
    "\"\xE2\x80\xA8\"",
    "\"\xF0\x90\x80\x80\"",
    "\"\xF4\x8F\xBF\xBF\"",
    "\"\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x81\xAF\xF0\x9F\x8C\x8A!\"",
    "[]",
    "[ ]",
    "[1]",
    "[1,2]",
    "[ 1 , 2 ]",
    "[[],[]]",
    "[{}]",
    "[null,true,\"x\",{\"y\":[]}]",
    "{}",
    "{ }",
    "{\"\":0}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":{\"b\":{\"c\":[]}}}",
    " 1 ",
    "\t1\n",
    "\r\n1\r\n"};

constexpr std::string_view not_well_formed[] = {"",
                                                "-",
                                                "+1",
                                                "01",
                                                "-01",
                                                "00",
                                                "1.",
                                                ".5",
                                                "-.5",
                                                "1.e5",
                                                "1e",
                                                "1e+",
                                                "1e-",
                                                "1ee5",
                                                "1e5.5",
                                                "1.5.5",
                                                "0x10",
                                                "1_000",
                                                "1a",
                                                "--1",
                                                "1-",
                                                "1+1",
                                                "NaN",
                                                "nan",
                                                "Infinity",
                                                "-Infinity",
                                                "inf",
                                                "True",
                                                "FALSE",
                                                "nul",
                                                "nulll",
                                                "truex",
                                                "tru",
                                                "undefined",
                                                "'a'",
                                                "a",
                                                "\"",
                                                "\"a",
                                                "a\"",
                                                "\"\\\"",
                                                "\"\\x\"",
                                                "\"\\a\"",
                                                "\"\\0\"",
                                                "\"\\'\"",
                                                "\"\\u\"",
                                                "\"\\u12\"",
                                                "\"\\u123\"",
                                                "\"\\u123g\"",
                                                "\"\\u 123\"",
                                                "\"\\U0041\"",
                                                "\"a\nb\"",
                                                "\"a\tb\"",
                                                "\"a\x01\"",
                                                "\"\x1F\"",
                                                "[",
                                                "]",
                                                "[1",
                                                "[1,",
                                                "[,1]",
                                                "[1,]",
                                                "[1,,2]",
                                                "[1 2]",
                                                "[1;2]",
                                                "[1:2]",
                                                "[\"a\":1]",
                                                "[}",
                                                "{]",
                                                "{",
                                                "}",
                                                "{\"a\"",
                                                "{\"a\":",
                                                "{\"a\":1",
                                                "{\"a\":1,",
                                                "{\"a\":1,}",
                                                "{,\"a\":1}",
                                                "{\"a\" 1}",
                                                "{\"a\"::1}",
                                                "{\"a\",1}",
                                                "{\"a\":1 \"b\":2}",
                                                "{\"a\":1;\"b\":2}",
                                                "{a:1}",
                                                "{'a':1}",
                                                "{1:1}",
                                                "{null:1}",
                                                "{[]:1}",
                                                "{\"a\":1,,\"b\":2}",
                                                "1 2",
                                                "[] []",
                                                "{}{}",
                                                "/*c*/1",
                                                "1//c",
                                                "#1",
                                                "\xEF\xBB\xBF"
                                                "1",
                                                "\xC2\xA0"
                                                "1",
                                                "\x0C"
                                                "1",
                                                "\v1",
                                                "@",
                                                "\\u0031",
                                                "\xFF"};

constexpr std::string_view not_utf8[] = {"\x80",
                                         "\xBF",
                                         "\xC0\x80",
                                         "\xC1\xBF",
                                         "\xC2",
                                         "\xC2 ",
                                         "\xE0\x80\x80",
                                         "\xE0\x9F\xBF",
                                         "\xE1\x80",
                                         "\xE1\x80 ",
                                         "\xED\xA0\x80",
                                         "\xED\xBF\xBF",
                                         "\xF0\x80\x80\x80",
                                         "\xF0\x8F\xBF\xBF",
                                         "\xF1\x80\x80",
                                         "\xF4\x90\x80\x80",
                                         "\xF5\x80\x80\x80",
                                         "\xFE",
                                         "\xFF",
                                         "\xE6\x9D\xB1\xE4\xBA",
                                         "\xE6\x9D\xB1\xC0\xAF"};

}  // namespace

TEST_CASE("y: values that are well formed are taken") {
    for (const std::string_view text : well_formed) {
        CAPTURE(text);
        CHECK(accepts(as_value(text)));
    }
}

TEST_CASE("n: values that are not well formed are refused") {
    for (const std::string_view text : not_well_formed) {
        CAPTURE(text);
        CHECK_FALSE(accepts(as_value(text)));
    }
}

TEST_CASE("fault 46: numbers that parsers read differently are refused") {
    for (const std::string_view text : {"1e999", "-1e999", "1e308", "1.8e308", "0.1e310", "123e306",
                                        "1e99999999999999999999999", "10000e304"}) {
        CAPTURE(text);
        CHECK_FALSE(accepts(as_value(text)));
    }
    const std::string zeros(308, '0');
    CHECK_FALSE(accepts(as_value(std::string("1").append(zeros))));
    CHECK(accepts(as_value(std::string("1").append(zeros, 1))));
    CHECK(refusal("{\"a\":[1e999]}") ==
          "The request body is refused: a number that is too large at byte 6.");
}

TEST_CASE("fault 46: text that is not UTF-8 is refused") {
    for (const std::string_view text : not_utf8) {
        CAPTURE(text);
        CHECK_FALSE(accepts(as_value(quoted(text))));
        CHECK_FALSE(accepts(as_value(std::string("{").append(quoted(text)).append(":1}"))));
        CHECK_FALSE(
            accepts(as_value(quoted(std::string("behind sixteen bytes and more").append(text)))));
    }
}

TEST_CASE(
    "C6: half of a surrogate pair is the backend's to judge, but for the outermost keys and the "
    "model") {
    for (const std::string_view text :
         {"\\uD800", "\\uDBFF", "\\uDC00", "\\uDFFF", "\\uD800x", "\\uD800\\n", "\\uD800\\u0041",
          "\\uD800\\uD800", "\\uDC00\\uD800", "\\uD800 \\uDC00", "\\uD834\\uDD1E\\uDC00",
          "\\uD834\\uD834\\uDD1E", "\\ud83d\\\\", "\\ud83d\\\""}) {
        CAPTURE(text);
        CHECK(accepts(as_value(quoted(text))));
        CHECK(accepts(as_value(std::string("{\"role\":").append(quoted(text)).append("}"))));
        const std::string key = std::string("{").append(quoted(text)).append(":1}");
        CHECK(accepts(as_value(key)));
        CHECK(accepts(as_value("[" + key + "]")));
        CHECK_FALSE(accepts(std::string("{").append(quoted(text)).append(":1}")));
        CHECK_FALSE(accepts(std::string("{\"model\":").append(quoted(text)).append("}")));
    }
    CHECK(refusal("{\"a\":\"\\uD800\\x\"}") ==
          "The request body is refused: an unknown escape at byte 13.");
    CHECK(refusal("{\"model\":\"\\uD800\"}") ==
          "The request body is refused: half of a surrogate pair in the model name at byte 9.");
}

TEST_CASE("fault 46: NUL is refused wherever it stands") {
    const std::string nul(1, '\0');
    CHECK_FALSE(accepts(as_value("1" + nul)));
    CHECK_FALSE(accepts(as_value("\"a" + nul + "\"")));
    CHECK_FALSE(accepts(as_value("1") + nul));
    CHECK_FALSE(accepts(nul + as_value("1")));
}

TEST_CASE("fault 46: bytes behind the body are refused, white space is not") {
    CHECK(accepts(as_value("1") + " \r\n\t"));
    for (const char* text : {"x", "{}", "\"", ",", "}", "]", "\xEF\xBB\xBF", "null"}) {
        CAPTURE(text);
        CHECK_FALSE(accepts(as_value("1") + text));
        CHECK_FALSE(accepts(as_value("1") + " " + text));
    }
}

TEST_CASE("fault 46: nesting has a limit") {
    const auto nested = [](std::size_t levels, const char* open, const char* close) {
        std::string text;
        for (std::size_t i = 0; i < levels; ++i)
            text += open;
        text += "1";
        for (std::size_t i = 0; i < levels; ++i)
            text += close;
        return as_value(text);
    };
    const auto taken = [](const std::string& body) { return accepts(body, {}); };
    const std::size_t most = limits::json_depth_max - 1;  // the request itself is one level
    CHECK(taken(nested(most, "[", "]")));
    CHECK_FALSE(taken(nested(most + 1, "[", "]")));
    CHECK(taken(nested(most, "{\"k\":", "}")));
    CHECK_FALSE(taken(nested(most + 1, "{\"k\":", "}")));
    CHECK_FALSE(taken(nested(100'000, "[", "]")));
    CHECK_FALSE(taken(std::string(100'000, '[')));
    CHECK_FALSE(taken(nested(100'000, "{\"k\":", "}")));
    // Levels of either kind are told apart however deep they are.
    std::string mixed;
    std::string end;
    for (std::size_t i = 0; i < most; ++i) {
        const bool object = i % 3 == 0;
        mixed += object ? "{\"k\":" : "[";
        end.insert(end.begin(), object ? '}' : ']');
    }
    CHECK(taken(as_value(mixed + "1" + end)));
    for (std::size_t i = 0; i < end.size(); ++i) {
        std::string wrong = end;
        wrong[i] = wrong[i] == '}' ? ']' : '}';
        CHECK_FALSE(taken(as_value(mixed + "1" + wrong)));
    }
}

TEST_CASE("a body that is no object is refused") {
    for (const char* text : {"", " ", "[]", "[{}]", "\"model\"", "1", "1 ", "true", "null",
                             "\xEF\xBB\xBF{}", "{", "}", "model=x"}) {
        CAPTURE(text);
        CHECK_FALSE(accepts(text));
    }
    CHECK(accepts("{}"));
    CHECK(refusal("") == "The request body is refused: the text ends too early at byte 0.");
    CHECK(refusal("[]") == "The request body is refused: a body that is not an object at byte 0.");
    CHECK(BodyReader().finish().error().message == "The request has no body.");
}

TEST_CASE("fault 46: an error says at which byte it is, in any split") {
    const std::string body = "{\"model\":\"x\",\"a\":tru }";
    for (const Runs& runs : all_splits(body)) {
        BodyReader reader;
        feed_runs(reader, body, runs);
        CHECK(reader.failed());
        CHECK(reader.finish().error().message ==
              "The request body is refused: a value was expected at byte 20.");
    }
    CHECK(refusal("{\"a\":1") == "The request body is refused: the text ends too early at byte 6.");
}

TEST_CASE("long strings of every kind are taken at any length") {
    for (std::size_t length = 0; length < 70; ++length) {
        for (const char* end :
             {"", "\\n", "\xC3\xA9", "\xE6\x9D\xB1", "\xF0\x9F\x8C\x8A", "\\u00e9"}) {
            const std::string text = std::string(length, 'x') + end;
            CHECK(accepts(as_value("\"" + text + "\""), {}));
            CHECK(accepts(as_value("\"" + text + text + "\""), {}));
            CHECK_FALSE(accepts(as_value("\"" + text + "\x01\""), {}));
            CHECK_FALSE(accepts(as_value("\"" + text + "\x80\""), {}));
        }
    }
}
