// The request line, Host and the version: rows 19 to 28 and 43 of the fault list.
#include "cases.h"

namespace sluice::http::test {

TEST_CASE("fault 19: HTTP/1.1 without Host is refused, HTTP/1.0 is not") {
    check_refused(400, {"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX-Host: a\r\n\r\n",
                        "GET http://a/ HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n"});
    check_accepted({"GET / HTTP/1.0\r\n\r\n", "GET http://a/ HTTP/1.0\r\n\r\n"});
    CHECK(run_request("GET http://a/ HTTP/1.0\r\n\r\n").messages.at(0).host == "a");
}

TEST_CASE("fault 20: more than one Host is refused, even identical ones") {
    check_refused(400, {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: a\r\n\r\n",
                        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
                        "GET / HTTP/1.1\r\nHost: a, a\r\n\r\n"});
}

TEST_CASE("fault 21: a Host that is not host[:port] is refused") {
    check_refused(400, each(host, {"",
                                   " ",
                                   "user@a",
                                   "user:pass@a",
                                   "a/b",
                                   "/",
                                   "a?b",
                                   "a#b",
                                   "a,b",
                                   "a b",
                                   "a\tb",
                                   "a:",
                                   "a:x",
                                   "a:80x",
                                   "a:-1",
                                   "a:+80",
                                   "a: 80",
                                   "a:80 80",
                                   "a:0",
                                   "a:080",
                                   "a:65536",
                                   "a:99999",
                                   "a:123456",
                                   "a:80:80",
                                   ":80",
                                   ":",
                                   "a..b",
                                   ".a",
                                   ".",
                                   "a%41",
                                   "a\\b",
                                   "a;b",
                                   "a\"b",
                                   "a'b",
                                   "a(b)",
                                   "a=b",
                                   "\xc3\xa9",
                                   "http://a",
                                   "[::1",
                                   "::1",
                                   "[::1]x",
                                   "[::1]:",
                                   "[::1]:x",
                                   "[]",
                                   "[::g]",
                                   "[1.2.3.4]",
                                   "[::1%25eth0]",
                                   "[fe80::1%eth0]",
                                   "[::1]]",
                                   "[v1.a]",
                                   "[1:2:3:4:5:6:7:8:9]",
                                   "[::1\x01]",
                                   "a[",
                                   "[:::]"}));
    check_refused(400, {host(std::string(256, 'a')), host("[" + std::string(60, '1') + "]"),
                        "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"});
    check_accepted(
        each(host, {"a", "a:1", "a:65535", "localhost", "LocalHost:8642", "127.0.0.1:8642", "[::1]",
                    "[::1]:8642", "[2001:db8::1]:80", "[::ffff:127.0.0.1]", "my_box.local",
                    "a.example.", "xn--bcher-kva", "  a:80  "}));
    check_accepted({host(std::string(255, 'a'))});
}

TEST_CASE("fault 22: an absolute target must agree with Host, and is cut to its origin form") {
    const std::string end = "\r\n\r\n";
    check_refused(
        400,
        {"GET http://a/ HTTP/1.1\r\nHost: b" + end, "GET http://a:80/ HTTP/1.1\r\nHost: a" + end,
         "GET http://a/ HTTP/1.1\r\nHost: a:80" + end,
         "GET http://a:81/ HTTP/1.1\r\nHost: a:80" + end,
         "GET http://user@a/ HTTP/1.1\r\nHost: a" + end,
         "GET http://user@a/ HTTP/1.1\r\nHost: user@a" + end, "GET http://user@a/ HTTP/1.0" + end,
         "GET http://a%41/ HTTP/1.0" + end, "GET http:///x HTTP/1.1\r\nHost: a" + end,
         "GET http:// HTTP/1.1\r\nHost: a" + end, "GET http:/a HTTP/1.1\r\nHost: a" + end,
         "GET http:a HTTP/1.1\r\nHost: a" + end,
         "GET http://a:99999/ HTTP/1.1\r\nHost: a:99999" + end,
         "GET http://a\\@b/ HTTP/1.1\r\nHost: a" + end, "GET ftp://a/ HTTP/1.1\r\nHost: a" + end,
         "GET file:///etc/passwd HTTP/1.1\r\nHost: a" + end,
         "GET javascript://a/ HTTP/1.1\r\nHost: a" + end, "GET ://a/ HTTP/1.1\r\nHost: a" + end,
         "GET http://a/x#y HTTP/1.1\r\nHost: a" + end});
    const Outcome outcome =
        run_request("GET HTTP://A.example:80/v1/models?x=1/2 HTTP/1.1\r\nHost: a.EXAMPLE:80" + end);
    REQUIRE(outcome.messages.size() == 1);
    CHECK(outcome.messages[0].target == "/v1/models?x=1/2");
    CHECK(outcome.messages[0].host == "a.EXAMPLE:80");
    CHECK(
        run_request("GET http://[::1]:80 HTTP/1.1\r\nHost: [::1]:80" + end).messages.at(0).target ==
        "/");
    CHECK(run_request("OPTIONS http://a HTTP/1.1\r\nHost: a" + end).messages.at(0).target == "*");
}

TEST_CASE("fault 23: a target that is neither a path nor an http URL is refused") {
    check_refused(400,
                  each(line, {"GET * HTTP/1.1", "POST * HTTP/1.1", "OPTIONS ** HTTP/1.1",
                              "OPTIONS *x HTTP/1.1", "OPTIONS /* */ HTTP/1.1",
                              "GET localhost:8642 HTTP/1.1", "GET localhost HTTP/1.1",
                              "GET v1/models HTTP/1.1", "GET ?x HTTP/1.1", "GET .. HTTP/1.1",
                              "GET \\v1 HTTP/1.1", "GET %2fv1 HTTP/1.1", "GET @evil HTTP/1.1"}));
    check_accepted(each(line, {"OPTIONS * HTTP/1.1", "OPTIONS /v1 HTTP/1.1"}));
}

TEST_CASE("fault 24: CONNECT is refused in every form") {
    check_refused(
        501, each(line, {"CONNECT localhost:8642 HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1",
                         "CONNECT / HTTP/1.1", "CONNECT http://a/ HTTP/1.1"}));
    check_refused(501, {"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
                        "CONNECT a:80 HTTP/1.0\r\n\r\n"});
}

TEST_CASE("fault 25: TRACE is refused") {
    check_refused(501, each(line, {"TRACE / HTTP/1.1", "TRACE * HTTP/1.1"}));
}

TEST_CASE("a method that nobody knows is refused with 501, what is no method with 400") {
    check_refused(501, each(line, {"FOO / HTTP/1.1", "get / HTTP/1.1", "GETX / HTTP/1.1",
                                   "GE / HTTP/1.1", "Post / HTTP/1.1", "DESCRIBE / HTTP/1.1",
                                   "PLAY / HTTP/1.1", "*GET / HTTP/1.1"}));
    check_refused(501, {line(std::string(4000, 'A') + " / HTTP/1.1")});
    check_refused(400, each(line, {"G=T / HTTP/1.1", "GET() / HTTP/1.1", "GET\xc3\xa9 / HTTP/1.1",
                                   "\"GET\" / HTTP/1.1", "GET: / HTTP/1.1", "{} / HTTP/1.1",
                                   "PRI / HTTP/1.1", "\x16\x03\x01 / HTTP/1.1"}));
    check_refused(400, {raw("GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n")});
    const Outcome outcome = run_request(line("PROPFIND / HTTP/1.1"));
    REQUIRE(outcome.messages.size() == 1);
    CHECK(outcome.messages[0].method == "PROPFIND");
}

TEST_CASE("fault 26: other versions are refused, with 505 where they are well formed") {
    check_refused(505, each(line, {"GET / HTTP/0.9", "GET / HTTP/2.0", "GET / HTTP/3.0",
                                   "GET / HTTP/9.9", "GET / HTTP/0.0", "GET / HTTP/2.1"}));
    check_refused(505, {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"});
    check_refused(
        400,
        each(line, {"GET /",           "GET / HTTP/1.10", "GET / HTTP/1.01", "GET / HTTP/01.1",
                    "GET / HTTP/11",   "GET / HTTP/1.",   "GET / HTTP/.1",   "GET / HTTP/1,1",
                    "GET / HTTP/1",    "GET / HTTP/2",    "GET / HTTP/",     "GET / HTTP",
                    "GET / http/1.1",  "GET / Http/1.1",  "GET / HTTPS/1.1", "GET / HTTP/1.1x",
                    "GET / HTTP/ 1.1", "GET / HTTP /1.1", "GET / HTTP/x.1",  "GET / HTTP/1.x",
                    "GET / HTTP/-1.1", "GET / RTSP/1.0",  "GET / ICE/1.0",   "SOURCE / ICE/1.0",
                    "GET HTTP/1.1",    "HTTP/1.1 200 OK"}));
    check_refused(400, {"GET /\r\n\r\n", "GET / \r\n\r\n"});
}

TEST_CASE("C9: a minor version above 1 is served as 1.1") {
    for (const char minor : std::string("123456789")) {
        CAPTURE(minor);
        const std::string version = std::string("HTTP/1.") + minor;
        const Outcome outcome = run_request(
            "POST /a?b HTTP/1.1\r\nHost: a\r\nX: \ty\t\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            "GET /c " +
            version + "\r\nHost: a\r\n\r\n");
        CHECK_FALSE(outcome.failed);
        REQUIRE(outcome.messages.size() == 2);
        CHECK(outcome.messages[1].minor == 1);
        CHECK(outcome.messages[1].keep_alive);
        CHECK(outcome.messages[1].target == "/c");
        const Message answered =
            only(run_response(version + " 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
        CHECK(answered.minor == 1);
        CHECK(answered.body == "hi");
    }
    check_refused(400, {"GET / HTTP/1.2\r\n\r\n"});  // as HTTP/1.1 it needs a Host
}

TEST_CASE("C9: an absolute target may go on with its query") {
    const auto target = [](const std::string& text, const std::string& method = "GET") {
        const Message got = only(run_request(method + " " + text + " HTTP/1.1\r\nHost: h\r\n\r\n"));
        return got.target;
    };
    CHECK(target("http://h?x").empty());  // "/?x" stands nowhere in the text
    CHECK(target("http://h/?x") == "/?x");
    CHECK(target("http://h?x", "OPTIONS").empty());
    CHECK(target("http://h", "OPTIONS") == "*");
    const std::string text = "GET http://h?x/y?z HTTP/1.1\r\nHost: h\r\n\r\n";
    Parser parser(Parser::Side::request);
    Head head;
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    CHECK(head.host == "h");
    CHECK(head.path == "/");
    CHECK(head.query == "x/y?z");
    check_refused(400, each(line, {"GET http://?x HTTP/1.1", "GET http://a@a?x HTTP/1.1",
                                   "GET http://b?x HTTP/1.1", "GET http://a:?x HTTP/1.1",
                                   "GET http:?x HTTP/1.1"}));
}

TEST_CASE("C9: https on a port without TLS is misdirected") {
    check_refused(421, each(line, {"GET https://a/ HTTP/1.1", "GET HTTPS://a/ HTTP/1.1",
                                   "POST https://a/v1/x?y HTTP/1.1", "GET https://a HTTP/1.1",
                                   "GET https://a?x HTTP/1.1"}));
    check_refused(400, each(line, {"GET https:// HTTP/1.1", "GET httpss://a/ HTTP/1.1"}));
}

TEST_CASE("fault 27: at most two empty lines before the request line are tolerated") {
    check_accepted({"\r\n" + host("a"), "\r\n\r\n" + host("a")});
    check_refused(400, {"\r\n\r\n\r\n" + host("a"), "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
                        "\n" + host("a"), "\r\n\n" + host("a"), "\r" + host("a"),
                        "\r\r\n" + host("a"), " \r\n" + host("a"), "\r\n " + host("a")});
    Head head;
    Parser parser(Parser::Side::request);
    const std::string text = "\r\n\r\n" + host("a");
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    CHECK(head.bytes == text.size());
}

TEST_CASE("fault 28: spaces, tabs, non-ASCII and '#' do not belong in the request line") {
    check_refused(400, each(line, {"GET  / HTTP/1.1",
                                   "GET /  HTTP/1.1",
                                   "GET / HTTP/1.1 ",
                                   " GET / HTTP/1.1",
                                   "GET\t/ HTTP/1.1",
                                   "GET /\tHTTP/1.1",
                                   "GET / HTTP/1.1\t",
                                   "\tGET / HTTP/1.1",
                                   "GET / a HTTP/1.1",
                                   "GET /a b HTTP/1.1",
                                   "GET /a\tb HTTP/1.1",
                                   "GET /\xc3\xa9 HTTP/1.1",
                                   "GET /\xff HTTP/1.1",
                                   "GET /a?\xe2\x82\xac HTTP/1.1",
                                   "GET /# HTTP/1.1",
                                   "GET /a#b HTTP/1.1",
                                   "GET /a?b#c HTTP/1.1",
                                   "GET /\x7f HTTP/1.1",
                                   "GET / HTTP/1.1 HTTP/1.1",
                                   "GET\v/ HTTP/1.1",
                                   "GET /\fHTTP/1.1",
                                   "GET",
                                   " ",
                                   "  ",
                                   "GET ",
                                   "GET  HTTP/1.1"}));
    const Outcome outcome = run_request(line("GET /a%20b?q=%23&j={\"a\":[1]}|x HTTP/1.1"));
    REQUIRE(outcome.messages.size() == 1);
    CHECK(outcome.messages[0].target == "/a%20b?q=%23&j={\"a\":[1]}|x");
}

TEST_CASE("the target is split into path and query at the first '?'") {
    Head head;
    Parser parser(Parser::Side::request);
    const std::string text = line("GET /v1/models?a=b?c HTTP/1.1");
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    CHECK(head.method == Method::get);
    CHECK(head.path == "/v1/models");
    CHECK(head.query == "a=b?c");
    const std::string plain = line("DELETE /v1 HTTP/1.1");
    REQUIRE(parser.parse_head(plain, head) == Progress::complete);
    CHECK(head.method == Method::del);
    CHECK(head.path == "/v1");
    CHECK(head.query.data() == nullptr);
}

TEST_CASE("fault 43: a request line over 8 KiB is 414, and 8000 octets are accepted") {
    const auto with_length = [](std::size_t bytes) {
        const std::size_t around = std::string_view("GET / HTTP/1.1").size();
        return line("GET /" + std::string(bytes - around, 'a') + " HTTP/1.1");
    };
    check_accepted({with_length(8000), with_length(limits::request_line_bytes_max)});
    check_refused(414, {
                           with_length(limits::request_line_bytes_max + 1), with_length(20000),
                           with_length(100000),
                           std::string(limits::request_line_bytes_max + 2, 'A'),  // no end at all
                       });
}

TEST_CASE("fault 43: a head over 32 KiB is 431, whatever makes it long") {
    const auto with_length = [](std::size_t bytes) {
        std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        text.insert(text.size() - 4, bytes - text.size(), 'x');
        return text;
    };
    check_accepted({with_length(limits::head_bytes_max)});
    check_refused(431,
                  {with_length(limits::head_bytes_max + 1), with_length(limits::head_bytes_max + 2),
                   with_length(200000),
                   "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(limits::head_bytes_max, 'x'),
                   "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(limits::head_bytes_max, 'x')});
}

TEST_CASE("fault 43: more than 100 fields are 431") {
    const auto with_fields = [](std::size_t count) {
        std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (std::size_t i = 1; i < count; ++i)
            text += "X" + std::to_string(i) + ": y\r\n";
        return text + "\r\n";
    };
    check_accepted({with_fields(limits::header_fields_max)});
    check_refused(431, {with_fields(limits::header_fields_max + 1), with_fields(1000)});
}

}  // namespace sluice::http::test
