// The skipping of text in strings, at every length and place of what ends it, against one byte a
// step.
#include "json_text.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace sluice::llm::test {

namespace {

bool is_plain(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

std::size_t plain_bytes(const std::string& text) {
    std::size_t at = 0;
    while (at < text.size() && is_plain(text[at]))
        ++at;
    return at;
}

std::size_t escaped_bytes(const std::string& text) {
    constexpr std::string_view letters = "\"\\/bfnrt";
    std::size_t at = 0;
    while (at < text.size()) {
        const bool escape =
            text[at] == '\\' && at + 1 < text.size() && letters.find(text[at + 1]) != letters.npos;
        if (!escape && !is_plain(text[at])) break;
        at += escape ? 2 : 1;
    }
    return at;
}

// In memory of exactly that size, so that a sanitizer sees any look behind its end.
void check(const std::string& text) {
    const std::vector<char> exact(text.begin(), text.end());
    const char* const begin = exact.data();
    const char* const end = begin + exact.size();
    CHECK(skip_plain_text(begin, end) == begin + plain_bytes(text));
    CHECK(skip_escaped_text(begin, end) == begin + escaped_bytes(text));
}

}  // namespace

TEST_CASE("every byte, at every place of short and long texts") {
    for (const std::size_t size : {1, 15, 16, 17, 33, 80, 210, 420}) {
        for (std::size_t at = 0; at < size; at += size > 80 ? 7 : 1) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string text(size, 'x');
                text[at] = static_cast<char>(byte);
                check(text);
            }
        }
    }
}

TEST_CASE("escapes, at every place, one behind the other and at the end") {
    for (const std::string_view escape :
         {R"(\n)", R"(\")", R"(\\)", R"(\\\")", R"(\\\\\n)", R"(\u00e9)", R"(\x)", R"(\)", R"(\\\)",
          "\\\xc3\xa9", "\\\n"}) {
        for (std::size_t before = 0; before < 150; ++before) {
            for (const std::size_t behind : {0, 1, 2, 15, 16, 17, 300}) {
                std::string text(before, ' ');
                text += escape;
                text += std::string(behind, '~');
                CAPTURE(text);
                check(text);
                check(text + '"');
                check(text + std::string(escape) + text);
            }
        }
    }
}

}  // namespace sluice::llm::test
