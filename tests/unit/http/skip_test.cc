// Bytes that pass the parser by: what comes behind them is read as if it had seen them.
#include "cases.h"

#include <algorithm>

namespace sluice::http::test {

namespace {

struct Seen {
    std::string body;  // as the parser told it
    std::uint64_t skipped = 0;
    Progress progress = Progress::incomplete;
};

// Reads `wire` in runs of `run` bytes and skips what it can of every run but for its begin.
Seen read(std::string_view fields, std::string_view wire, std::size_t run) {
    Parser parser(Parser::Side::response);
    Head head;
    const std::string text = "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n";
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    Seen seen;
    std::vector<BodyPiece> pieces;
    while (!wire.empty() && seen.progress == Progress::incomplete) {
        const std::string_view part = wire.substr(0, run);
        pieces.clear();
        std::size_t consumed = 0;
        seen.progress = parser.parse_body(part, pieces, consumed);
        REQUIRE(seen.progress != Progress::failed);
        for (const BodyPiece& piece : pieces)
            seen.body += part.substr(piece.begin, piece.end - piece.begin);
        wire.remove_prefix(consumed);
        const std::uint64_t ahead = parser.opaque_bytes();
        if (ahead < 3 || ahead > wire.size()) continue;
        CHECK(parser.skip(ahead - 2) == Progress::incomplete);
        CHECK(parser.opaque_bytes() == 2);
        wire.remove_prefix(ahead - 2);
        seen.skipped += ahead - 2;
    }
    return seen;
}

}  // namespace

TEST_CASE("a body of known length goes on behind what was skipped") {
    const std::string body(1000, 'x');
    for (const std::size_t run : {1, 2, 7, 100}) {
        const Seen seen = read("Content-Length: 1000\r\n", body, run);
        CHECK(seen.progress == Progress::complete);
        CHECK(seen.body.size() + seen.skipped == 1000);
        CHECK(seen.skipped > 0);
    }
}

TEST_CASE("all that is left of a body may be skipped") {
    Parser parser(Parser::Side::response);
    Head head;
    const std::string_view text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    CHECK(parser.opaque_bytes() == 9);
    CHECK(parser.skip(4) == Progress::incomplete);
    CHECK(parser.skip(5) == Progress::complete);
    CHECK(parser.opaque_bytes() == 0);
    CHECK(parser.finish() == Progress::complete);
}

TEST_CASE("chunks go on behind what was skipped of one") {
    const std::string data(300, 'y');
    const std::string wire =
        "12c\r\n" + data + "\r\n5\r\nhello\r\n12c;a=b\r\n" + data + "\r\n0\r\n\r\n";
    for (std::size_t run = 1; run < 40; ++run) {
        CAPTURE(run);
        const Seen seen = read("Transfer-Encoding: chunked\r\n", wire, run);
        CHECK(seen.progress == Progress::complete);
        CHECK(seen.body.size() + seen.skipped == 605);
        CHECK(seen.skipped > 400);
    }
}

TEST_CASE("what may be skipped is known only within data") {
    Parser parser(Parser::Side::response);
    Head head;
    const std::string_view text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 0;
    CHECK(parser.opaque_bytes() == 0);
    CHECK(parser.parse_body("a\r\n", pieces, consumed) == Progress::incomplete);
    CHECK(parser.opaque_bytes() == 0);
    CHECK(parser.parse_body("x", pieces, consumed) == Progress::incomplete);
    CHECK(parser.opaque_bytes() == 9);
    CHECK(parser.parse_body("123456789", pieces, consumed) == Progress::incomplete);
    CHECK(parser.opaque_bytes() == 0);

    Parser endless(Parser::Side::response);
    REQUIRE(endless.parse_head("HTTP/1.0 200 OK\r\n\r\n", head) == Progress::complete);
    CHECK(endless.opaque_bytes() == UINT64_MAX);
    CHECK(endless.skip(1'000'000) == Progress::incomplete);
    CHECK(endless.finish() == Progress::complete);
}

TEST_CASE("where a chunk could be put in is known byte by byte") {
    const std::string wire = "5;a=b\r\nhello\r\n1\r\nx\r\n0\r\nt: x\r\n\r\n";
    const std::vector<std::size_t> seams = {0, 14, 20};
    Parser parser(Parser::Side::response);
    Head head;
    REQUIRE(parser.parse_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head) ==
            Progress::complete);
    std::vector<BodyPiece> pieces;
    for (std::size_t at = 0; at < wire.size(); ++at) {
        CAPTURE(at);
        CHECK(parser.between_chunks() == (std::ranges::find(seams, at) != seams.end()));
        std::size_t consumed = 0;
        parser.parse_body(std::string_view(wire).substr(at, 1), pieces, consumed);
        CHECK(consumed == 1);
    }
    CHECK_FALSE(parser.between_chunks());  // it has ended

    Parser endless(Parser::Side::response);
    REQUIRE(endless.parse_head("HTTP/1.1 200 OK\r\n\r\n", head) == Progress::complete);
    CHECK(endless.between_chunks());
}

}  // namespace sluice::http::test
