// How generations end: a stream that does not say so, or stops speaking JSON, is never whole for
// the client; and what the gateway itself says stands between two events.
#include "relay_rig.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::answer;
using namespace sluice::answer::test;

namespace {

std::string chat(std::string_view inside) {
    return R"(data: {"object":"chat.completion.chunk","choices":[{"index":0,)" +
           std::string(inside) + "}]}\n\n";
}

const std::string role = chat(R"("delta":{"role":"assistant","content":null})");
const std::string text = chat(R"("delta":{"content":"word"},"finish_reason":null)");
const std::string call =
    chat(R"("delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]})");
const std::string finish = chat(R"("delta":{},"finish_reason":"stop")");
const std::string second_role = R"(data: {"choices":[{"index":1,"delta":{"role":"assistant"}}]})"
                                "\n\n";
const std::string second_text = R"(data: {"choices":[{"delta":{"content":"b"},"index":1}]})"
                                "\n\n";
const std::string second_finish =
    R"(data: {"choices":[{"index":1,"delta":{},"finish_reason":"length"}]})"
    "\n\n";
const std::string empty_delta = chat(R"("delta":{},"finish_reason":null)");
const std::string usage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";
const std::string error = "data: {\"error\":{\"message\":\"no memory\"}}\n\n";
const std::string comment = ": still here\n\n";
const std::string bad = "data: {\"choices\":[\n\n";
const std::string done = "data: [DONE]\n\n";

Body body_of(const std::vector<std::string>& events) {
    Body body;
    for (const std::string& event : events)
        body.events.push_back({event});
    return body;
}

// A relay of a chat stream, and what its client has got so far.
struct Stream {
    Stream(Framing in, Framing out, bool must_finish = true) : relay(memory.nodes) {
        std::string head = "HTTP/1.1 200 OK\r\n";
        if (in == Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
        http::Head parsed;
        REQUIRE(parser.parse_head(head + "\r\n", parsed) == http::Progress::complete);
        relay.begin({.in = in, .out = out, .event_stream = true, .must_finish = must_finish});
    }
    ~Stream() {
        mem::Chain rest(memory.nodes);
        relay.break_off({}, false, memory.buffers, rest);
        rest.clear();
        CHECK(memory.empty());
    }

    // In slices of so many bytes, until it is over.
    http::Progress pass(std::string_view wire, std::size_t part) {
        auto progress = http::Progress::incomplete;
        while (!wire.empty() && progress == http::Progress::incomplete) {
            mem::Chain out(memory.nodes);
            std::size_t leftover = 0;
            progress = relay.take(memory.slice_of(wire.substr(0, part)), parser, scratch,
                                  memory.buffers, out, leftover);
            note(out);
            wire.remove_prefix(std::min(part, wire.size()));
        }
        return progress;
    }
    void note(mem::Chain& out) {
        const std::string piece = out.to_string();
        if (relay.plan().out == Framing::chunked)
            REQUIRE(decoder.take(piece));
        else
            plain += piece;
    }
    bool insert(std::string_view event) {
        mem::Chain out(memory.nodes);
        const bool inserted = relay.insert(event, memory.buffers, out);
        CHECK(inserted == !out.empty());
        note(out);
        return inserted;
    }
    const std::string& got() const {
        return relay.plan().out == Framing::chunked ? decoder.body() : plain;
    }

    Memory memory;
    http::Parser parser{http::Parser::Side::response};
    RelayScratch scratch;
    Relay relay;
    ChunkDecoder decoder;
    std::string plain;
};

struct Row {
    std::vector<std::string> events;
    bool unfinished;
};

const Row rows[] = {
    {{text}, true},
    {{role, text, text}, true},
    {{role, call}, true},
    {{text, usage}, true},
    {{text, comment}, true},
    {{text, finish}, false},
    {{text, finish, usage, done}, false},
    {{text, done}, false},
    {{role}, false},
    {{comment}, false},
    {{finish}, false},
    // Each choice ends for itself (R10).
    {{text, second_text, finish}, true},
    {{text, second_role, finish}, true},
    {{second_text, second_finish, text}, true},
    {{text, second_text, second_finish, usage}, true},
    {{text, second_text, finish, second_finish}, false},
    {{text, second_text, second_finish, finish, usage}, false},
    {{text, second_text, finish, done}, false},
    // What is said behind an end needs its own.
    {{text, finish, call}, true},
    {{text, finish, text}, true},
    {{text, finish, call, finish}, false},
    {{text, finish, call, done}, false},
    {{text, finish, empty_delta, usage}, false},
    {{text, second_text, second_finish, finish, empty_delta}, false},
};

const std::string beats[] = {"data:\n\n",
                             "data: \n\n",
                             "data\n\n",
                             "event: ping\ndata: ping\n\n",
                             "event: ping\ndata: {\n\n",
                             "event: keepalive\ndata:\n\n",
                             "id: 7\n\n",
                             "retry: 3000\n\n",
                             "event: x-queue\ndata: 3 ahead\n\n"};

constexpr std::size_t parts[] = {1, 7, limits::buffer_bytes};

}  // namespace

TEST_CASE("fault 104: a generation that does not say how it ended has no end for the client") {
    for (const Row& row : rows) {
        for (const Framing out : {Framing::chunked, Framing::until_close}) {
            for (const std::size_t part : parts) {
                for (const Chunking chunking : every_chunking) {
                    const Body body = body_of(row.events);
                    CAPTURE(body.text());
                    CAPTURE(part);
                    Stream stream(Framing::chunked, out);
                    const Wire wire = encode(body, Framing::chunked, chunking);
                    const auto progress = stream.pass(wire.bytes, part);
                    CHECK(stream.relay.unfinished() == row.unfinished);
                    CHECK(stream.got() == body.text());
                    CHECK(progress ==
                          (row.unfinished ? http::Progress::failed : http::Progress::complete));
                    if (out == Framing::chunked) CHECK(stream.decoder.ended() != row.unfinished);
                    if (!row.unfinished) continue;
                    CHECK_FALSE(stream.relay.out_of_buffers());
                    CHECK(stream.relay.failure(stream.parser) ==
                          "ended its stream without a finish reason.");
                }
            }
        }
    }
}

TEST_CASE("fault 104: nor has one that ends with its connection") {
    for (const Row& row : rows) {
        for (const std::size_t part : parts) {
            const Body body = body_of(row.events);
            CAPTURE(body.text());
            Stream stream(Framing::until_close, Framing::chunked);
            CHECK(stream.pass(body.text(), part) == http::Progress::incomplete);
            stream.relay.see_end();
            CHECK(stream.relay.unfinished() == row.unfinished);
            CHECK(stream.got() == body.text());
        }
    }
}

TEST_CASE("fault 105: an error event passes, and nothing behind it") {
    const std::vector<std::string> streams[] = {
        {error},
        {error, done},
        {text, error},
        {text, error, done},
        {role, error, text, finish, done},
    };
    for (const auto& events : streams) {
        std::string expected;
        for (std::size_t i = 0; !expected.ends_with(error); ++i)
            expected += events[i];
        for (const Framing out : {Framing::chunked, Framing::until_close}) {
            for (const std::size_t part : parts) {
                for (const Chunking chunking : every_chunking) {
                    const Body body = body_of(events);
                    CAPTURE(body.text());
                    CAPTURE(part);
                    Stream stream(Framing::chunked, out);
                    const Wire wire = encode(body, Framing::chunked, chunking);
                    CHECK(stream.pass(wire.bytes, part) == http::Progress::failed);
                    CHECK(stream.got() == expected);
                    CHECK_FALSE(stream.relay.out_of_buffers());
                    CHECK(stream.relay.passed_error());
                    CHECK(stream.relay.failure_kind() == Break::error_event);
                    if (out == Framing::chunked) CHECK_FALSE(stream.decoder.ended());
                }
            }
        }
    }
}

TEST_CASE("R10: a finish reason in an event without its empty line is one, half an event is none") {
    for (const std::size_t missing : {1, 2}) {
        Stream stream(Framing::until_close, Framing::chunked);
        CHECK(stream.pass(text + finish.substr(0, finish.size() - missing), 5) ==
              http::Progress::incomplete);
        CHECK(stream.relay.unfinished());
        stream.relay.see_end();
        CHECK_FALSE(stream.relay.unfinished());
        CHECK(stream.relay.said_its_end());
    }
    for (const std::string_view rest : {"data: {\"choices\":[{", "data: {\"choices\":[{\n"}) {
        Stream stream(Framing::until_close, Framing::chunked);
        CHECK(stream.pass(text + finish + std::string(rest), 5) == http::Progress::incomplete);
        stream.relay.see_end();
        CHECK(stream.relay.unfinished());
        CHECK_FALSE(stream.relay.said_its_end());
    }
}

TEST_CASE("R10: signs of life pass anywhere, and nothing is counted for them") {
    for (const std::string& beat : beats) {
        const Body body = body_of({beat, role, beat, text, beat, finish, beat, usage, beat, done});
        CAPTURE(beat);
        for (const Framing out : {Framing::chunked, Framing::until_close}) {
            for (const std::size_t part : parts) {
                for (const Chunking chunking : every_chunking) {
                    Stream stream(Framing::chunked, out);
                    const Wire wire = encode(body, Framing::chunked, chunking);
                    CHECK(stream.pass(wire.bytes, part) == http::Progress::complete);
                    CHECK(stream.got() == body.text());
                    CHECK(stream.relay.events() == 5);
                    CHECK(stream.relay.content_events() == 1);
                }
            }
        }
    }
}

TEST_CASE(
    "R10: [DONE] is an end with white space, and before the close also without its empty line") {
    for (const std::string end : {"data: [DONE] \n\n", "data:   [DONE]\r\n\r\n", "data: [DONE]\n",
                                  "data: [DONE]", "data:[DONE]\r\n", "data: [DONE] \n"}) {
        for (const std::size_t part : parts) {
            CAPTURE(end);
            Stream closed(Framing::until_close, Framing::chunked);
            CHECK(closed.pass(text + end, part) == http::Progress::incomplete);
            closed.relay.see_end();
            CHECK(closed.relay.said_its_end());
            CHECK_FALSE(closed.relay.unfinished());
            Stream framed(Framing::chunked, Framing::chunked);
            const Wire wire = encode(body_of({text, end}), Framing::chunked, Chunking::event);
            CHECK(framed.pass(wire.bytes, part) == http::Progress::complete);
            CHECK(framed.got() == text + end);
        }
    }
}

TEST_CASE("R10: a finish reason is an end before the close, but not before half an event") {
    Stream whole(Framing::until_close, Framing::chunked);
    CHECK(whole.pass(text + finish + comment, 7) == http::Progress::incomplete);
    whole.relay.see_end();
    CHECK(whole.relay.said_its_end());
    Stream cut(Framing::until_close, Framing::chunked);
    CHECK(cut.pass(text + finish + text.substr(0, 20), 7) == http::Progress::incomplete);
    cut.relay.see_end();
    CHECK_FALSE(cut.relay.said_its_end());
    Stream open(Framing::until_close, Framing::chunked);
    CHECK(open.pass(text + second_text + finish, 7) == http::Progress::incomplete);
    open.relay.see_end();
    CHECK_FALSE(open.relay.said_its_end());
}

TEST_CASE("streams that need not say how they ended pass as they are") {
    for (const Row& row : rows) {
        const Body body = body_of(row.events);
        Stream stream(Framing::chunked, Framing::chunked, false);
        CHECK(stream.pass(encode(body, Framing::chunked).bytes, 7) == http::Progress::complete);
        CHECK(stream.decoder.ended());
        CHECK(stream.got() == body.text());
        CHECK_FALSE(stream.relay.unfinished());
    }
}

TEST_CASE("fault 104: behind generated text an event that is not JSON breaks the stream off") {
    const Body body = body_of({role, text, comment, bad, text, done});
    const std::string whole_before = role + text + comment;
    for (const Framing out : {Framing::chunked, Framing::until_close}) {
        for (const std::size_t part : parts) {
            for (const Chunking chunking : every_chunking) {
                CAPTURE(part);
                Stream stream(Framing::chunked, out);
                const Wire wire = encode(body, Framing::chunked, chunking);
                CHECK(stream.pass(wire.bytes, part) == http::Progress::failed);
                CHECK(stream.got() == whole_before);
                CHECK_FALSE(stream.decoder.ended());
                CHECK(stream.relay.failure(stream.parser) == "sent an event that is not JSON.");
            }
        }
    }
}

TEST_CASE("where no text was generated before it such an event may mean something, and passes") {
    for (const bool must_finish : {false, true}) {
        const Body body = body_of({bad, must_finish ? comment : text, bad, done});
        Stream stream(Framing::chunked, Framing::chunked, must_finish);
        CHECK(stream.pass(encode(body, Framing::chunked).bytes, 7) == http::Progress::complete);
        CHECK(stream.got() == body.text());
    }
}

TEST_CASE("what the gateway says stands between two events, wherever the stream is") {
    const std::string notice = ": waiting\n\n";
    const std::string stream_text = role + text + finish + done;
    const Wire wire = encode(body_of({role, text, finish, done}), Framing::chunked);
    for (const Framing out : {Framing::chunked, Framing::until_close}) {
        for (std::size_t at = 0; at < wire.bytes.size(); ++at) {
            CAPTURE(at);
            Stream stream(Framing::chunked, out);
            REQUIRE(stream.pass(std::string_view(wire.bytes).substr(0, at), 50) ==
                    http::Progress::incomplete);
            const std::size_t before = stream.got().size();
            CHECK((before == 0 || stream.got().ends_with("\n\n")));
            REQUIRE(stream.insert(notice));
            REQUIRE(stream.pass(std::string_view(wire.bytes).substr(at), 50) ==
                    http::Progress::complete);
            std::string due = stream_text;
            CHECK(stream.got() == due.insert(before, notice));
        }
    }
}

TEST_CASE("nothing is said in the middle of an event that is too long to be held") {
    Stream stream(Framing::until_close, Framing::chunked);
    const std::string longest(limits::sse_event_bytes_max + 2 * limits::buffer_bytes, 'x');
    CHECK(stream.pass("data: {\"content\":\"" + longest, limits::buffer_bytes) ==
          http::Progress::incomplete);
    REQUIRE_FALSE(stream.got().empty());
    CHECK_FALSE(stream.insert(": waiting\n\n"));
    CHECK(stream.pass("\"}\n\n", 2) == http::Progress::incomplete);
    CHECK(stream.insert(": waiting\n\n"));
    CHECK(stream.got().ends_with("x\"}\n\n: waiting\n\n"));
}

TEST_CASE("without a buffer nothing is said, and nothing of it leaves") {
    Stream stream(Framing::until_close, Framing::chunked);
    std::vector<mem::Slice> all;
    while (stream.memory.buffers.available() > 0) {
        const auto lent = stream.memory.buffers.lend();
        all.push_back(stream.memory.buffers.filled(lent.id, 1));
    }
    CHECK_FALSE(stream.insert(": waiting\n\n"));
    all.clear();
    CHECK(stream.insert(": waiting\n\n"));
}
