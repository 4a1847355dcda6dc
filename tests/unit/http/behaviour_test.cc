// The behaviour suite of the parser: what it says about a message does not depend on how the bytes
// arrive. Row 48 of the fault list, and 35: pipelined requests come out in order, one at a time.
#include "cases.h"
#include "sluice/base/prng.h"

namespace sluice::http::test {

namespace {

const std::string sse_event =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" room\"}}],\"model\":\"m\"}\n\n";

std::string in_hex(std::size_t number) {
    std::string text;
    do {
        text.insert(text.begin(), "0123456789abcdef"[number % 16]);
        number /= 16;
    } while (number > 0);
    return text;
}

std::string chunk(const std::string& data) {
    return in_hex(data.size()) + "\r\n" + data + "\r\n";
}

const std::string answer_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

// Requests of every framing, alone and pipelined, and some that are refused.
std::vector<Input> requests() {
    const std::string get =
        "GET /v1/models?x=1 HTTP/1.1\r\nHost: [::1]:8642\r\nAccept: */*\r\n\r\n";
    const std::string length = post("Content-Length: 11\r\nX-Empty:\r\n", "hello world");
    const std::string chunks =
        chunked("5\r\nhello\r\n06;a=\"b;c\";d\r\n world\r\n0\r\nX: y\r\n\r\n");
    std::vector<Input> inputs;
    for (const std::string& text :
         {get, length, chunks, "\r\n" + get, "\r\n\r\n" + length, get + length + chunks + get,
          chunks + chunks + length + "\r\n" + get, post("Content-Length: 0\r\n") + get,
          std::string("GET / HTTP/1.0\r\n\r\n"),
          std::string("GET http://a:1/x HTTP/1.1\r\nHost: A:1\r\n\r\n"),
          std::string("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
          post("Expect: 100-continue\r\nContent-Length: 2\r\n", "hi"),
          // Refused, early and late.
          std::string("\x16\x03\x01\x02"), get + "nonsense\r\n\r\n", length + "\r\n\r\n\r\n" + get,
          std::string("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"),
          std::string("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
          chunked("5\r\nhello\r\n5\r\nworldX"), chunked("5;a=\r\nhello"),
          chunked("0\r\nX: y\n\r\n"),
          post("Content-Length: 12\r\n", "hello world"),  // the end is missing
          std::string("GET /v1/mod"), std::string("GET / HTTP/1.1\r\nHost: a\r\n"),
          std::string("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"), std::string("\r\n\r")}) {
        inputs.push_back({Parser::Side::request, text});
    }
    return inputs;
}

std::vector<Input> responses() {
    const std::string chunks = answer_head + "Transfer-Encoding: chunked\r\n\r\n" +
                               chunk(sse_event) + chunk(sse_event + sse_event) +
                               chunk("data: [DONE]\n\n") + "0\r\n\r\n";
    const std::string length = answer_head + "Content-Length: 5\r\n\r\nhello";
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    std::vector<Input> inputs;
    for (const std::string& text :
         {chunks, length, length + chunks, interim + interim + length,
          answer_head + "\r\n" + sse_event, std::string("HTTP/1.0 200\r\n\r\nhello"),
          std::string("HTTP/1.1 204 No Content\r\n\r\n"), length + "extra",
          chunks.substr(0, chunks.size() - 2), chunks.substr(0, chunks.size() - 30),
          std::string("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n"),
          std::string("HTTP/1.1 101 S\r\n\r\n")}) {
        inputs.push_back({Parser::Side::response, text});
    }
    inputs.push_back({Parser::Side::response, length.substr(0, length.size() - 5), true});
    inputs.push_back({Parser::Side::response, answer_head + "\r\n", true});
    return inputs;
}

std::vector<Input> all_inputs() {
    std::vector<Input> inputs = requests();
    std::ranges::move(responses(), std::back_inserter(inputs));
    return inputs;
}

}  // namespace

TEST_CASE("fault 48: single bytes come to the same as the whole") {
    for (const Input& input : all_inputs()) {
        CAPTURE(printable(input.text));
        CHECK(run_split(input, [] { return std::size_t{1}; }) == run_whole(input));
    }
}

TEST_CASE("fault 48: a split at any offset comes to the same as the whole") {
    for (const Input& input : all_inputs()) {
        const Outcome whole = run_whole(input);
        for (std::size_t first = 1; first < input.text.size(); ++first) {
            CAPTURE(printable(input.text));
            CAPTURE(first);
            std::size_t next = first;
            const Outcome split =
                run_split(input, [&] { return std::exchange(next, input.text.size()); });
            CHECK(split == whole);
        }
    }
}

TEST_CASE("fault 48: random splits come to the same as the whole") {
    Prng prng(48);
    for (const Input& input : all_inputs()) {
        const Outcome whole = run_whole(input);
        for (int round = 0; round < 50; ++round) {
            CAPTURE(printable(input.text));
            const std::uint64_t longest = prng.between(2, 60);
            CHECK(run_split(input, [&] { return prng.between(1, longest); }) == whole);
        }
    }
}

TEST_CASE("the suite's good messages are good and its bad ones are bad") {
    std::size_t good = 0;
    for (const Input& input : all_inputs())
        good += run_whole(input).failed ? 0 : 1;
    CHECK(good == 21);
    const Outcome stream = run_whole(responses()[0]);
    CHECK(stream.messages.at(0).body == sse_event + sse_event + sse_event + "data: [DONE]\n\n");
}

TEST_CASE("fault 35: a thousand pipelined requests come out in order") {
    std::string text;
    for (int i = 0; i < 1000; ++i) {
        const std::string target = "/" + std::to_string(i);
        const std::string begin = " HTTP/1.1\r\nHost: a\r\n";
        switch (i % 3) {
            case 0:
                text += "GET " + target + begin + "\r\n";
                break;
            case 1:
                text += "POST " + target + begin + "Content-Length: 3\r\n\r\nabc";
                break;
            default:
                text += "POST " + target + begin +
                        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        }
    }
    const Outcome outcome = run_request(text);
    CHECK_FALSE(outcome.failed);
    REQUIRE(outcome.messages.size() == 1000);
    for (int i = 0; i < 1000; ++i) {
        const Message& message = outcome.messages[static_cast<std::size_t>(i)];
        CHECK(message.target == "/" + std::to_string(i));
        CHECK(message.body == (i % 3 == 0 ? "" : "abc"));
    }
}

TEST_CASE("random bodies in random chunks and splits come out as they went in") {
    Prng prng(7);
    for (int round = 0; round < 200; ++round) {
        std::string body;
        std::string text = answer_head + "Transfer-Encoding: chunked\r\n\r\n";
        for (std::uint64_t i = prng.below(20); i > 0; --i) {
            std::string data;
            for (std::uint64_t n = prng.between(1, 400); n > 0; --n) {
                data += "\r\n0a5;x"[prng.below(7)];
            }
            body += data;
            text += std::string(prng.below(4), '0') + in_hex(data.size()) +
                    (prng.chance(1, 5) ? ";a=b" : "") + "\r\n" + data + "\r\n";
        }
        const Input input{Parser::Side::response, text + "0\r\n\r\n"};
        const std::uint64_t longest = prng.between(1, 600);
        const Outcome outcome = run_split(input, [&] { return prng.between(1, longest); });
        CAPTURE(round);
        CHECK_FALSE(outcome.failed);
        REQUIRE(outcome.messages.size() == 1);
        CHECK(outcome.messages[0].body == body);
        CHECK(outcome.messages[0].whole);
    }
}

TEST_CASE("a head is looked at when a line or the head ends, and not for every byte") {
    const std::string text = "\r\nGET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    std::vector<std::size_t> worth;
    for (std::size_t size = 1; size <= text.size(); ++size) {
        if (Parser::head_worth_parsing(std::string_view(text).substr(0, size), size - 1)) {
            worth.push_back(size);
        }
    }
    CHECK(worth == std::vector<std::size_t>{text.find("Host"), text.size()});
    CHECK_FALSE(Parser::head_worth_parsing("", 0));
    CHECK_FALSE(Parser::head_worth_parsing("GET / HTTP/1.1\r\nHost: a\r\n", 16));
    CHECK(Parser::head_worth_parsing("GET / HTTP/1.1\r\nHost: a\r\n", 15));
    CHECK(Parser::head_worth_parsing("\x16", 0));
    CHECK(Parser::head_worth_parsing(" ", 0));
    CHECK(Parser::head_worth_parsing("\n", 0));
    CHECK(Parser::head_worth_parsing("GET / HTTP/1.1\r\n\n", 16));
    CHECK(Parser::head_worth_parsing("\r\n\r\n\r\n", 5));
    const std::string endless(limits::head_bytes_max, 'a');
    CHECK_FALSE(Parser::head_worth_parsing(std::string_view(endless).substr(0, 8000), 7999));
    CHECK(Parser::head_worth_parsing(std::string_view(endless).substr(0, 8194), 8193));
    const std::string fields = "GET / HTTP/1.1\r\nX: " + endless;
    CHECK_FALSE(Parser::head_worth_parsing(std::string_view(fields).substr(0, 32767), 32766));
    CHECK(Parser::head_worth_parsing(std::string_view(fields).substr(0, 32768), 32767));
}

TEST_CASE("a parser that failed stays failed") {
    Parser parser(Parser::Side::request);
    Head head;
    CHECK(parser.parse_head("nonsense\r\n", head) == Progress::failed);
    CHECK(parser.parse_head(host("a"), head) == Progress::failed);
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 9;
    CHECK(parser.parse_body("abc", pieces, consumed) == Progress::failed);
    CHECK(consumed == 0);
    CHECK(pieces.empty());
    CHECK(parser.finish() == Progress::failed);
    CHECK(parser.error().status == 400);
}

TEST_CASE("a parser can be moved in the middle of a body, and is small") {
    Parser parser(Parser::Side::request);
    Head head;
    REQUIRE(parser.parse_head(chunked(""), head) == Progress::complete);
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 0;
    CHECK(parser.parse_body("5\r\nhe", pieces, consumed) == Progress::incomplete);
    Parser moved = std::move(parser);
    CHECK(moved.parse_body("llo\r\n0\r\n\r\n", pieces, consumed) == Progress::complete);
    CHECK(pieces.size() == 2);
    CHECK(sizeof(Parser) <= 160);
}

}  // namespace sluice::http::test
