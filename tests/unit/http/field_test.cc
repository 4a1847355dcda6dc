// Field lines: rows 12 to 18, 36, 37, 39 to 41 of the fault list.
#include "cases.h"
#include "sluice/http/value.h"

namespace sluice::http::test {

TEST_CASE("fault 12: white space before the colon is refused") {
    check_refused(400,
                  {post("X-A : b\r\n"), post("X-A\t: b\r\n"), post("X-A  : b\r\n"),
                   post("Content-Length : 5\r\n", "hello"), "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
                   "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"});
}

TEST_CASE("fault 13: a folded field line is refused") {
    check_refused(400, each(post_fields, {"X-A: b\r\n c\r\n", "X-A: b\r\n\tc\r\n", "X-A:\r\n b\r\n",
                                          "X-A: b\r\n \r\n", "X-A: b\r\n \r\n c\r\n",
                                          "X-A: b\r\n \tc: d\r\n", " X-A: b\r\n"}));
    check_refused(
        400, {"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n",
              "GET / HTTP/1.1\r\nHost: a\r\n \r\n"});
}

TEST_CASE("fault 14: white space before the first field is refused") {
    check_refused(
        400, {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n",
              "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\t\r\nHost: a\r\n\r\n",
              "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"});
}

TEST_CASE("fault 15: a bare LF is not the end of a line") {
    check_refused(400,
                  {"GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n",
                   "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
                   "GET / HTTP/1.1\r\nHost: a\r\n\n", "GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n\r\n",
                   "GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\n\r\n",
                   "GET / HTTP/1.1\r\n\nHost: a\r\n\r\n", "GET /\n\n"});
    check_refused(
        400,
        {chunked("5\nhello\r\n0\r\n\r\n"), chunked("5\r\nhello\n0\r\n\r\n"),
         chunked("5\r\nhello\r\n0\n\r\n"), chunked("5\r\nhello\r\n0\r\n\n"),
         chunked("5\r\nhello\r\n0\r\nX: y\n\r\n"), chunked("5\r\nhello\r\n0\r\nX: y\r\n\n"),
         chunked("5;a\nhello\r\n0\r\n\r\n"), chunked("5;a=b\nhello\r\n0\r\n\r\n")},
        1);
}

TEST_CASE("fault 16: a bare CR is refused everywhere in the head") {
    check_refused(
        400,
        {"GET / HTTP/1.1\rHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\rZ: y\r\n\r\n", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
         "GET\r / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nX\r: y\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nX:\ry\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nX: y\r \r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\n\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"});
}

TEST_CASE("fault 17: NUL and control bytes are refused in name, value and target") {
    for (int byte = 0; byte < 0x20; ++byte) {
        const std::string c(1, static_cast<char>(byte));
        check_refused(400, {"GET /a" + c + "b HTTP/1.1\r\nHost: a\r\n\r\n",
                            "GET / HTTP/1.1\r\nHost: a\r\nX" + c + "Y: z\r\n\r\n"});
        if (c == "\t") continue;  // within a value it is white space
        check_refused(400, {"GET / HTTP/1.1\r\nHost: a\r\nX: y" + c + "z\r\n\r\n",
                            "GET / HTTP/1.1\r\nHost: a\r\nX: " + c + "z\r\n\r\n"});
    }
    check_refused(
        400, {"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", post("X\x7f: y\r\n"), post("X: a\x7f\r\n")});
    check_accepted(each(post_fields, {"X: a\tb\r\n", "X: caf\xc3\xa9 \xff\r\n"}));
}

TEST_CASE("fault 18: a field line needs a colon and a token for its name") {
    check_refused(
        400, each(post_fields, {"X-A\r\n",      "X-A b\r\n",        ": b\r\n",     " : b\r\n",
                                "=\r\n",        "X\xc3\xa9: b\r\n", "\xff: b\r\n", "X A: b\r\n",
                                "X(A): b\r\n",  "X/A: b\r\n",       "X[0]: b\r\n", "X@A: b\r\n",
                                "\"X\": b\r\n", "X,Y: b\r\n",       "X;Y: b\r\n",  "X=Y: b\r\n",
                                "{X}: b\r\n",   "X\\: b\r\n",       "X?: b\r\n",   "<X>: b\r\n"}));
    check_accepted(each(post_fields, {"!#$%&'*+.^`|~09azAZ: b\r\n", "X:\r\n", "X:b:c\r\n"}));
}

TEST_CASE("field values come without the white space around them, empty ones included") {
    Head head;
    Parser parser(Parser::Side::request);
    const std::string text = post("A:b\r\nC: \t d e\t \r\nEmpty:\r\nBlank: \t \r\nF: g\r\n");
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    CHECK(head.count == 6);
    CHECK(head.find("a") == "b");
    CHECK(head.find("c") == "d e");
    CHECK(head.find("empty").data() != nullptr);
    CHECK(head.find("empty").empty());
    CHECK(head.find("BLANK").empty());
    CHECK(head.find("f") == "g");
    CHECK(head.find("g").data() == nullptr);
    CHECK(head.occurrences("F") == 1);
    CHECK(head.occurrences("nothing") == 0);
    for (const Field& field : head.fields()) {
        CHECK(field.name.data() > text.data());
        CHECK(field.value.data() + field.value.size() < text.data() + text.size());
    }
}

TEST_CASE("a list, its elements and their parameters have white space around them") {
    std::string_view list = " a ;x=1,\tb,, c\t";
    std::string_view element;
    std::string found;
    while (next_element(list, element))
        found.append(without_parameters(element)).append("|");
    CHECK(found == "a|b||c|");
    CHECK(trim(" \t ").empty());
    CHECK(without_parameters("text/plain\t; charset=utf-8") == "text/plain");
    CHECK(without_parameters("").empty());
    list = {};
    CHECK_FALSE(next_element(list, element));
}

TEST_CASE("names compare without case, and no other two bytes are alike") {
    for (int a = 0; a < 256; ++a) {
        for (int b = 0; b < 256; ++b) {
            const char x = static_cast<char>(a);
            const char y = static_cast<char>(b);
            const bool letters = (a | 32) >= 'a' && (a | 32) <= 'z' && (b | 32) >= 'a';
            const bool alike = a == b || (letters && (a ^ b) == 32);
            CHECK(same_name({&x, 1}, {&y, 1}) == alike);
        }
    }
    CHECK(same_name("", ""));
    CHECK_FALSE(same_name("a", "ab"));
}

TEST_CASE("fault 36: `Connection: close` is seen; what follows is not this request's") {
    const auto kept = [](const std::string& begin) {
        return run_request(begin + "\r\n").messages.at(0).keep_alive;
    };
    CHECK(kept("GET / HTTP/1.1\r\nHost: a\r\n"));
    CHECK(kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-close, y\r\n"));
    CHECK(kept("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n"));
    CHECK_FALSE(kept("GET / HTTP/1.0\r\n"));
    CHECK_FALSE(kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"));
    CHECK_FALSE(kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive , CLOSE\r\n"));
    CHECK_FALSE(kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: Close\r\n"));
    CHECK_FALSE(kept("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n"));

    Parser parser(Parser::Side::request);
    Head head;
    const std::string text = post("Connection: close\r\nContent-Length: 2\r\n", "hiGET / HTTP/1.1");
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 0;
    CHECK(parser.parse_body(std::string_view(text).substr(head.bytes), pieces, consumed) ==
          Progress::complete);
    CHECK(consumed == 2);
}

TEST_CASE("fault 37: an upgrade is no reason to read the body differently") {
    for (const std::string upgrade : {"h2c", "websocket", "unknown/1", "TLS/1.0"}) {
        CAPTURE(upgrade);
        const std::string fields = "Connection: Upgrade\r\nUpgrade: " + upgrade + "\r\n";
        const Outcome outcome =
            run_request("GET /a HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" +
                        post(fields + "Content-Length: 5\r\n", "hello") +
                        post(fields + "Transfer-Encoding: chunked\r\n", "5\r\nworld\r\n0\r\n\r\n") +
                        "GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK_FALSE(outcome.failed);
        REQUIRE(outcome.messages.size() == 4);
        CHECK(outcome.messages[1].body == "hello");
        CHECK(outcome.messages[2].body == "world");
        CHECK(outcome.messages[3].target == "/last");
    }
}

TEST_CASE("fault 39: the options of all Connection fields are known") {
    Parser parser(Parser::Side::request);
    Head head;
    const std::string text =
        post("Connection: content-length, Authorization\r\nConnection: , x-a ,\r\nX-A: b\r\n");
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    CHECK(head.connection_lists("Content-Length"));
    CHECK(head.connection_lists("authorization"));
    CHECK(head.connection_lists("X-a"));
    CHECK_FALSE(head.connection_lists("x"));
    CHECK_FALSE(head.connection_lists("host"));
}

TEST_CASE("fault 40: only 100-continue is expected, and only in HTTP/1.1") {
    CHECK(run_request(post("Expect: 100-continue\r\n")).messages.at(0).expect_continue);
    CHECK(run_request(post("expect: 100-Continue\r\n")).messages.at(0).expect_continue);
    CHECK_FALSE(run_request(post("")).messages.at(0).expect_continue);
    const std::string old = "POST / HTTP/1.0\r\nExpect: ";
    CHECK_FALSE(run_request(old + "100-continue\r\n\r\n").messages.at(0).expect_continue);
    CHECK_FALSE(run_request(old + "something\r\n\r\n").messages.at(0).expect_continue);
    check_refused(
        417, each(post_fields, {"Expect: 200-ok\r\n", "Expect:\r\n", "Expect: 100-continue, x\r\n",
                                "Expect: 100\r\n", "Expect: 100-continue\r\nExpect: x\r\n"}));
}

TEST_CASE("C9: what a request is judged by is there once") {
    for (const std::string name : {"Content-Type", "Origin", "Sec-Fetch-Site"}) {
        CAPTURE(name);
        check_refused(400, {post(name + ": a\r\n" + name + ": b\r\n"),
                            post(name + ": a\r\nX: y\r\n" + name + ": a\r\n"),
                            post(name + ": a\r\n" + name + ":\r\n")});
        check_accepted({post(name + ": a\r\nX: a\r\nX: a\r\nAccept: a\r\nAccept: b\r\n")});
    }
    // An answer is the backend's own.
    CHECK_FALSE(
        run_response("HTTP/1.1 204 No\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n").failed);
}

TEST_CASE("C9: what a browser says of the page that asks is known by its family") {
    for (const std::string name : {"sec-fetch-mode", "Sec-Fetch-Dest", "SEC-FETCH-USER",
                                   "sec-fetch-storage-access", "sec-fetch-x"}) {
        CAPTURE(name);
        CHECK(field_id(name) == FieldId::sec_fetch);
    }
    CHECK(field_id("Sec-Fetch-Site") == FieldId::sec_fetch_site);
    CHECK(field_id("Referer") == FieldId::referer);
    for (const std::string name :
         {"sec-fetch", "sec-fetch-", "sec-fetcher", "sec-gpc", "sec-fetchy-x"})
        CHECK(field_id(name) == FieldId::other);
}

TEST_CASE("fault 41: underscore twins of known fields are refused") {
    check_refused(
        400,
        {post("Content_Length: 5\r\n"), post("content_length: 5\r\nContent-Length: 0\r\n"),
         post("Transfer_Encoding: chunked\r\n"), post("X_Api_Key: a\r\n"), post("X-Api_Key: a\r\n"),
         post("x_api-key: a\r\n"), post("Content_Type: a\r\n"), post("X_Forwarded_For: a\r\n"),
         post("X-Forwarded_Host: a\r\n"), post("X_Real_IP: a\r\n"), post("X_Request_Id: a\r\n"),
         post("Proxy_Authorization: a\r\n"), post("Proxy_Connection: a\r\n"),
         post("Api_Key: a\r\n"), post("Sec_Fetch_Site: a\r\n"), post("Keep_Alive: a\r\n"),
         post("X_Sluice_Backend: a\r\n"), post("X_Consumer_Name: a\r\n"),
         post("X_Conversation_Id: a\r\n"), post("X_HTTP_Method_Override: a\r\n"),
         // Twins of each other.
         post("X_Mine: a\r\nX-Mine: b\r\n"), post("X-Mine-A: a\r\nx_mine-a: b\r\n"),
         post("X-Mine_A: a\r\nX_Mine-A: b\r\n")});
    check_accepted(each(post_fields, {"X_Mine: a\r\n", "my_field: a\r\nother_field: b\r\n",
                                      "_: a\r\n", "X_Mine: a\r\nx_mine: b\r\n"}));
}

}  // namespace sluice::http::test
