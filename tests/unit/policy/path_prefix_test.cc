#include "sluice/policy/path_prefix.h"

#include <doctest/doctest.h>

using namespace sluice::policy;

TEST_CASE("path prefix: whole segments, one reading") {
    struct Row {
        std::string_view prefix;
        std::string_view path;
        bool has;
    };
    const Row table[] = {
        {"/", "/", true},
        {"/", "/ai", true},
        {"/ai", "/ai", true},
        {"/ai", "/ai/", true},
        {"/ai", "/ai/predict", true},
        {"/ai", "/aim", false},
        {"/ai", "/a", false},
        {"/ai", "/", false},
        {"/ai", "/AI", false},
        {"/ai", "/x/ai", false},
        {"/ai/", "/ai/x", true},
        {"/ai/", "/ai", false},
        // The digits of an escape have no case, what stands beside them has.
        {"/caf%C3%A9", "/caf%c3%a9", true},
        {"/caf%c3%a9/x", "/caf%C3%A9/x/y", true},
        {"/caf%C3%A9", "/caf%C3%A8", false},
        {"/%20a", "/%20A", false},
        {"/%2aab", "/%2Aab", true},
        {"/%2aab", "/%2AAB", false},
        {"/a%20b", "/a b", false},
        {"/a%20", "/a%2", false},
    };
    for (const Row& row : table) {
        CAPTURE(row.prefix);
        CAPTURE(row.path);
        CHECK(path_has_prefix(row.path, row.prefix) == row.has);
    }
}
