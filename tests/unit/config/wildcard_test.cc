#include "sluice/config/wildcard.h"

#include "allocations.h"
#include "sluice/base/prng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::config;

namespace {

Wildcard compiled(std::string_view pattern) {
    Result<Wildcard> wildcard = Wildcard::compile(pattern);
    REQUIRE(wildcard.ok());
    return std::move(wildcard).value();
}

// The meaning, without any thought of time.
bool matches_plainly(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern[0] == '*') {
        return matches_plainly(pattern.substr(1), text) ||
               (!text.empty() && matches_plainly(pattern, text.substr(1)));
    }
    return !text.empty() && pattern[0] == text[0] &&
           matches_plainly(pattern.substr(1), text.substr(1));
}

}  // namespace

TEST_CASE("wildcard: what matches") {
    struct Row {
        std::string_view pattern;
        std::string_view text;
        bool matches;
    };
    const Row table[] = {
        {"gpt-4o", "gpt-4o", true},
        {"gpt-4o", "gpt-4o-mini", false},
        {"gpt-4o", "GPT-4o", false},
        {"gpt-4o", "", false},
        {"gpt-4o*", "gpt-4o", true},
        {"gpt-4o*", "gpt-4o-mini", true},
        {"gpt-4o*", "gpt-4", false},
        {"*", "", true},
        {"*", "anything", true},
        {"**", "", true},
        {"*-mini", "gpt-4o-mini", true},
        {"*-mini", "-mini", true},
        {"*-mini", "gpt-4o-mini-1", false},
        {"qwen*coder*", "qwen2.5-coder-7b", true},
        {"qwen*coder*", "qwen2.5-code", false},
        {"a*a", "a", false},
        {"a*a", "aa", true},
        {"a*b*a", "aba", true},
        {"a*b*a", "aa", false},
        {"ab*ba", "aba", false},
        {"*aab*", "aaab", true},
        {"*abcabd*", "abcabcabd", true},
        {"*ab*ab*ab", "abab", false},
        {"*ab*ab*ab", "ababab", true},
        {"a?c", "abc", false},
        {"a.c", "abc", false},
        {"[ab]", "a", false},
    };
    for (const Row& row : table) {
        CAPTURE(row.pattern);
        CAPTURE(row.text);
        CHECK(compiled(row.pattern).matches(row.text) == row.matches);
        CHECK(matches_plainly(row.pattern, row.text) == row.matches);
    }
}

TEST_CASE("wildcard: random patterns against the plain meaning") {
    int matched = 0;
    for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        std::string pattern;
        std::string text;
        for (std::uint64_t n = prng.between(1, 9); n > 0; --n)
            pattern += "ab*"[prng.below(3)];
        for (std::uint64_t n = prng.below(14); n > 0; --n)
            text += "ab"[prng.below(2)];
        CAPTURE(pattern);
        CAPTURE(text);
        const bool expected = matches_plainly(pattern, text);
        REQUIRE(compiled(pattern).matches(text) == expected);
        matched += expected ? 1 : 0;
    }
    // Both answers came often.
    CHECK(matched > 2000);
    CHECK(matched < 18'000);
}

TEST_CASE("wildcard: hostile texts take no longer than others, and no memory") {
    // Each makes a matcher that tries again at every place need years.
    std::string pattern;
    for (int i = 0; i < 200; ++i)
        pattern += "*aab";
    const Wildcard many = compiled(pattern + "*c");
    const Wildcard one = compiled("*" + std::string(1000, 'a') + "b*");
    const std::string text(1 << 20, 'a');
    const std::size_t before = test::allocations().count;
    CHECK(!many.matches(text));
    CHECK(!one.matches(text));
    CHECK(test::allocations().count == before);
    CHECK(one.matches(text + "b"));
}

TEST_CASE("wildcard: what cannot be compiled") {
    CHECK(!Wildcard::compile("").ok());
    CHECK(Wildcard::compile(std::string(Wildcard::pattern_bytes_max, 'a')).ok());
    const Result<Wildcard> long_one =
        Wildcard::compile(std::string(Wildcard::pattern_bytes_max + 1, 'a'));
    REQUIRE(!long_one.ok());
    CHECK(long_one.error().message == "A pattern has 1025 bytes, at most 1024 are allowed.");
}

TEST_CASE("wildcard: the most specific one is found, in whatever order they were added") {
    const std::vector<std::string> patterns = {
        "*",     "gpt-*", "gpt-4o*",    "gpt-4o", "gpt-4o-mini", "*-mini", "gpt-*-mini",
        "qwen*", "q*",    "qwen*coder", "a*",     "zz",          "a*b*",
    };
    struct Row {
        std::string_view name;
        std::string_view found;
    };
    const Row table[] = {
        {"gpt-4o", "gpt-4o"},
        {"gpt-4o-mini", "gpt-4o-mini"},
        {"gpt-4o-2024", "gpt-4o*"},
        {"gpt-4o-2-mini", "gpt-4o*"},  // the longer literal prefix
        {"gpt-5-mini", "gpt-*-mini"},  // the same prefix, the longer pattern
        {"gpt-5", "gpt-*"},
        {"llama-mini", "*-mini"},  // no prefix, the longer pattern
        {"llama", "*"},
        {"", "*"},
        {"qwen2-coder", "qwen*coder"},
        {"qwen2", "qwen*"},
        {"quark", "q*"},
        {"zz", "zz"},
        {"ab", "a*b*"},
        {"ac", "a*"},
    };
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        std::vector<std::size_t> order;
        for (std::size_t i = 0; i < patterns.size(); ++i)
            order.insert(order.begin() + static_cast<std::ptrdiff_t>(prng.below(i + 1)), i);
        WildcardTable table_of;
        for (const std::size_t i : order)
            REQUIRE(table_of.add(patterns[i], i).ok());
        CHECK(!table_of.add("gpt-*", 99).ok());
        for (const Row& row : table) {
            CAPTURE(row.name);
            const std::size_t found = table_of.find(row.name);
            REQUIRE(found != WildcardTable::none);
            CHECK(patterns[found] == row.found);
        }
    }
    const WildcardTable empty;
    CHECK(empty.find("gpt-4o") == WildcardTable::none);
}
