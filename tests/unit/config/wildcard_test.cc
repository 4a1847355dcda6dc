#include "sluice/config/wildcard.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice::config;

TEST_CASE("a star stands for any run of characters, everything else for itself") {
    struct Row {
        std::string pattern;
        std::string text;
        bool matches;
    };
    for (const Row& row : {Row{"", "", true},
                           Row{"", "a", false},
                           Row{"a", "a", true},
                           Row{"a", "A", false},
                           Row{"a", "ab", false},
                           Row{"ab", "a", false},
                           Row{"*", "", true},
                           Row{"*", "abc", true},
                           Row{"gpt-4o*", "gpt-4o", true},
                           Row{"gpt-4o*", "gpt-4o-mini", true},
                           Row{"gpt-4o*", "gpt-4", false},
                           Row{"gpt-4o*", "xgpt-4o", false},
                           Row{"*o", "foo", true},
                           Row{"*o", "foob", false},
                           Row{"a*b*c", "abc", true},
                           Row{"a*b*c", "a-b-b-c", true},
                           Row{"a*b*c", "acb", false},
                           Row{"**", "x", true},
                           Row{"a.b", "axb", false},
                           Row{"a?b", "a?b", true},
                           Row{"a?b", "axb", false},
                           Row{"*aab", "aaab", true},
                           Row{"*a*a*b", "aaaaaaaaaa", false}}) {
        CAPTURE(row.pattern);
        CAPTURE(row.text);
        CHECK(wildcard_matches(row.pattern, row.text) == row.matches);
    }
    CHECK(is_wildcard("gpt*"));
    CHECK_FALSE(is_wildcard("gpt?"));
}
