#include "sluice/http/writer.h"

#include "cases.h"

#include <array>

namespace sluice::http::test {

namespace {

struct Page {
    std::array<char, 4096> room{};
    HeadWriter writer{room};
};

}  // namespace

TEST_CASE("a written request head reads back as it was meant") {
    Page page;
    page.writer.request_line("POST", "/v1/chat/completions?a=b");
    page.writer.field("Host", "127.0.0.1:8081");
    page.writer.field("Content-Length", std::uint64_t{1234567890123});
    page.writer.field("X-Empty", "");
    page.writer.end();
    CHECK_FALSE(page.writer.overflowed());
    CHECK(page.writer.text() ==
          "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n"
          "Content-Length: 1234567890123\r\nX-Empty: \r\n\r\n");
    Parser parser(Parser::Side::request);
    Head head;
    REQUIRE(parser.parse_head(page.writer.text(), head) == Progress::complete);
    CHECK(head.method == Method::post);
    CHECK(head.target == "/v1/chat/completions?a=b");
    CHECK(head.content_length == 1234567890123);
    CHECK(head.bytes == page.writer.text().size());
}

TEST_CASE("written status lines") {
    Page page;
    page.writer.status_line(404);
    page.writer.end();
    CHECK(page.writer.text() == "HTTP/1.1 404 Not Found\r\n\r\n");
    Page own;
    own.writer.status_line(200, "Fine");
    own.writer.end();
    CHECK(own.writer.text() == "HTTP/1.1 200 Fine\r\n\r\n");
    Page none;
    none.writer.status_line(200, "");
    none.writer.end();
    CHECK(none.writer.text() == "HTTP/1.1 200 \r\n\r\n");
    CHECK(reason_phrase(431) == "Request Header Fields Too Large");
    CHECK(reason_phrase(299) == "Unknown");
}

TEST_CASE("every status this gateway answers with has its phrase") {
    for (const int status : {100, 200, 204, 304, 400, 401, 403, 404, 405, 408, 411, 413,
                             414, 415, 417, 421, 429, 431, 500, 501, 502, 503, 504, 505}) {
        CAPTURE(status);
        CHECK(reason_phrase(status) != "Unknown");
    }
}

TEST_CASE("fault 39: hop-by-hop fields, and those that Connection names, are not forwarded") {
    const std::string text = post(
        "Connection: keep-alive, X-Secret, content-type\r\nConnection: x-other\r\n"
        "X-Secret: 1\r\nx-OTHER: 2\r\nContent-Type: a\r\nKeep-Alive: timeout=5\r\n"
        "TE: trailers\r\nTrailer: X-T\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
        "Proxy-Connection: x\r\nProxy-Authorization: Basic x\r\nproxy-authenticate: x\r\n"
        "Content-Length: 0\r\nAuthorization: Bearer k\r\nX-End: caf\xc3\xa9\r\nx-end: 2\r\n");
    Parser parser(Parser::Side::request);
    Head head;
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    Page page;
    page.writer.request_line("POST", head.target);
    constexpr FieldSet without = {FieldId::host, FieldId::authorization};
    page.writer.forward(head, without);
    page.writer.field("X-Secret", "ours");
    page.writer.end();
    CHECK(page.writer.text() ==
          "POST /v1/chat/completions HTTP/1.1\r\nX-End: caf\xc3\xa9\r\nx-end: 2\r\n"
          "X-Secret: ours\r\n\r\n");
}

TEST_CASE("a forwarded head reads back with the same fields") {
    const std::string text = post("A: b\r\nEmpty:\r\nC:   d e  \r\nContent-Length: 0\r\n");
    Parser parser(Parser::Side::request);
    Head head;
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    Page page;
    page.writer.request_line(head.method_text, head.target);
    page.writer.forward(head, {});
    page.writer.end();
    Head again;
    REQUIRE(parser.parse_head(page.writer.text(), again) == Progress::complete);
    REQUIRE(again.count == head.count - 1);
    for (std::size_t i = 0; i < again.count; ++i) {
        CHECK(again.storage[i].name == head.storage[i].name);
        CHECK(again.storage[i].value == head.storage[i].value);
    }
    CHECK(again.host == head.host);
    CHECK(again.target == head.target);
}

TEST_CASE("what does not fit is never written, at any size") {
    const auto write = [](HeadWriter& writer) {
        writer.status_line(200);
        writer.field("Content-Length", std::uint64_t{12});
        writer.field("X-A", "b");
        writer.end();
    };
    Page page;
    write(page.writer);
    const std::string whole(page.writer.text());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CAPTURE(size);
        std::vector<char> room(size);
        HeadWriter writer{room};
        write(writer);
        CHECK(writer.overflowed());
        CHECK(whole.starts_with(writer.text()));
    }
    std::vector<char> exact(whole.size());
    HeadWriter writer{exact};
    write(writer);
    CHECK_FALSE(writer.overflowed());
    CHECK(writer.text() == whole);
}

}  // namespace sluice::http::test
