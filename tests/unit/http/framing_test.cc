// How the end of a request's body is found: rows 1 to 11, 33 and 38 of the fault list.
#include "cases.h"

namespace sluice::http::test {

TEST_CASE("fault 1: Content-Length together with Transfer-Encoding is refused") {
    check_refused(400, {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
                        post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                        post("content-length: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n", "0\r\n\r\n"),
                        post("Content-Length: 5\r\nX-A: b\r\nTransfer-Encoding: gzip, chunked\r\n"),
                        post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello"),
                        post("Transfer-Encoding: \r\nContent-Length: 5\r\n", "hello")});
}

TEST_CASE("fault 2: a request smuggled in a body with two framings never comes out") {
    const std::string smuggled = "GET /admin HTTP/1.1\r\nHost: localhost:8642\r\n\r\n";
    check_refused(
        400, {post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX" + smuggled),
              post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                   "2d\r\n" + smuggled + "\r\n0\r\n\r\n"),
              post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\nContent-Length: 4\r\n",
                   "2d\r\n" + smuggled + "\r\n0\r\n\r\n"),
              post("Content-Length: 4\r\nContent-Length: 50\r\n", "abcd" + smuggled)});
}

TEST_CASE("fault 3: two differing Content-Length fields are refused") {
    check_refused(400, {post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
                        post("Content-Length: 0\r\nContent-Length: 5\r\n", "hello"),
                        post("Content-Length: 5\r\nX: y\r\ncontent-length: 0\r\n", "hello"),
                        post("Content-Length: 5, 6\r\n", "hello!")});
}

TEST_CASE("fault 4: the same Content-Length twice is refused, too") {
    check_refused(
        400, {post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
              post("Content-Length: 5, 5\r\n", "hello"), post("Content-Length: 5,5\r\n", "hello"),
              post("Content-Length: 5,\r\n", "hello"), post("Content-Length: ,5\r\n", "hello")});
}

TEST_CASE("fault 5: a Content-Length that is not a plain number is refused") {
    check_refused(400, {post("Content-Length: +5\r\n", "hello"),
                        post("Content-Length: -1\r\n", "hello"),
                        post("Content-Length: -0\r\n"),
                        post("Content-Length: 0x5\r\n", "hello"),
                        post("Content-Length: 5 5\r\n", "hello"),
                        post("Content-Length: 1_0\r\n", "hellohello"),
                        post("Content-Length: 5.0\r\n", "hello"),
                        post("Content-Length: 5;\r\n", "hello"),
                        post("Content-Length: \"5\"\r\n", "hello"),
                        post("Content-Length: 5e0\r\n", "hello"),
                        post("Content-Length: five\r\n", "hello"),
                        post("Content-Length: 5\tx\r\n", "hello"),
                        post("Content-Length:\r\n"),
                        post("Content-Length:   \r\n"),
                        post("Content-Length: 18446744073709551616\r\n", "hello"),
                        post("Content-Length: 18446744073709551621\r\n", "hello"),
                        post("Content-Length: 99999999999999999999\r\n", "hello"),
                        post("Content-Length: 18446744073709551615\r\n", "hello"),
                        post("Content-Length: 9223372036854775808\r\n", "hello"),
                        post("Content-Length: 99999999999999999999999999999999999999\r\n", "hello"),
                        post("Content-Length: \xef\xbc\x95\r\n", "hello"),
                        post(raw("Content-Length: 5\0\r\n"), "hello"),
                        post("Content-Length: 5\v\r\n", "hello")});
    check_accepted({post("Content-Length: 5\r\n", "hello"), post("Content-Length:5\r\n", "hello"),
                    post("Content-Length: \t 5 \r\n", "hello"), post("Content-Length: 0\r\n")});
}

TEST_CASE("C9: a tab behind a length or a coding is white space, one inside of it is not") {
    const std::string chunks = "5\r\nhello\r\n0\r\n\r\n";
    for (const std::string space : {"\t", "\t\t", " \t", "\t ", " \t \t "}) {
        CAPTURE(space);
        for (const std::string& text :
             {post("Content-Length: 5" + space + "\r\n", "hello"),
              post("Content-Length:" + space + "5" + space + "\r\nX-A: b\tc\r\n", "hello"),
              post("Transfer-Encoding: chunked" + space + "\r\n", chunks),
              post("Transfer-Encoding:" + space + "chunked" + space + "\r\nX-A: b\tc\r\n",
                   chunks)}) {
            const Outcome outcome = run_request(text);
            REQUIRE(outcome.messages.size() == 1);
            CHECK_FALSE(outcome.failed);
            CHECK(outcome.messages[0].body == "hello");
            // What is no framing stays as it is.
            for (const auto& [name, value] : outcome.messages[0].fields)
                CHECK(value == (name == "X-A" ? "b\tc" : value.substr(0, value.find('\t'))));
        }
    }
    check_refused(400, {post("Content-Length: 5\t5\r\n", "hello"), post("Content-Length: \t\r\n"),
                        post("Content-Length\t: 5\r\n", "hello"),
                        post("Transfer-Encoding: chun\tked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked\tx\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: x\tchunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked\t, chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked\r\n\t\r\n", "0\r\n\r\n"),
                        post("\tContent-Length: 5\r\n", "hello"),
                        post("Content-Length: 5\t\r\nContent-Length: 5\r\n", "hello"),
                        post("Content-Length: 5\t\r\nTransfer-Encoding: chunked\t\r\n", chunks)});
    // A chunk's size has none behind it (section 7.1.1 of RFC 9112).
    check_refused(400, {chunked("5\t\r\nhello\r\n0\r\n\r\n")}, 1);
    const Outcome answered = run_response("HTTP/1.1 200 OK\r\nContent-Length: 5\t\r\n\r\nhello");
    REQUIRE(answered.messages.size() == 1);
    CHECK(answered.messages[0].body == "hello");
}

TEST_CASE("fault 5: the longest length is not yet the body") {
    const Outcome outcome = run_request(post("Content-Length: 9223372036854775807\r\n", "hello"));
    CHECK(outcome.failed);  // the connection ends within the body
    REQUIRE(outcome.messages.size() == 1);
    CHECK(outcome.messages[0].body == "hello");
    CHECK_FALSE(outcome.messages[0].whole);
}

TEST_CASE("fault 6: a Content-Length with leading zeros is refused") {
    check_refused(400, {post("Content-Length: 05\r\n", "hello"), post("Content-Length: 00\r\n"),
                        post("Content-Length: 010\r\n", "hellohello"),
                        post("Content-Length: 0000000000000000005\r\n", "hello"),
                        post("Content-Length: 00000000000000000000000000005\r\n", "hello")});
}

TEST_CASE("fault 7: a Transfer-Encoding whose last coding is not chunked is refused with 400") {
    check_refused(400, {post("Transfer-Encoding: gzip\r\n", "hello"),
                        post("Transfer-Encoding: identity\r\n", "hello"),
                        post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunk\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: cow\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked-\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: foo, bar\r\n", "0\r\n\r\n")});
}

TEST_CASE("fault 8: an unknown coding before chunked is refused with 501") {
    check_refused(501, {post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: gzip,chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: deflate, br , CHUNKED\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: x-unknown, chunked\r\n", "0\r\n\r\n")});
}

TEST_CASE("fault 9: chunked twice, or Transfer-Encoding twice, is refused") {
    check_refused(
        400,
        {post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
         post("Transfer-Encoding: chunked,chunked\r\n", "0\r\n\r\n"),
         post("Transfer-Encoding: chunked, gzip, chunked\r\n", "0\r\n\r\n"),
         post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
         post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
         post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
         post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
         post("Transfer-Encoding: chunked\r\nX: y\r\ntransfer-encoding: cow\r\n", "0\r\n\r\n")});
}

TEST_CASE("fault 10: a disguised Transfer-Encoding is refused") {
    check_refused(400, {post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked\v\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: \fchunked\r\n", "0\r\n\r\n"),
                        post(raw("Transfer-Encoding: chunked\0\r\n"), "0\r\n\r\n"),
                        post(raw("Transfer-Encoding: \0chunked\r\n"), "0\r\n\r\n"),
                        post("Transfer-Encoding: \x7f"
                             "chunked\r\n",
                             "0\r\n\r\n"),
                        post("Transfer-Encoding: \xa0"
                             "chunked\r\n",
                             "0\r\n\r\n"),
                        post("Transfer-Encoding: chun\tked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chun ked\r\n", "0\r\n\r\n"),
                        // llhttp does not take this one for chunked, and without our second look
                        // at its flags the body would be the next request.
                        post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: 'chunked'\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: , chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: gzip,, chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: ,\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked ;a=b\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: gzip;q=1, chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked\r\n ,gzip\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding:\r\n\tchunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding:\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: \r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
                        post(" Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                        post("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                        post("X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                        post("Transfer_Encoding: chunked\r\n", "0\r\n\r\n"),
                        post("Transfer-Encoding: chunked\n", "0\r\n\r\n"),
                        post("\"Transfer-Encoding\": chunked\r\n", "0\r\n\r\n")});
    // White space around a value is no disguise: RFC 9112 section 5.1 takes it off.
    check_accepted({post("Transfer-Encoding:\tchunked  \r\n", "0\r\n\r\n"),
                    post("Transfer-Encoding:chunked\r\n", "0\r\n\r\n"),
                    post("transfer-encoding: Chunked\r\n", "0\r\n\r\n")});
}

TEST_CASE("fault 11: Transfer-Encoding in HTTP/1.0 is refused") {
    const std::string begin = "POST / HTTP/1.0\r\nHost: a\r\n";
    check_refused(
        400, {begin + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
              begin + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
              begin + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"});
}

TEST_CASE("fault 33: the body of any method is framed and consumed, never the next request") {
    for (const std::string method : {"GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH"}) {
        CAPTURE(method);
        const std::string next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        const std::string smuggled = "GET /smuggled HTTP/1.1\r\nX: ";
        const std::string begin = method + " / HTTP/1.1\r\nHost: a\r\n";
        const Outcome outcome = run_request(
            begin + "Content-Length: " + std::to_string(smuggled.size()) + "\r\n\r\n" + smuggled +
            begin + "Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n" + next);
        CHECK_FALSE(outcome.failed);
        REQUIRE(outcome.messages.size() == 3);
        CHECK(outcome.messages[0].body == smuggled);
        CHECK(outcome.messages[1].body == "GET /");
        CHECK(outcome.messages[2].target == "/next");
        CHECK(outcome.messages[2].body.empty());
    }
}

TEST_CASE("fault 38: a request's body never ends with the connection") {
    for (const std::string fields : {"", "Connection: keep-alive\r\n", "Connection: close\r\n"}) {
        CAPTURE(fields);
        const Outcome outcome =
            run_request("POST / HTTP/1.0\r\n" + fields + "\r\nGET /b HTTP/1.0\r\n\r\n");
        CHECK_FALSE(outcome.failed);
        REQUIRE(outcome.messages.size() == 2);
        CHECK(outcome.messages[0].framing == Framing::none);
        CHECK(outcome.messages[0].body.empty());
        CHECK(outcome.messages[0].keep_alive == (fields == "Connection: keep-alive\r\n"));
        CHECK(outcome.messages[1].target == "/b");
    }
}

}  // namespace sluice::http::test
