// Heads as they come off a connection: in slices of any split, with whatever stands behind them.
#include "sluice/http/head_reader.h"

#include "allocations.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::http::test {

namespace {

using sluice::test::allocations;

constexpr std::string_view request_head =
    "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: localhost:8642\r\nX-Empty:\r\n"
    "Content-Length: 7\r\nAccept: text/event-stream\r\n\r\n";
constexpr std::string_view body = "{\"a\":1}";

// What a connection has received and not yet used: each part in a buffer of its own.
struct Received {
    void append(std::string_view part) {
        const auto lent = pool.lend();
        REQUIRE(part.size() <= pool.buffer_bytes());
        std::memcpy(lent.data, part.data(), part.size());
        chain.append(pool.filled(lent.id, part.size()));
    }
    void append_all(std::string_view text, std::size_t part_bytes) {
        for (; !text.empty(); text.remove_prefix(std::min(part_bytes, text.size())))
            append(text.substr(0, part_bytes));
    }

    mem::BufferPool pool{4096, 512};
    mem::NodePool nodes;
    mem::Chain chain{nodes};
};

// A reader at work on what was received.
struct Reading : Received {
    explicit Reading(Parser::Side side = Parser::Side::request) : parser(side) {}
    Progress read() { return reader.read(chain, parser, head); }
    void consume() { reader.consume(chain, head); }

    Parser parser;
    HeadReader reader;
    Head head;
};

using Said = std::vector<std::string>;

// All that a head says, in words of its own.
Said said(const Head& head) {
    Said words{std::string(head.method_text), std::string(head.target), std::string(head.path),
               std::string(head.query),       std::string(head.host),   std::string(head.reason)};
    words.push_back(std::to_string(head.bytes) + " " + std::to_string(head.content_length));
    for (const Field& field : head.fields())
        words.push_back(std::string(field.name) + ": " + std::string(field.value));
    return words;
}

// What the parser says of the text in one piece.
Said said_of(std::string_view text, Parser::Side side = Parser::Side::request) {
    Parser parser(side);
    Head head;
    REQUIRE(parser.parse_head(text, head) == Progress::complete);
    return said(head);
}

std::string get(std::string_view path) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

}  // namespace

TEST_CASE("a head in one slice is read where it is, and the body behind it stays") {
    Reading all;
    all.append(std::string(request_head) + std::string(body));
    const std::string_view text = all.chain.front().text();
    REQUIRE(all.read() == Progress::complete);
    CHECK(said(all.head) == said_of(request_head));
    CHECK(all.head.target.data() == text.data() + 5);
    CHECK(all.chain.size() == text.size());  // nothing goes before consume()
    all.consume();
    CHECK(all.chain.to_string() == body);
    CHECK(all.chain.front().data() == text.data() + request_head.size());
}

TEST_CASE("a head in any two or three slices comes out as the whole one") {
    const std::string text = std::string(request_head) + std::string(body);
    const Said whole = said_of(request_head);
    for (std::size_t a = 1; a < text.size(); ++a) {
        for (std::size_t b = a; b < text.size(); ++b) {
            Reading all;
            all.append(text.substr(0, a));
            if (b > a) all.append(text.substr(a, b - a));
            all.append(text.substr(b));
            REQUIRE(all.read() == Progress::complete);
            REQUIRE(said(all.head) == whole);
            all.consume();
            REQUIRE(all.chain.to_string() == body);
        }
    }
}

TEST_CASE("a head that comes in two reads is complete with the second, wherever it was cut") {
    const std::string text = std::string(request_head) + std::string(body);
    for (std::size_t at = 1; at < request_head.size(); ++at) {
        CAPTURE(at);
        Reading all;
        all.append(text.substr(0, at));
        REQUIRE(all.read() == Progress::incomplete);
        REQUIRE(all.read() == Progress::incomplete);  // asked again without news
        all.append(text.substr(at));
        REQUIRE(all.read() == Progress::complete);
        CHECK(said(all.head) == said_of(request_head));
        all.consume();
        CHECK(all.chain.to_string() == body);
    }
}

TEST_CASE("a head that comes byte by byte is complete with its last byte and not before") {
    Reading all;
    CHECK(all.read() == Progress::incomplete);  // nothing came yet
    for (std::size_t i = 0; i + 1 < request_head.size(); ++i) {
        all.append(request_head.substr(i, 1));
        REQUIRE(all.read() == Progress::incomplete);
    }
    all.append(request_head.substr(request_head.size() - 1));
    REQUIRE(all.read() == Progress::complete);
    CHECK(said(all.head) == said_of(request_head));
    all.consume();
    CHECK(all.chain.empty());
}

TEST_CASE("a slice that grows in its buffer is read on, not anew") {
    Reading all;
    for (const char& c : request_head) {
        all.chain.append(all.pool.write({&c, 1}));
        REQUIRE(all.chain.slices() == 1);
        REQUIRE(all.read() ==
                (&c == &request_head.back() ? Progress::complete : Progress::incomplete));
    }
    CHECK(said(all.head) == said_of(request_head));
    all.consume();
}

TEST_CASE("an answer's head is read the same way") {
    const std::string text = "HTTP/1.1 404 Not Here\r\nContent-Length: 0\r\n\r\n";
    for (std::size_t at = 1; at < text.size(); ++at) {
        Reading all(Parser::Side::response);
        all.append(text.substr(0, at));
        REQUIRE(all.read() == Progress::incomplete);
        all.append(text.substr(at));
        REQUIRE(all.read() == Progress::complete);
        CHECK(all.head.status == 404);
        CHECK(said(all.head) == said_of(text, Parser::Side::response));
        all.consume();
    }
}

TEST_CASE("heads one behind another come out one by one, however they are cut") {
    const std::string text = get("/one") + get("/two") + get("/three");
    for (std::size_t part = 1; part <= text.size(); ++part) {
        CAPTURE(part);
        Reading all;
        all.append_all(text, part);
        for (const std::string_view path : {"/one", "/two", "/three"}) {
            REQUIRE(all.read() == Progress::complete);
            CHECK(all.head.path == path);
            CHECK(all.head.bytes == get(path).size());
            all.consume();
        }
        CHECK(all.chain.empty());
        CHECK(all.read() == Progress::incomplete);
    }
}

TEST_CASE("the begin of a next head waits for its rest") {
    Reading all;
    all.append(get("/one") + "GET /t");
    REQUIRE(all.read() == Progress::complete);
    all.consume();
    CHECK(all.read() == Progress::incomplete);
    CHECK(all.chain.to_string() == "GET /t");
    all.append(get("/two").substr(6));
    REQUIRE(all.read() == Progress::complete);
    CHECK(all.head.path == "/two");
    all.consume();
}

TEST_CASE("reset() forgets the head that had begun") {
    Reading all;
    all.append("GET /old HTTP/1.1\r\nX-O");
    CHECK(all.read() == Progress::incomplete);
    all.reader.reset();
    all.chain.clear();
    all.append_all(get("/new"), 5);
    REQUIRE(all.read() == Progress::complete);
    CHECK(all.head.path == "/new");
    CHECK(all.head.count == 1);
    all.consume();
    CHECK(all.chain.empty());
}

TEST_CASE("what cannot begin a message fails with its first byte") {
    Reading all;
    all.append("\x16\x03\x01");  // a TLS client
    REQUIRE(all.read() == Progress::failed);
    CHECK(all.parser.error().status == 400);
}

TEST_CASE("a malformed head fails however it was cut, and nothing of it is taken") {
    const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n";
    for (std::size_t at = 1; at < text.size(); ++at) {
        CAPTURE(at);
        Reading all;
        all.append(text.substr(0, at));
        if (all.read() == Progress::incomplete) {
            all.append(text.substr(at));
            REQUIRE(all.read() == Progress::failed);
        }
        CHECK(all.parser.error().status == 400);
        CHECK(all.chain.to_string() == text.substr(0, all.chain.size()));
    }
}

TEST_CASE("a head without an end fails at the limit, not before and not behind it") {
    const std::string text =
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(limits::head_bytes_max, 'x');
    for (const std::size_t part : {std::size_t{100}, std::size_t{1024}, std::size_t{4000}}) {
        CAPTURE(part);
        Reading all;
        Progress progress = Progress::incomplete;
        for (std::size_t at = 0; progress == Progress::incomplete; at += part) {
            REQUIRE(all.chain.size() < limits::head_bytes_max);
            all.append(text.substr(at, part));
            progress = all.read();
        }
        CHECK(progress == Progress::failed);
        CHECK(all.parser.error().status == 431);
        CHECK(all.chain.size() >= limits::head_bytes_max);
    }
}

TEST_CASE("only the head counts against the limit, not what came behind it") {
    const std::string big(2 * limits::head_bytes_max, 'b');
    const std::string head =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(big.size()) + "\r\n\r\n";
    Reading all;
    all.append(head.substr(0, 20));
    all.append_all(head.substr(20) + big, 4096);
    REQUIRE(all.read() == Progress::complete);
    CHECK(all.head.bytes == head.size());
    all.consume();
    CHECK(all.chain.to_string() == big);
}

TEST_CASE("the buffers in front of the rest go back when the head is consumed") {
    Reading all;
    all.append_all(request_head, 10);
    all.append(body);
    const std::size_t held = all.pool.in_use();
    REQUIRE(held == (request_head.size() + 9) / 10 + 1);
    REQUIRE(all.read() == Progress::complete);
    CHECK(all.pool.in_use() == held);  // the reader holds none beside the chain
    all.consume();
    CHECK(all.chain.slices() == 1);
    CHECK(all.pool.in_use() == 1);
}

TEST_CASE("a head in one slice costs no memory") {
    Reading all;
    all.append(std::string(request_head));
    const std::size_t before = allocations().count;
    REQUIRE(all.read() == Progress::complete);
    all.consume();
    CHECK(allocations().count == before);
}

TEST_CASE("a head that was in several slices leaves no memory behind") {
    for (const bool by_reset : {false, true}) {
        CAPTURE(by_reset);
        Reading all;
        all.append_all("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') +
                           "\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                       4096);
        const std::size_t before = allocations().live_bytes;
        REQUIRE(all.read() == Progress::complete);
        REQUIRE(allocations().live_bytes > before + 20'000);
        by_reset ? all.reader.reset() : all.consume();
        CHECK(allocations().live_bytes == before);
    }
}

TEST_CASE("a body behind a head in several slices is not copied with it") {
    Reading all;
    all.append("POST / HTT");
    all.append("P/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    all.append_all(std::string(1'000'000, 'b'), 4096);
    const std::size_t before = allocations().live_bytes;
    REQUIRE(all.read() == Progress::complete);
    CHECK(allocations().live_bytes <= before + 2 * limits::head_bytes_max);
    all.consume();
}

TEST_CASE("an answer to HEAD has no body whatever its head says, in one slice and in several") {
    const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for (const std::size_t part_bytes : {text.size(), std::size_t{7}}) {
        Reading all(Parser::Side::response);
        for (std::size_t at = 0; at < text.size(); at += part_bytes)
            all.append(text.substr(at, part_bytes));
        REQUIRE(all.reader.read(all.chain, all.parser, all.head, true) == Progress::complete);
        CHECK(all.head.framing == Framing::none);
        CHECK(all.head.has_content_length);
    }
}

}  // namespace sluice::http::test
