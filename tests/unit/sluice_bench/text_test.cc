#include "text.h"

#include <doctest/doctest.h>

using namespace sluice::bench;

TEST_CASE("valid text stays as it is, and what is no character is replaced, a byte each") {
    constexpr std::pair<const char*, const char*> cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\u00e9\u20ac\U0001f600", "\u00e9\u20ac\U0001f600"},
        {"a\xff z", "a\ufffd z"},
        {"\x80", "\ufffd"},
        {"\xc3", "\ufffd"},
        {"\xc3(", "\ufffd("},
        {"\xe2\x82", "\ufffd\ufffd"},
        {"\xc0\xaf", "\ufffd\ufffd"},                      // overlong
        {"\xe0\x9f\xbf", "\ufffd\ufffd\ufffd"},            // overlong
        {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},            // a surrogate
        {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},  // above U+10FFFF
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xf0\x8f\xbf\xbf", "\ufffd\ufffd\ufffd\ufffd"},  // overlong
    };
    for (const auto& [given, wanted] : cases) {
        CAPTURE(wanted);
        CHECK(valid_text(given) == wanted);
        CHECK(valid_text(valid_text(given)) == wanted);
    }
}

TEST_CASE("a text is cut between characters") {
    const std::string text = "ab\u20accd";  // the sign has three bytes
    constexpr std::pair<std::size_t, const char*> cases[] = {
        {0, ""},         {1, "a"},         {2, "ab"},         {3, "ab"},         {4, "ab"},
        {5, "ab\u20ac"}, {6, "ab\u20acc"}, {7, "ab\u20accd"}, {99, "ab\u20accd"}};
    for (const auto& [bytes, wanted] : cases) {
        CAPTURE(bytes);
        CHECK(valid_text(text, bytes) == wanted);
    }
    // Bytes that are no text are cut where they are.
    CHECK(valid_text("\x80\x80\x80\x80\x80\x80\x80\x80", 5) == "\ufffd\ufffd\ufffd\ufffd\ufffd");
    CHECK(valid_text("a\xff\xff", 2) == "a\ufffd");
}

TEST_CASE("a terminal obeys nothing in what is shown") {
    CHECK(shown_text("\x1b[2J\r\n\x7f \u00e9", 200) == " [2J    \u00e9");
}
