#include "json_check.h"

#include <doctest/doctest.h>

#include <string>

using sluice::bench::JsonCheck;

TEST_CASE("JSON documents are recognised, whole and byte by byte") {
    for (const std::string text :
         {"{}", "[]", "0", "-1.5e+3", "\"\"", "true", "false", "null", " [ 1 , 2 ] ",
          R"({"a":[{"b":null},true,"x\"\\\u00e9\n"],"c":{}})", R"([[[[]]],{"":""}])",
          "\r\n\t {\"choices\":[{\"delta\":{\"content\":\" hi\"}}]}"}) {
        CAPTURE(text);
        CHECK(JsonCheck::valid(text));
        JsonCheck check;
        bool fine = true;
        for (const char c : text)
            fine = fine && check.feed({&c, 1});
        CHECK(fine);
        CHECK(check.complete());
    }
}

TEST_CASE("what is no JSON is refused") {
    for (const std::string text :
         {"",      " ",        "{",         "}",           "[1,]",     "{\"a\":1,}", "{\"a\"}",
          "{a:1}", "[1 2]",    "{\"a\":1]", "tru",         "nul",      "truex",      "1-",
          "-",     "\"",       "\"\\x\"",   "\"\\u12g4\"", "\"a\nb\"", "{} {}",      "[]]",
          "'a'",   "data: {}", "{\"a\" 1}", "{,}",         "[,]"}) {
        CAPTURE(text);
        CHECK_FALSE(JsonCheck::valid(text));
    }
}

TEST_CASE("a document is not complete before its end") {
    JsonCheck check;
    const std::string text = R"({"a":[1,{"b":"c"}]})";
    for (std::size_t i = 0; i < text.size(); ++i) {
        CHECK_FALSE(check.complete());
        REQUIRE(check.feed(text.substr(i, 1)));
    }
    CHECK(check.complete());
}

TEST_CASE("nesting is bounded at 256 levels") {
    CHECK(JsonCheck::valid(std::string(256, '[') + std::string(256, ']')));
    CHECK_FALSE(JsonCheck::valid(std::string(257, '[') + std::string(257, ']')));
}
