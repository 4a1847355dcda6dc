#include "sluice/policy/path_rewrite.h"

#include "sluice/base/limits.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::policy;

namespace {

using Room = std::array<char, limits::request_line_bytes_max>;

PathRewrite compiled(std::string_view prefix, const std::optional<RewriteSetting>& setting) {
    Result<PathRewrite> rewrite = PathRewrite::compile(prefix, setting);
    if (!rewrite.ok()) FAIL(rewrite.error().message);
    return std::move(rewrite).value();
}

// The new target, or the status and what was said.
std::string rewritten(const PathRewrite& rewrite, std::string_view path,
                      std::string_view query = {}) {
    Room room;
    const Result<std::string_view> target = rewrite.apply(path, query, room);
    if (target.ok()) return std::string(target.value());
    return std::to_string(target.error().status) + " " + target.error().message;
}

constexpr std::string_view refused =
    "400 After the rewrite of its route this path is not allowed: ";

}  // namespace

TEST_CASE("rewrite: a prefix is cut off") {
    struct Row {
        std::string_view prefix;
        std::string_view path;
        std::string_view query;
        std::string_view target;
    };
    const Row table[] = {
        {"", "/ai/x", "", "/ai/x"},
        {"", "/ai/x", "a=1&b=%2F..", "/ai/x?a=1&b=%2F.."},
        {"/ai", "/ai/x", "", "/x"},
        {"/ai", "/ai/x/y", "q=1", "/x/y?q=1"},
        {"/ai", "/ai", "", "/"},
        {"/ai", "/ai", "q", "/?q"},
        {"/ai", "/ai/", "", "/"},
        {"/ai/", "/ai/x", "", "/x"},
        {"/ai/", "/ai/", "", "/"},
        {"/", "/ai", "", "/ai"},
        // Not the prefix: all of it stays.
        {"/ai", "/aim", "", "/aim"},
        {"/ai", "/x/ai", "", "/x/ai"},
        {"/ai/", "/ai", "", "/ai"},
        {"/caf%C3%A9", "/caf%c3%a9/x%20y", "", "/x%20y"},
    };
    for (const Row& row : table) {
        CAPTURE(row.prefix);
        CAPTURE(row.path);
        CHECK(rewritten(compiled(row.prefix, {}), row.path, row.query) == row.target);
    }
}

TEST_CASE("rewrite: the first match is replaced") {
    struct Row {
        std::string_view prefix;
        RewriteSetting setting;
        std::string_view path;
        std::string_view target;
    };
    const Row table[] = {
        {"", {"^/ai/(.*)$", "/v2/$1"}, "/ai/predict", "/v2/predict"},
        {"", {"^/ai/(.*)$", "/v2/$1"}, "/ml/predict", "/ml/predict"},
        {"", {"/(\\d+)/(\\w+)", "/$2/$1"}, "/user/12/posts/7/x", "/user/posts/12/7/x"},
        {"", {"b", "c"}, "/abab", "/acab"},
        {"", {"^", "/v1"}, "/x", "/v1/x"},
        {"", {"$", "/end"}, "/x", "/x/end"},
        {"", {"^(?P<first>/[a-z]+)(?P<rest>/.*)?", "${rest}${first}"}, "/a/b", "/b/a"},
        {"", {"^(?P<first>/[a-z]+)(?P<rest>/.*)?", "${rest}${first}"}, "/a", "/a"},
        {"", {"^/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)", "/${11}$1${10}0"}, "/abcdefghijk", "/kaj0"},
        {"", {"x", "$0$0-$$"}, "/x", "/xx-$"},
        {"", {"/a(.*)", "/b$12"}, "/ax", "/bx2"},
        {"", {"(?i)/AI", "/x"}, "/ai/y", "/x/y"},
        // After the prefix is gone.
        {"/ai", {"^/v1/", "/v2/"}, "/ai/v1/x", "/v2/x"},
        {"/ai", {"^/$", "/index"}, "/ai", "/index"},
        // The query is not looked at; see below. A byte is a character.
        {"", {"^/.$", "/one"}, "/%", "/one"},
        {"", {"%20", "-"}, "/a%20b", "/a-b"},
        // Nothing in its place; of a path of which nothing is left there is the root.
        {"", {"^/ai", ""}, "/ai/x", "/x"},
        {"", {"-\\d+", ""}, "/a-12/b-3", "/a/b-3"},
        {"", {"^/ai", ""}, "/ai", "/"},
        {"/ai", {".*", ""}, "/ai/x", "/"},
    };
    for (const Row& row : table) {
        CAPTURE(row.setting.pattern);
        CAPTURE(row.path);
        CHECK(rewritten(compiled(row.prefix, row.setting), row.path) == row.target);
        CHECK(rewritten(compiled(row.prefix, row.setting), row.path, "b=/ai/x") ==
              std::string(row.target) + "?b=/ai/x");
    }
}

TEST_CASE("rewrite: what comes out is checked as what came in") {
    struct Row {
        RewriteSetting setting;
        std::string_view path;
        std::string_view what;
    };
    const Row table[] = {
        {{"^/a", ""}, "/ab", "The path does not begin with '/'."},
        {{"^/", ""}, "/a", "The path does not begin with '/'."},
        {{"/x", "/"}, "/x/y", "The path has an empty segment."},
        {{"^/(.*)/(.*)", "/$2$1"}, "/./.", "The path has a dot segment."},
        {{"-", ""}, "/.-./x", "The path has a dot segment."},
        {{"x", "."}, "/.x/etc/passwd", "The path has a dot segment."},
        // Pieces of two escapes that make a third one.
        {{"%(.)0%(.)(.)", "%$1$3"},
         "/a%20%3F",
         "The path has an escape that servers read differently."},
        {{"0", "f"}, "/a%20b", "The path has an escape that servers read differently."},
        {{"0.*", ""}, "/a%20b", "The path has a '%' without two hexadecimal digits."},
        {{"-", "%2e"}, "/a-b", "The path has an escape that servers read differently."},
    };
    for (const Row& row : table) {
        CAPTURE(row.setting.pattern);
        CAPTURE(row.path);
        CHECK(rewritten(compiled("", row.setting), row.path) ==
              std::string(refused) + std::string(row.what));
    }
}

TEST_CASE("rewrite: the length is bounded, the query included") {
    const PathRewrite doubled = compiled("", RewriteSetting{"(.*)", "$1$1$1$1"});
    std::array<char, 16> room;
    CHECK(doubled.apply("/abc", "", room).ok());
    const auto longer = doubled.apply("/abcd", "", room);
    REQUIRE(!longer.ok());
    CHECK(longer.error().status == 414);
    CHECK(longer.error().message ==
          "The path is too long after the rewrite of its route: more than 16 bytes.");
    const PathRewrite plain = compiled("/p", {});
    CHECK(plain.apply("/p/2345678", "0123456", room).ok());
    CHECK(!plain.apply("/p/2345678", "01234567", room).ok());
    CHECK(!plain.apply("/p/2345678901234567", "", room).ok());
    // A pattern is tried on 2 KiB at most, and that is said.
    const PathRewrite patterned = compiled("/p", RewriteSetting{"^/x", "/y"});
    CHECK(rewritten(patterned, "/p/" + std::string(2047, 'x')).starts_with("/yx"));
    CHECK(rewritten(patterned, "/p/" + std::string(2048, 'x')) ==
          "414 The path is too long for the rewrite of its route: more than 2048 bytes.");
    CHECK(rewritten(compiled("/p", {}), "/p/" + std::string(2048, 'x')).size() == 2049);
}

TEST_CASE("rewrite: patterns and paths that hang a backtracking engine") {
    const std::string_view patterns[] = {
        "^/(a+)+$",
        "^/(a|a)*$",
        "^/(a*)*b",
        "^/(.*)*x$",
        "^/(a?){30}a{30}$",
        "^/(a|aa)+$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "/(x+x+)+y",
        "(.*)(.*)(.*)(.*)=",
        "^/(?:[^/]+/)*[^/]+!$",
    };
    const std::string paths[] = {
        "/" + std::string(2000, 'a') + "!x",
        "/" + std::string(2000, 'x'),
        "/" + std::string(2000, 'a'),
    };
    for (const std::string_view pattern : patterns) {
        CAPTURE(pattern);
        const PathRewrite rewrite = compiled("", RewriteSetting{std::string(pattern), "/found"});
        for (const std::string& path : paths) {
            const std::string target = rewritten(rewrite, path);
            CHECK((target == path || target == "/found" || target == "/found!x"));
        }
    }
    CHECK(rewritten(compiled("", RewriteSetting{"^/(a|a)*$", "/f"}), paths[2]) == "/f");
    CHECK(rewritten(compiled("", RewriteSetting{"^/(a|a)*$", "/f"}), paths[0]) == paths[0]);
}

TEST_CASE("rewrite: what cannot be compiled") {
    struct Row {
        std::string_view prefix;
        RewriteSetting setting;
        std::string message;
    };
    const std::string groups = "(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)(a)";
    const Row table[] = {
        {"", {"(a", "/"}, "The regular expression \"(a\" is wrong: missing ): (a."},
        {"",
         {"(a)\\1", "/"},
         "The regular expression \"(a)\\1\" is wrong: invalid escape sequence: \\1."},
        {"",
         {"(?=a)", "/"},
         "The regular expression \"(?=a)\" is wrong: invalid perl operator: (?=."},
        {"",
         {"(ab.d){300}", "/"},
         "The regular expression \"(ab.d){300}\" is too large: write fewer or smaller "
         "repetitions."},
        {"",
         {std::string(1025, 'a'), "/"},
         "A regular expression has 1025 bytes, at most 1024 are allowed."},
        {"",
         {groups, "/"},
         "The regular expression \"" + groups +
             "\" has more than 15 groups: write (?:...) for those that are not used."},
        {"",
         {"(a)", "/$2"},
         "The replacement \"/$2\" names the group \"2\", which the regular expression does not "
         "have."},
        {"",
         {"(a)", "/${b}"},
         "The replacement \"/${b}\" names the group \"b\", which the regular expression does not "
         "have."},
        {"",
         {"(a)", "/${}"},
         "The replacement \"/${}\" names the group \"\", which the regular expression does not "
         "have."},
        {"", {"(a)", "/${1"}, "The replacement \"/${1\" has a \"${\" without its '}'."},
        {"",
         {"(a)", "/$"},
         "The replacement \"/$\" has a '$' without a group: write $1, ${name}, or $$ for '$'."},
        {"",
         {"(a)", "/$a"},
         "The replacement \"/$a\" has a '$' without a group: write $1, ${name}, or $$ for '$'."},
        {"", {"a", "/?x=1"}, "The replacement \"/?x=1\" has a character that no path has."},
        {"", {"a", "/ x"}, "The replacement \"/ x\" has a character that no path has."},
        {"", {"a", "/\r\nx"}, "The replacement \"/\r\nx\" has a character that no path has."},
        {"ai", {"a", "/"}, "No request has the path \"ai\": The path does not begin with '/'."},
    };
    for (const Row& row : table) {
        CAPTURE(row.setting.pattern);
        const Result<PathRewrite> result = PathRewrite::compile(row.prefix, row.setting);
        REQUIRE(!result.ok());
        CHECK(result.error().message == row.message);
    }
}
