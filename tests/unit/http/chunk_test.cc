// Chunked bodies: rows 29 to 32 of the fault list, and the pieces that the relay sends on.
#include "cases.h"

#include <algorithm>

namespace sluice::http::test {

namespace {

// Each chunked body is refused after its head.
void check_body_refused(const std::vector<std::string>& bodies, int status = 400) {
    std::vector<std::string> texts;
    std::ranges::transform(bodies, std::back_inserter(texts),
                           [](const std::string& body) { return chunked(body); });
    check_refused(status, texts, 1);
}

std::string body_of(const std::string& body) {
    const Outcome outcome = run_request(chunked(body));
    CAPTURE(printable(body));
    CAPTURE(outcome.words);
    CHECK_FALSE(outcome.failed);
    REQUIRE(outcome.messages.size() == 1);
    CHECK(outcome.messages[0].whole);
    return outcome.messages[0].body;
}

// A parser behind the head of a chunked message.
Parser behind_head(Parser::Side side = Parser::Side::request) {
    Parser parser(side);
    Head head;
    const std::string text = side == Parser::Side::request
                                 ? chunked("")
                                 : "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    return parser;
}

}  // namespace

TEST_CASE("fault 29: a chunk size that is not plain hexadecimal digits is refused") {
    check_body_refused({"-1\r\nhello\r\n0\r\n\r\n",
                        "+5\r\nhello\r\n0\r\n\r\n",
                        "0x5\r\nhello\r\n0\r\n\r\n",
                        "0X5\r\nhello\r\n0\r\n\r\n",
                        "1_0\r\nhello\r\n0\r\n\r\n",
                        " 5\r\nhello\r\n0\r\n\r\n",
                        "5 \r\nhello\r\n0\r\n\r\n",
                        "\t5\r\nhello\r\n0\r\n\r\n",
                        "5\t\r\nhello\r\n0\r\n\r\n",
                        "5 5\r\nhello\r\n0\r\n\r\n",
                        "5h\r\nhello\r\n0\r\n\r\n",
                        "5.0\r\nhello\r\n0\r\n\r\n",
                        "5,\r\nhello\r\n0\r\n\r\n",
                        "\"5\"\r\nhello\r\n0\r\n\r\n",
                        "\r\nhello\r\n0\r\n\r\n",
                        "\r\n5\r\nhello\r\n0\r\n\r\n",
                        "g\r\nhello\r\n0\r\n\r\n",
                        raw("5\0\r\nhello\r\n0\r\n\r\n"),
                        raw("\0"
                            "5\r\nhello\r\n0\r\n\r\n"),
                        "\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
                        "5\vr\n\r\nhello\r\n0\r\n\r\n"});
}

TEST_CASE("fault 29: a chunk size that overflows, or has more than 16 digits, is refused") {
    check_body_refused(
        {"10000000000000005\r\nhello\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
         "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFF\r\nhello",
         "8000000000000000\r\nhello", "00000000000000005\r\nhello\r\n0\r\n\r\n",
         "00000000000000005;a=b\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n00000000000000000\r\n\r\n",
         std::string(100000, '0') + "5\r\nhello\r\n0\r\n\r\n", std::string(100000, '0')});
    CHECK(body_of("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n") == "hello");
    CHECK(body_of("0000000000000005;a=\"b c\";d\r\nhello\r\n0;e\r\n\r\n") == "hello");
    const Outcome outcome = run_request(chunked("7FFFFFFFFFFFFFFF\r\nhello"));
    CHECK(outcome.failed);  // only because the connection ends
    CHECK(outcome.messages.at(0).body == "hello");
}

TEST_CASE("fault 30: malformed chunk extensions are refused") {
    std::vector<std::string> bodies;
    for (const std::string extension : {";",
                                        ";;",
                                        ";;a",
                                        ";a;",
                                        ";a;;b",
                                        "; a",
                                        " ;a",
                                        ";a ",
                                        ";a =b",
                                        ";a= b",
                                        ";a=b ",
                                        ";=b",
                                        ";=",
                                        ";a=",
                                        ";a=;b",
                                        ";a==b",
                                        ";a=b=c",
                                        ";a(",
                                        ";a=(",
                                        ";a,b",
                                        ";a/b",
                                        ";a=\"b",
                                        ";a=b\"",
                                        ";a=\"b\"c",
                                        ";a=\"b\"\"c\"",
                                        ";\"a\"=b",
                                        ";a\nb",
                                        ";a\rb",
                                        ";a=b\nc",
                                        ";a=b\rc",
                                        ";a=\"b\nc\"",
                                        ";a=\"b\rc\"",
                                        ";a=\"b\r\nc\"",
                                        ";a\x01",
                                        ";a\x7f",
                                        ";a=\x01",
                                        ";a=\"\x01\"",
                                        ";a=\"\\\x01\"",
                                        ";a=\"\\\n\"",
                                        ";\x0b",
                                        ";a\tb",
                                        ";a=\tb",
                                        ";\xc3\xa9",
                                        ";a=\xc3\xa9",
                                        "x",
                                        "=b",
                                        ":a",
                                        ",a",
                                        " a"}) {
        bodies.push_back("5" + extension + "\r\nhello\r\n0\r\n\r\n");
        bodies.push_back("5\r\nhello\r\n0" + extension + "\r\n\r\n");
    }
    bodies.push_back(raw("5;a\0\r\nhello\r\n0\r\n\r\n"));
    bodies.push_back(raw("5;a=\0\r\nhello\r\n0\r\n\r\n"));
    bodies.push_back(raw("5;a=\"\0\"\r\nhello\r\n0\r\n\r\n"));
    check_body_refused(bodies);
}

TEST_CASE("fault 30: well formed chunk extensions are skipped") {
    for (const std::string extension :
         {";a", ";a=b", ";a;b;c", ";a=b;c=d", ";a=\"\"", ";a=\"b c\"", ";a=\"b;c\"",
          ";a=\"b\\\"c\"", ";a=\"\\\\\"", ";a=\"b\tc\"", ";!#$%&'*+-.^_`|~09azAZ=x"}) {
        CHECK(body_of("5" + extension + "\r\nhello\r\n3\r\nabc\r\n0" + extension + "\r\n\r\n") ==
              "helloabc");
    }
}

TEST_CASE("fault 30: the extensions of a whole message are capped at 4 KiB") {
    const auto with_total = [](std::size_t bytes, std::size_t chunks) {
        std::string body;
        for (std::size_t i = 0; i < chunks; ++i) {
            const std::size_t share = bytes / chunks + (i < bytes % chunks ? 1 : 0);
            body += "1;" + std::string(share - 1, 'a') + "\r\nx\r\n";
        }
        return body + "0\r\n\r\n";
    };
    constexpr std::size_t cap = limits::chunk_extension_bytes_max;
    CHECK(body_of(with_total(cap, 1)) == "x");
    CHECK(body_of(with_total(cap, 100)).size() == 100);
    CHECK(body_of(with_total(cap, cap / 2)).size() == cap / 2);
    check_body_refused({with_total(cap + 1, 1), with_total(cap + 1, 100),
                        with_total(cap + 2, cap / 2 + 1), with_total(64 * limits::KiB, 1),
                        with_total(64 * limits::KiB, 1000),
                        "1;a=\"" + std::string(cap, 'b') + "\"\r\nx\r\n0\r\n\r\n",
                        "1;a=\"" + std::string(cap, ';') + "\"\r\nx\r\n0\r\n\r\n",
                        "1;" + std::string(100000, 'a')});
}

TEST_CASE("fault 31: chunk data that is not as long as its size is refused") {
    check_body_refused({"5\r\nhello!\r\n0\r\n\r\n", "5\r\nhell\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n",
                        "5\r\nhello\r0\r\n\r\n", "5\r\nhello\r\r\n0\r\n\r\n",
                        "5\r\nhello\r\n\r\n0\r\n\r\n", "5\r\nhello \r\n0\r\n\r\n",
                        "5\r\nhello\r\n5\r\nworldX0\r\n\r\n", "5\r\nhello\r\n0\r\n0\r\n\r\n",
                        "0\r\nGET / HTTP/1.1\r\n\r\n"});
}

TEST_CASE("fault 31: a chunked body that the connection cuts short is no complete body") {
    const std::string body = "5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n";
    for (std::size_t length = 0; length < body.size(); ++length) {
        const Outcome outcome = run_request(chunked(body.substr(0, length)));
        CAPTURE(length);
        CHECK(outcome.failed);
        CHECK(outcome.status == 400);
        REQUIRE(outcome.messages.size() == 1);
        CHECK_FALSE(outcome.messages[0].whole);
    }
}

TEST_CASE("fault 32: trailers are dropped, whatever they are called") {
    for (const std::string trailer :
         {"Content-Length: 5", "Transfer-Encoding: gzip", "Host: evil", "Authorization: x",
          "Content-Type: a", "X-A:", "Connection: close", "Trailer: y", "X: caf\xc3\xa9\t z ",
          "Content_Length: 1"}) {
        const Outcome outcome =
            run_request(chunked("5\r\nhello\r\n0\r\n" + trailer + "\r\nB: c\r\n\r\n") + host("a"));
        CAPTURE(printable(trailer));
        CAPTURE(outcome.words);
        CHECK_FALSE(outcome.failed);
        REQUIRE(outcome.messages.size() == 2);
        CHECK(outcome.messages[0].body == "hello");
        CHECK(outcome.messages[0].trailers);
        CHECK(outcome.messages[0].fields.size() == 2);
        CHECK_FALSE(outcome.messages[1].trailers);
    }
    CHECK_FALSE(run_request(chunked("0\r\n\r\n")).messages.at(0).trailers);
}

TEST_CASE("fault 32: malformed trailers are refused") {
    check_body_refused({"0\r\nX\r\n\r\n", "0\r\n: y\r\n\r\n", "0\r\nX : y\r\n\r\n",
                        "0\r\n X: y\r\n\r\n", "0\r\nX: y\r\n z\r\n\r\n", "0\r\nX: y\rZ: y\r\n\r\n",
                        "0\r\nX: y\rZ\r\n\r\n", "0\r\nX: y\r\r\n\r\n", "0\r\n\rX: y\r\n\r\n",
                        "0\r\nX: \x01\r\n\r\n", "0\r\nX\xc3\xa9: y\r\n\r\n",
                        "0\r\nX\x01: y\r\n\r\n", raw("0\r\nX: \0\r\n\r\n"), raw("0\r\n\0\r\n\r\n"),
                        "0\r\nX: \x7f\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\n\n", "0\r\n\r\r\n"});
}

TEST_CASE("fault 32: trailers are capped") {
    const auto with_length = [](std::size_t bytes) {
        return "0\r\nX:" + std::string(bytes - 6, 'a') + "\r\n\r\n";
    };
    CHECK(body_of(with_length(limits::trailer_bytes_max)).empty());
    check_body_refused({with_length(limits::trailer_bytes_max + 1), with_length(100000),
                        "0\r\n" + std::string(limits::trailer_bytes_max + 1, 'a')},
                       431);
    std::string many = "0\r\n";
    for (int i = 0; i < 5000; ++i)
        many += "a:\r\n";
    check_body_refused({many}, 431);
}

TEST_CASE("a chunk that lies whole in the bytes can be sent on as it is") {
    Parser parser = behind_head(Parser::Side::response);
    const std::string bytes = "5\r\nhello\r\n00a\r\n0123456789\r\n3;x\r\nabc\r\n2\r\nde\r\n4\r\nfg";
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 0;
    CHECK(parser.parse_body(bytes, pieces, consumed) == Progress::incomplete);
    CHECK(consumed == bytes.size());
    REQUIRE(pieces.size() == 5);
    const auto raw_text = [&](std::size_t i) {
        return bytes.substr(pieces[i].raw_begin, pieces[i].raw_end - pieces[i].raw_begin);
    };
    CHECK(pieces[0].intact);
    CHECK(raw_text(0) == "5\r\nhello\r\n");
    CHECK(pieces[1].intact);
    CHECK(raw_text(1) == "00a\r\n0123456789\r\n");
    CHECK_FALSE(pieces[2].intact);  // an extension
    CHECK(pieces[3].intact);
    CHECK(raw_text(3) == "2\r\nde\r\n");
    CHECK_FALSE(pieces[4].intact);  // cut
    CHECK(pieces[4].end == bytes.size());

    const std::string rest = "hi\r\n1\r\nj\r\n0\r\nX: y\r\n\r\nHTTP/1.1 200 OK";
    pieces.clear();
    CHECK(parser.parse_body(rest, pieces, consumed) == Progress::complete);
    CHECK(rest.substr(consumed) == "HTTP/1.1 200 OK");
    REQUIRE(pieces.size() == 2);
    CHECK_FALSE(pieces[0].intact);
    CHECK(pieces[0].begin == 0);
    CHECK(pieces[0].end == 2);
    CHECK(pieces[1].intact);
    CHECK(pieces[1].raw_begin == 4);
    CHECK(pieces[1].raw_end == 10);
    CHECK(parser.had_trailers());
}

TEST_CASE("a chunk cut at any byte is not intact, its neighbours are") {
    const std::string bytes = "3\r\nabc\r\n5\r\nhello\r\n2\r\nde\r\n";
    constexpr std::size_t begin = 8;  // of the middle chunk
    constexpr std::size_t end = 18;
    for (std::size_t cut = begin + 1; cut < end; ++cut) {
        CAPTURE(cut);
        Parser parser = behind_head();
        std::size_t consumed = 0;
        std::vector<BodyPiece> first;
        std::vector<BodyPiece> second;
        REQUIRE(parser.parse_body(bytes.substr(0, cut), first, consumed) == Progress::incomplete);
        REQUIRE(parser.parse_body(bytes.substr(cut), second, consumed) == Progress::incomplete);
        REQUIRE_FALSE(first.empty());
        REQUIRE_FALSE(second.empty());
        CHECK(first.front().intact);
        CHECK(second.back().intact);
        CHECK(second.back().raw_end == bytes.size() - cut);
        CHECK(first.size() + second.size() == (cut > 11 && cut < 16 ? 4 : 3));
        for (std::size_t i = 1; i < first.size(); ++i)
            CHECK_FALSE(first[i].intact);
        for (std::size_t i = 0; i + 1 < second.size(); ++i)
            CHECK_FALSE(second[i].intact);
    }
}

TEST_CASE("pieces are appended behind what the caller has") {
    Parser parser = behind_head();
    std::vector<BodyPiece> pieces(2);
    std::size_t consumed = 0;
    CHECK(parser.parse_body("1\r\na\r\n0\r\n\r\n", pieces, consumed) == Progress::complete);
    CHECK(pieces.size() == 3);
    CHECK(pieces[2].intact);
}

}  // namespace sluice::http::test
