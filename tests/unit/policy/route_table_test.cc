#include "sluice/policy/route_table.h"

#include "allocations.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::policy;

namespace {

RouteTable compiled(const std::vector<RouteSetting>& settings) {
    Result<RouteTable> table = RouteTable::compile(settings);
    if (!table.ok()) FAIL(table.error().message);
    return std::move(table).value();
}

// What became of a request: the number of its route, "404", or "405 " and the methods.
std::string found(const RouteTable& table, std::string_view path, std::string_view method = "GET",
                  std::span<const http::Field> headers = {}) {
    const auto finding = table.find({.method = method, .path = path, .headers = headers});
    if (finding.route != nullptr) return std::to_string(finding.route->number);
    return finding.allow.empty() ? "404" : "405 " + finding.allow;
}

struct Row {
    std::string_view path;
    std::string_view method;
    std::string_view expected;
};

}  // namespace

TEST_CASE("routes: the longest path of whole segments decides, whatever the order") {
    const RouteTable table = compiled({{.path = "/a"},
                                       {.path = "/a/b/c"},
                                       {.path = "/a/b"},
                                       {.path = "/dir/"},
                                       {.path = "/%c3%a9"}});
    for (const Row& row :
         {Row{"/a", "", "0"}, Row{"/a/", "", "0"}, Row{"/a/bb", "", "0"}, Row{"/a/b", "", "2"},
          Row{"/a/b/", "", "2"}, Row{"/a/b/cc", "", "2"}, Row{"/a/b/c", "", "1"},
          Row{"/a/b/c/d", "", "1"}, Row{"/dir/", "", "3"}, Row{"/dir/x", "", "3"},
          Row{"/dir", "", "404"}, Row{"/", "", "404"}, Row{"/ab", "", "404"}, Row{"/A", "", "404"},
          Row{"/b/a", "", "404"}, Row{"/%C3%A9/x", "", "4"}}) {
        CAPTURE(row.path);
        CHECK(found(table, row.path) == row.expected);
    }
    CHECK(found(compiled({{.path = "/"}}), "/anything") == "0");
    CHECK(compiled({}).empty());
    CHECK(found({}, "/") == "404");
}

TEST_CASE("routes: a method that does not fit is told with those that do, of that path only") {
    const RouteTable table = compiled({{.path = "/"},
                                       {.path = "/m", .methods = {"GET", "PUT"}},
                                       {.path = "/m", .methods = {"POST", "GET"}},
                                       {.path = "/n", .methods = {"HEAD"}},
                                       {.path = "/o", .methods = {"POST"}},
                                       {.path = "/o"}});
    for (const Row& row :
         {Row{"/m", "GET", "1"}, Row{"/m/x", "HEAD", "1"}, Row{"/m", "PUT", "1"},
          Row{"/m", "POST", "2"}, Row{"/m", "DELETE", "405 GET, HEAD, PUT, POST"},
          Row{"/m", "get", "405 GET, HEAD, PUT, POST"}, Row{"/n", "GET", "405 HEAD"},
          Row{"/n", "HEAD", "3"}, Row{"/o", "POST", "4"}, Row{"/o", "GET", "5"},
          Row{"/p", "DELETE", "0"}}) {
        CAPTURE(row.path);
        CAPTURE(row.method);
        CHECK(found(table, row.path, row.method) == row.expected);
    }
}

TEST_CASE("routes: headers that do not fit leave a request to the next route") {
    const RouteTable table =
        compiled({{.path = "/a", .headers = {{"x-v", "2*"}, {"x-w", "*"}}},
                  {.path = "/a", .methods = {"GET"}, .headers = {{"x-v", "*"}}},
                  {.path = "/", .headers = {{"x-z", "1"}}}});
    using Fields = std::vector<http::Field>;
    struct Case {
        Fields headers;
        std::string_view method;
        std::string_view expected;
    };
    for (const Case& row :
         {Case{{{"X-V", "2.0"}, {"x-w", ""}}, "POST", "0"}, Case{{{"x-v", "2.0"}}, "GET", "1"},
          Case{{{"x-v", "1"}, {"x-w", "1"}}, "GET", "1"},
          Case{{{"x-v", "1"}, {"x-w", "1"}}, "POST", "405 GET, HEAD"},
          Case{{{"x-w", "1"}}, "GET", "404"}, Case{{{"x-w", "1"}, {"x-z", "1"}}, "GET", "2"},
          // Of two fields of a name the first counts.
          Case{{{"x-z", "2"}, {"x-z", "1"}}, "GET", "404"}}) {
        CAPTURE(row.headers.size());
        CAPTURE(row.expected);
        CHECK(found(table, "/a/x", row.method, row.headers) == row.expected);
    }
}

TEST_CASE("routes: what is cut off is the path of the route, only where it says so") {
    const RouteTable table = compiled(
        {{.path = "/keep", .rewrite = RewriteSetting{"keep", "kept"}},
         {.path = "/cut", .strip_prefix = true, .rewrite = RewriteSetting{"^/(.)", "/$1$1"}}});
    std::array<char, 100> room;
    const auto target = [&](std::string_view path) {
        const auto finding = table.find({.method = "GET", .path = path, .headers = {}});
        REQUIRE(finding.route != nullptr);
        return std::string(finding.route->rewrite.apply(path, "q", room).value());
    };
    CHECK(target("/keep/keep") == "/kept/keep?q");
    CHECK(target("/cut/cut") == "/ccut?q");
    CHECK(target("/cut") == "/?q");
}

TEST_CASE("routes: what cannot be compiled is told with the path of its route") {
    const auto problem = [](RouteSetting setting) {
        const auto table = RouteTable::compile({{.path = "/good"}, std::move(setting)});
        REQUIRE_FALSE(table.ok());
        return table.error().message;
    };
    for (const RouteSetting& bad :
         {RouteSetting{.path = "/a/../b"}, RouteSetting{.path = "/%2e"}, RouteSetting{.path = "a"},
          RouteSetting{.path = "/a", .headers = {{"x", ""}}},
          RouteSetting{.path = "/a", .headers = {{"x", std::string(2000, 'x')}}},
          RouteSetting{.path = "/a", .rewrite = RewriteSetting{"(", ""}},
          RouteSetting{.path = "/a", .rewrite = RewriteSetting{"x", "$1"}}}) {
        CAPTURE(bad.path);
        CHECK(problem(bad).starts_with("Route " + bad.path + ": "));
    }
}

TEST_CASE("routes: finding allocates nothing") {
    const RouteTable table =
        compiled({{.path = "/a", .methods = {"POST"}}, {.path = "/b", .headers = {{"x", "*1"}}}});
    const std::array<http::Field, 1> headers{{{"X", "31"}}};
    const std::size_t before = test::allocations().count;
    const bool both = table.find({"POST", "/a/x", headers}).route != nullptr &&
                      table.find({"GET", "/b", headers}).route != nullptr &&
                      table.find({"GET", "/c", headers}).route == nullptr;
    CHECK(test::allocations().count == before);
    CHECK(both);
}
