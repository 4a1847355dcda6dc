// Answers of backends: rows 68 to 80 of the fault list, as far as a parser decides them.
#include "cases.h"

namespace sluice::http::test {

namespace {

std::string answer(std::string_view field_lines, std::string_view body = "",
                   std::string_view status_line = "HTTP/1.1 200 OK") {
    std::string text(status_line);
    text += "\r\n";
    text += field_lines;
    text += "\r\n";
    text += body;
    return text;
}

// Every answer is the backend's fault, told as 502, and nothing of it comes out.
void check_bad_gateway(const std::vector<std::string>& texts, std::size_t before = 0) {
    for (const std::string& text : texts) {
        CAPTURE(printable(text));
        const Outcome outcome = run_response(text);
        CHECK(outcome.failed);
        CHECK(outcome.status == 502);
        CHECK(outcome.source == Source::backend);
        CHECK(outcome.messages.size() == before);
    }
}

}  // namespace

TEST_CASE("an answer of each framing") {
    const Message length = only(run_response(answer("Content-Length: 5\r\n", "hello")));
    CHECK(length.framing == Framing::length);
    CHECK(length.body == "hello");
    CHECK(length.status == 200);
    CHECK(length.reason == "OK");
    CHECK(length.keep_alive);
    const Message chunks =
        only(run_response(answer("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")));
    CHECK(chunks.framing == Framing::chunked);
    CHECK(chunks.body == "hello");
    CHECK(chunks.whole);
    const Message empty = only(run_response(answer("Content-Length: 0\r\n")));
    CHECK(empty.whole);
}

TEST_CASE("status lines") {
    CHECK(only(run_response(answer("", "", "HTTP/1.1 200"))).reason.empty());
    CHECK(only(run_response(answer("", "", "HTTP/1.1 200 "))).reason.empty());
    CHECK(only(run_response(answer("", "", "HTTP/1.1 404 Not  Found \xff"))).reason ==
          "Not  Found \xff");
    CHECK(only(run_response(answer("", "", "HTTP/1.0 599 x"))).minor == 0);
    std::vector<std::string> bad;
    for (const std::string line : {"HTTP/1.1 099 x",
                                   "HTTP/1.1 600 x",
                                   "HTTP/1.1 999 x",
                                   "HTTP/1.1 20 x",
                                   "HTTP/1.1 2000 x",
                                   "HTTP/1.1  200 OK",
                                   "HTTP/1.1\t200 OK",
                                   "HTTP/1.1 200\tOK",
                                   "HTTP/1.1 2x0 OK",
                                   "HTTP/1.1 +20 OK",
                                   "HTTP/1.1 -20 OK",
                                   "HTTP/1.1 OK",
                                   "HTTP/1.1",
                                   "HTTP/1.1 ",
                                   "HTTP/2.0 200 OK",
                                   "HTTP/0.9 200 OK",
                                   "HTTP/2 200",
                                   "http/1.1 200 OK",
                                   "ICY 200 OK",
                                   "RTSP/1.0 200 OK",
                                   "HTTP/1.1 200 O\x01K",
                                   "HTTP/1.1 200 O\x7fK",
                                   "HTTP/1.1 200 O\rK",
                                   " HTTP/1.1 200 OK",
                                   "<html>",
                                   "GET / HTTP/1.1",
                                   "200 OK",
                                   "HTTP/11 200 OK",
                                   "HTTP/1.10 200 OK",
                                   "\xff"}) {
        bad.push_back(answer("", "", line));
    }
    bad.push_back("HTTP/1.1 200 OK\n\r\n");
    bad.push_back("\r\nHTTP/1.1 200 OK\r\n\r\n");
    bad.push_back(raw("HTTP/1.1 200 O\0K\r\n\r\n"));
    check_bad_gateway(bad);
}

TEST_CASE("fault 68: a connection that ends within the answer's head") {
    const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for (std::size_t length = 1; length < text.size(); ++length) {
        check_bad_gateway({text.substr(0, length)});
    }
}

TEST_CASE("fault 69, 71: a connection that ends within the body is no complete answer") {
    const std::vector<std::pair<std::string, std::string>> answers = {
        {"Content-Length: 5\r\n", "hello"},
        {"Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"},
    };
    for (const auto& [fields, body] : answers) {
        for (std::size_t length = 0; length < body.size(); ++length) {
            const Outcome outcome = run_response(answer(fields, body.substr(0, length)));
            CHECK(outcome.failed);
            CHECK(outcome.status == 502);
            CHECK(outcome.source == Source::backend);
            REQUIRE(outcome.messages.size() == 1);
            CHECK_FALSE(outcome.messages[0].whole);
        }
    }
}

TEST_CASE("fault 72: bytes behind the body are left to the caller") {
    Parser parser(Parser::Side::response);
    Head head;
    const std::string text = answer("Content-Length: 5\r\n", "helloHTTP/1.1 200 OK\r\n");
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 0;
    const std::string_view body = std::string_view(text).substr(head.bytes);
    CHECK(parser.parse_body(body, pieces, consumed) == Progress::complete);
    CHECK(consumed == 5);
    // And again: a complete body takes nothing.
    CHECK(parser.parse_body(body.substr(5), pieces, consumed) == Progress::complete);
    CHECK(consumed == 0);
    CHECK(pieces.size() == 1);
}

TEST_CASE("fault 73: two framings or a bad length in an answer are 502") {
    check_bad_gateway(
        {answer("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "hello"),
         answer("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
         answer("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
         answer("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
         answer("Content-Length: 5, 5\r\n", "hello"), answer("Content-Length: +5\r\n", "hello"),
         answer("Content-Length: -5\r\n", "hello"), answer("Content-Length: 05\r\n", "hello"),
         answer("Content-Length: 0x5\r\n", "hello"), answer("Content-Length: \r\n", "hello"),
         answer("Content-Length: 18446744073709551616\r\n", "hello"),
         answer("Content-Length: 9223372036854775808\r\n", "hello")});
}

TEST_CASE("fault 74: a malformed answer head is 502, never repaired") {
    check_bad_gateway({answer("X-A: b\r\n c\r\n"), answer("X-A:\r\n b\r\n"), answer("X-A : b\r\n"),
                       answer("X-A\t: b\r\n"), answer("X-A: b\n"), answer("X-A: b\rY: c\r\n"),
                       answer(raw("X-A: b\0c\r\n")), answer("X-A: \x01\r\n"), answer("X-A\r\n"),
                       answer(": b\r\n"), answer("X A: b\r\n"), answer("X\xc3\xa9: b\r\n"),
                       answer(" X-A: b\r\n"), "HTTP/1.1 200 OK\r\nX-A: b\r\n\n",
                       "HTTP/1.1 200 OK\nX-A: b\n\n"});
}

TEST_CASE("fault 74: malformed chunks of an answer are 502") {
    std::vector<std::string> texts;
    for (const std::string body :
         {"5\nhello\r\n0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "x\r\nhello\r\n0\r\n\r\n",
          "5;\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nX : y\r\n\r\n", "data: x\n\n"}) {
        texts.push_back(answer("Transfer-Encoding: chunked\r\n", body));
    }
    check_bad_gateway(texts, 1);
}

TEST_CASE("fault 75: a transfer coding that is not understood is 502") {
    check_bad_gateway(
        {answer("Transfer-Encoding: gzip\r\n", "hello"),
         answer("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
         answer("Transfer-Encoding: identity\r\n", "hello"),
         answer("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
         answer("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
         answer("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"),
         answer("Transfer-Encoding: \r\n", "hello"),
         answer("Transfer-Encoding: chunked\r\n", "0\r\n\r\n", "HTTP/1.0 200 OK")});
}

TEST_CASE("fault 76: an answer without a length goes on until the connection ends") {
    for (const std::string version : {"HTTP/1.0", "HTTP/1.1"}) {
        const std::string body = "data: [DONE]\n\nHTTP/1.1 200 OK\r\n\r\n";
        const Message message =
            only(run_response(answer("Connection: keep-alive\r\n", body, version + " 200 OK")));
        CHECK(message.framing == Framing::until_close);
        CHECK(message.body == body);
        CHECK(message.whole);
        CHECK_FALSE(message.keep_alive);
    }
}

TEST_CASE("fault 77: interim answers come out one by one; 101 is 502") {
    const std::string interim = answer("", "", "HTTP/1.1 100 Continue") +
                                answer("Link: </a>\r\n", "", "HTTP/1.1 103 Early Hints") +
                                answer("", "", "HTTP/1.1 102 Processing");
    const Outcome outcome = run_response(interim + answer("Content-Length: 2\r\n", "hi"));
    CHECK_FALSE(outcome.failed);
    REQUIRE(outcome.messages.size() == 4);
    CHECK(outcome.messages[1].status == 103);
    CHECK(outcome.messages[1].framing == Framing::none);
    CHECK(outcome.messages[3].body == "hi");
    check_bad_gateway(
        {answer("Connection: upgrade\r\nUpgrade: websocket\r\n", "", "HTTP/1.1 101 Switching"),
         answer("", "", "HTTP/1.1 101")});
}

TEST_CASE("fault 78: answers that cannot have a body have none, whatever their fields say") {
    for (const std::string line : {"HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified"}) {
        for (const std::string fields :
             {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"}) {
            CAPTURE(line);
            CAPTURE(fields);
            const Outcome outcome =
                run_response(answer(fields, "", line) + answer("Content-Length: 2\r\n", "hi"));
            CHECK_FALSE(outcome.failed);
            REQUIRE(outcome.messages.size() == 2);
            CHECK(outcome.messages[0].framing == Framing::none);
            CHECK(outcome.messages[0].body.empty());
            // A 304 tells the length of what it stands for; a 204 that announces a body may send
            // it.
            CHECK(outcome.messages[0].keep_alive == (line == "HTTP/1.1 304 Not Modified"));
        }
    }
    CHECK(only(run_response(answer("", "", "HTTP/1.1 204 No Content"))).keep_alive);
}

TEST_CASE("fault 78: the answer to HEAD has no body but keeps its length") {
    for (const std::string fields :
         {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""}) {
        CAPTURE(fields);
        const Outcome outcome = run_response(answer(fields) + answer(fields), true);
        CHECK_FALSE(outcome.failed);
        REQUIRE(outcome.messages.size() == 2);
        CHECK(outcome.messages[1].framing == Framing::none);
    }
    Parser parser(Parser::Side::response);
    Head head;
    const std::string text = answer("Content-Length: 5\r\n", "hello");
    REQUIRE(parser.parse_head(text, head, true) == Progress::complete);
    CHECK(head.has_content_length);
    CHECK(head.content_length == 5);
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 1;
    CHECK(parser.parse_body(text.substr(head.bytes), pieces, consumed) == Progress::complete);
    CHECK(consumed == 0);  // the body that came all the same is for the caller to notice
    CHECK(parser.finish() == Progress::complete);
}

TEST_CASE("fault 80: a giant answer head is 502") {
    std::string many;
    for (int i = 0; i < 101; ++i)
        many += "X: y\r\n";
    check_bad_gateway({answer("X: " + std::string(limits::head_bytes_max, 'x') + "\r\n"),
                       answer(many), "HTTP/1.1 200 " + std::string(100000, 'x')});
}

TEST_CASE("an answer's underscores are its own business") {
    CHECK(only(run_response(answer("Content_Length: 9\r\nContent-Length: 2\r\n", "hi"))).body ==
          "hi");
}

TEST_CASE("nothing of one message stays for the next") {
    Parser parser(Parser::Side::response);
    Head head;
    const std::string first = answer("Content-Length: 0\r\nX: y\r\nConnection: close\r\n");
    REQUIRE(parser.parse_head(first, head) == Progress::complete);
    const std::string second = answer("", "", "HTTP/1.0 204");
    REQUIRE(parser.parse_head(second, head) == Progress::complete);
    CHECK(head.status == 204);
    CHECK(head.reason.empty());
    CHECK(head.minor == 0);
    CHECK(head.count == 0);
    CHECK_FALSE(head.has_content_length);
    CHECK(head.bytes == second.size());
}

}  // namespace sluice::http::test
