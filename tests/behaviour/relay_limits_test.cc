// What the relay does at its limits: nothing is copied where nothing must be, long events pass in
// bounded memory, and a relay without buffers says so instead of ending a body that is not whole.
#include "relay_rig.h"
#include "sluice/base/limits.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::answer;
using namespace sluice::answer::test;

namespace {

// A relay whose output is looked at and dropped slice by slice, as a client that takes all would.
struct Passing {
    Passing(Memory& all, const Wire& wire, Framing out, bool hide = false)
        : memory(all), relay(all.nodes), taken(all.nodes) {
        std::string head = "HTTP/1.1 200 OK\r\n";
        if (wire.framing == Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
        http::Head parsed;
        REQUIRE(parser.parse_head(head + "\r\n", parsed) == http::Progress::complete);
        relay.begin({.in = wire.framing,
                     .out = out,
                     .event_stream = true,
                     .form = wire.form,
                     .hide_usage_event = hide});
    }
    ~Passing() {
        relay.break_off({}, false, memory.buffers, taken);
        taken.clear();
        CHECK(memory.empty());
    }

    http::Progress take(const mem::Slice& slice) {
        taken.clear();
        std::size_t leftover = 0;
        return relay.take(slice, parser, scratch, memory.buffers, taken, leftover);
    }
    // Takes text in buffers of the pool's size; what leaves is added to `sent`.
    http::Progress pass(std::string_view text) {
        auto progress = http::Progress::incomplete;
        while (!text.empty() && progress == http::Progress::incomplete) {
            const auto part = text.substr(0, limits::buffer_bytes);
            progress = take(memory.slice_of(part));
            text.remove_prefix(part.size());
            sent += taken.to_string();
            taken.clear();
            held_most = std::max(held_most, memory.buffers.in_use());
        }
        return progress;
    }

    Memory& memory;
    http::Parser parser{http::Parser::Side::response};
    RelayScratch scratch;
    Relay relay;
    mem::Chain taken;
    std::string sent;
    std::size_t held_most = 0;
};

std::string long_event(std::size_t bytes) {
    return "data: {\"content\":\"" + std::string(bytes, 'x') + "\"}\n\n";
}

}  // namespace

TEST_CASE("whole events in whole chunks leave in the buffer they came in, and take no other") {
    for (const Body& body : streams()) {
        CAPTURE(body.name);
        const Wire wire = encode(body, Framing::chunked);
        Memory memory;
        Passing passing(memory, wire, Framing::chunked);
        std::size_t begin = 0;
        // The last one is its begin only where a part of an event is left.
        const std::size_t whole = body.events.size();
        for (std::size_t i = 0; i < whole; begin = wire.aligned[i++]) {
            passing.taken.clear();
            const mem::Slice slice = memory.slice_of(
                std::string_view(wire.bytes).substr(begin, wire.aligned[i] - begin));
            const std::size_t before = memory.buffers.in_use();
            CHECK(passing.take(slice) == http::Progress::incomplete);
            REQUIRE(passing.taken.slices() == 1);
            CHECK(passing.taken.front().data() == slice.data());
            CHECK(passing.taken.front().size() == slice.size());
            CHECK(memory.buffers.in_use() == before);
        }
    }
}

TEST_CASE("fault 100: a thousand events in one segment leave as one slice") {
    const Body body{.name = "many", .events = std::vector<Event>(1000, {"data: {}\n\n"})};
    for (const Chunking chunking : {Chunking::event, Chunking::whole}) {
        const Wire wire = encode(body, Framing::chunked, chunking);
        Memory memory;
        Passing passing(memory, wire, Framing::chunked);
        CHECK(passing.take(mem::Slice::of_static(wire.bytes)) == http::Progress::complete);
        CHECK(passing.taken.slices() == 1);
        CHECK(passing.taken.to_string() == wire.bytes);
        CHECK(memory.buffers.in_use() == 0);
    }
}

TEST_CASE("fault 100: an event of 2 to 16 MiB passes, and little of it is held") {
    for (const std::size_t size : {2 * limits::MiB, 16 * limits::MiB}) {
        for (const Framing in : {Framing::chunked, Framing::until_close}) {
            Body body{.name = "long", .events = {{"data: 1\n\n"}, {long_event(size)}}};
            body.events.push_back({"data: [DONE]\n\n"});
            const Wire wire = encode(body, in);
            Memory memory(64);
            Passing passing(memory, wire, in);
            passing.pass(wire.bytes);
            mem::Chain end(memory.nodes);
            if (in == Framing::until_close) CHECK(passing.relay.end(memory.buffers, end));
            CHECK(passing.relay.saw_done());
            // 64 KiB of the event, the slice at hand, and the buffer of the size lines.
            CHECK(passing.held_most <= limits::sse_event_bytes_max / limits::buffer_bytes + 3);
            ChunkDecoder decoder;
            const bool chunked = in == Framing::chunked;
            if (chunked) REQUIRE(decoder.take(passing.sent));
            CHECK((chunked ? decoder.body() : passing.sent) == body.text());
        }
    }
}

TEST_CASE(
    "faults 70, 100: a stream that breaks within a long event still ends with an error event") {
    const Body body{.name = "long", .events = {{"data: 1\n\n"}, {long_event(limits::MiB)}}};
    const Wire wire = encode(body, Framing::chunked);
    Memory memory(64);
    Passing passing(memory, wire, Framing::chunked);
    passing.pass(std::string_view(wire.bytes).substr(0, limits::MiB / 2));
    mem::Chain out(memory.nodes);
    CHECK(passing.relay.break_off("data: {\"error\":1}\n\n", true, memory.buffers, out));
    ChunkDecoder decoder;
    REQUIRE(decoder.take(passing.sent + out.to_string()));
    CHECK(decoder.ended());
    CHECK(decoder.body().starts_with("data: 1\n\ndata: {\"content\":\"xxx"));
    CHECK(decoder.body().ends_with("xxx\n\ndata: {\"error\":1}\n\n"));
}

TEST_CASE("an event as long as may be held is held, and one byte more is not") {
    const std::string frame = long_event(0);
    // The empty line does not count: the event is held until it is whole.
    const std::size_t fits = limits::sse_event_bytes_max - frame.size() + 1;
    for (const std::size_t size : {fits, fits + 1}) {
        const std::string event = long_event(size);
        Memory memory(64);
        const Body body{.name = "long", .events = {{event}}};
        const Wire wire = encode(body, Framing::until_close);
        Passing passing(memory, wire, Framing::until_close);
        passing.pass(std::string_view(event).substr(0, event.size() - 1));
        CHECK(passing.sent.empty() == (size == fits));
        passing.pass("\n");
        CHECK(passing.sent == event);
    }
}

TEST_CASE("the event behind a long one is held and hidden again") {
    Body body{.name = "long", .events = {{long_event(100'000)}}};
    body.events.push_back({"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\n\n", true});
    body.events.push_back({"data: [DONE]\n\n"});
    const Wire wire = encode(body, Framing::until_close);
    for (std::size_t split = wire.bytes.size() - 80; split < wire.bytes.size(); ++split) {
        Memory memory(64);
        Passing passing(memory, wire, Framing::until_close, true);
        passing.pass(std::string_view(wire.bytes).substr(0, split));
        passing.pass(std::string_view(wire.bytes).substr(split));
        CHECK(passing.sent == body.events[0].bytes + body.events[2].bytes);
        CHECK(passing.relay.usage().prompt == 7);
    }
}

TEST_CASE("a relay without a buffer for a size line fails, says why, and never ends the body") {
    const Body body{.name = "stream", .events = {{"data: 1\n\n"}, {"data: [DONE]\n\n"}}};
    for (const Chunking chunking : {Chunking::whole, Chunking::odd_lines}) {
        const Wire wire = encode(body, Framing::chunked, chunking);
        for (std::size_t cut = 1; cut <= wire.bytes.size(); ++cut) {
            CAPTURE(cut);
            Memory memory(2);
            Passing passing(memory, wire, Framing::chunked);
            const mem::Slice other = memory.slice_of("somebody else's");
            auto progress = http::Progress::incomplete;
            std::string sent;
            {
                const mem::Slice first =
                    memory.slice_of(std::string_view(wire.bytes).substr(0, cut));
                progress = passing.take(first);
                sent = passing.taken.to_string();
                passing.taken.clear();
            }
            if (progress == http::Progress::incomplete && memory.buffers.available() > 0) {
                progress = passing.take(memory.slice_of(std::string_view(wire.bytes).substr(cut)));
                sent += passing.taken.to_string();
            }
            ChunkDecoder decoder;
            CHECK(decoder.take(sent));
            const bool whole = progress == http::Progress::complete;
            CHECK(decoder.ended() == whole);
            if (whole) CHECK(decoder.body() == body.text());
            CHECK(passing.relay.out_of_buffers() == (progress == http::Progress::failed));
        }
    }
}

TEST_CASE("the end of a body that only the connection ends needs a buffer too") {
    const Body body{.name = "unfinished", .events = {{"data: 1\n\n"}}, .rest = "data: 2\n"};
    const Wire wire = encode(body, Framing::until_close);
    Memory memory(1);
    Passing passing(memory, wire, Framing::chunked);
    CHECK(passing.take(memory.slice_of("data: 2\n")) == http::Progress::incomplete);
    mem::Chain out(memory.nodes);
    CHECK_FALSE(passing.relay.end(memory.buffers, out));
    CHECK(passing.relay.out_of_buffers());
    CHECK(out.empty());
}

TEST_CASE("fault 72: what stands behind a body is left over, and does not leave") {
    const Body body{.name = "stream", .events = {{"data: [DONE]\n\n"}}};
    const Wire wire = encode(body, Framing::chunked);
    Memory memory;
    Passing passing(memory, wire, Framing::chunked);
    const mem::Slice slice = memory.slice_of(wire.bytes + "HTTP/1.1 200 OK\r\n");
    std::size_t leftover = 0;
    CHECK(passing.relay.take(slice, passing.parser, passing.scratch, memory.buffers, passing.taken,
                             leftover) == http::Progress::complete);
    CHECK(leftover == 17);
    CHECK(passing.taken.to_string() == wire.bytes);
}

TEST_CASE("faults 29, 31: a backend that breaks its chunks fails, and what was whole has left") {
    const std::string good = "9\r\ndata: 1\n\n\r\n";
    for (const std::string_view bad : {"x\r\n", "-1\r\n", "3\r\nabcd\r\n", "ffffffffffffffffff\r\n",
                                       "1 \r\na\r\n", "0\r\n bad\r\n\r\n"}) {
        CAPTURE(bad);
        const Wire wire = encode({}, Framing::chunked);
        Memory memory;
        Passing passing(memory, wire, Framing::chunked);
        CHECK(passing.pass(good) == http::Progress::incomplete);
        CHECK(passing.pass(bad) == http::Progress::failed);
        CHECK_FALSE(passing.relay.out_of_buffers());
        CHECK(passing.sent == good);
        CHECK(passing.relay.break_off("data: e\n\n", false, memory.buffers, passing.taken));
        CHECK(passing.taken.to_string() == "9\r\ndata: e\n\n\r\n");
    }
}

TEST_CASE("the framing for a client is one it can read, and the backend's own where it is") {
    struct Row {
        Framing in;
        int minor;
        bool changes;
        Framing out;
    };
    for (const Row& row :
         {Row{Framing::none, 1, false, Framing::none}, Row{Framing::none, 0, true, Framing::none},
          Row{Framing::length, 1, false, Framing::length},
          Row{Framing::length, 0, false, Framing::length},
          Row{Framing::length, 1, true, Framing::chunked},
          Row{Framing::length, 0, true, Framing::until_close},
          Row{Framing::chunked, 1, false, Framing::chunked},
          Row{Framing::chunked, 1, true, Framing::chunked},
          Row{Framing::chunked, 0, false, Framing::until_close},
          Row{Framing::until_close, 1, false, Framing::chunked},
          Row{Framing::until_close, 0, false, Framing::until_close}}) {
        CAPTURE(static_cast<int>(row.in));
        CAPTURE(row.minor);
        CAPTURE(row.changes);
        CHECK(choose_framing(row.in, row.minor, row.changes) == row.out);
    }
}
