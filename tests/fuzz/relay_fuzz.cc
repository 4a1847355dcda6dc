// The relay must say the same about a stream of any bytes however its chunks and its slices fall: a
// body leaves byte for byte, or without the events that a naive reader finds to be usage only; and
// wherever it breaks, an error event can be put behind what has left. Raw, not a byte of it
// changes, and the error event comes only where no event and no chunk has begun.
//
// Input: one byte of flags (bit 0: hide, bit 1: to HTTP/1.0, bit 2: JSON lines), one byte that
// seeds the splits, then the body.
#include "sluice/answer/relay.h"

#include "sluice/base/prng.h"
#include "sluice/llm/usage.h"
#include "streams.h"

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

using namespace sluice;
using namespace sluice::answer;

namespace {

std::string_view error_event_of(sse::Form form) {
    return form == sse::Form::json_lines ? "{\"error\":1}\n" : "data: {\"error\":1}\n\n";
}
// Bytes that are received at a time, at most.
constexpr std::size_t slice_bytes_max = 300;

// The body in chunks of random sizes.
std::string to_chunks(std::string_view body, Prng& prng) {
    std::string wire;
    while (!body.empty()) {
        const auto part = body.substr(0, prng.between(1, 200));
        char digits[16];
        const auto end = std::to_chars(digits, digits + sizeof(digits), part.size(), 16).ptr;
        wire.append(digits, end);
        wire += prng.chance(1, 4) ? ";a=b\r\n" : "\r\n";
        wire += part;
        wire += "\r\n";
        body.remove_prefix(part.size());
    }
    return wire + (prng.chance(1, 4) ? "0\r\nTrailer: x\r\n\r\n" : "0\r\n\r\n");
}

// The body in whole chunks; `ended`: the last one is there, and nothing behind it.
std::string from_chunks(std::string_view wire, bool& ended) {
    std::string body;
    ended = false;
    while (!wire.empty()) {
        SLUICE_ASSERT(!ended);
        std::size_t size = 0;
        const auto end = std::from_chars(wire.data(), wire.data() + wire.size(), size, 16).ptr;
        wire.remove_prefix(static_cast<std::size_t>(end - wire.data()));
        if (wire.starts_with(';')) wire.remove_prefix(wire.find('\r'));
        SLUICE_ASSERT(wire.starts_with("\r\n") && wire.size() >= size + 4);
        body += wire.substr(2, size);
        SLUICE_ASSERT(wire.substr(size + 2, 2) == "\r\n");
        wire.remove_prefix(size + 4);
        ended = size == 0;
    }
    return body;
}

struct Passed {
    std::string body;
    bool whole = false;
};

struct Pools {
    mem::BufferPool buffers{512, 16'384};
    mem::NodePool nodes;
};

struct Way {
    bool hide = false;
    http::Framing out = http::Framing::chunked;
    sse::Form form = sse::Form::event_stream;
};

// Relays `wire` in random slices; breaks off behind `end` bytes of it.
Passed relay(Pools& pools, std::string_view wire, Way way, std::size_t end, Prng& prng) {
    http::Parser parser(http::Parser::Side::response);
    http::Head head;
    const auto begun =
        parser.parse_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head);
    SLUICE_ASSERT(begun == http::Progress::complete);
    Relay relay(pools.nodes);
    relay.begin({.in = http::Framing::chunked,
                 .out = way.out,
                 .event_stream = true,
                 .form = way.form,
                 .hide_usage_event = way.hide});
    RelayScratch scratch;
    mem::Chain out(pools.nodes);
    auto progress = http::Progress::incomplete;
    for (std::size_t at = 0; at < end;) {
        const auto part = wire.substr(at, prng.between(1, std::min(end - at, slice_bytes_max)));
        const auto lent = pools.buffers.lend();
        std::memcpy(lent.data, part.data(), part.size());
        std::size_t leftover = 0;
        progress = relay.take(pools.buffers.filled(lent.id, part.size()), parser, scratch,
                              pools.buffers, out, leftover);
        SLUICE_ASSERT(progress != http::Progress::failed && leftover == 0);
        at += part.size();
    }
    const bool whole = progress == http::Progress::complete;
    if (!whole) SLUICE_ASSERT(relay.break_off(error_event_of(way.form), false, pools.buffers, out));
    Passed passed{out.to_string(), whole};
    if (way.out != http::Framing::chunked) return passed;
    bool ended = false;
    passed.body = from_chunks(passed.body, ended);
    SLUICE_ASSERT(ended == whole);
    return passed;
}

// The same, raw: every byte leaves as it comes, by the relay's hand or past it.
void check_raw(Pools& pools, std::string_view wire, Way way, std::size_t end, Prng& prng) {
    http::Parser parser(http::Parser::Side::response);
    http::Head head;
    const auto begun =
        parser.parse_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head);
    SLUICE_ASSERT(begun == http::Progress::complete);
    Relay relay(pools.nodes);
    relay.begin({.in = http::Framing::chunked,
                 .out = http::Framing::chunked,
                 .event_stream = true,
                 .form = way.form,
                 .raw = true});
    RelayScratch scratch;
    auto progress = http::Progress::incomplete;
    for (std::size_t at = 0; at < end;) {
        const auto part = wire.substr(at, prng.between(1, std::min(end - at, slice_bytes_max)));
        std::size_t leftover = 0;
        if (prng.chance(1, 2)) {
            progress = relay.watch(part, parser, scratch, leftover);
        } else {
            const auto lent = pools.buffers.lend();
            std::memcpy(lent.data, part.data(), part.size());
            mem::Chain out(pools.nodes);
            progress = relay.take(pools.buffers.filled(lent.id, part.size()), parser, scratch,
                                  pools.buffers, out, leftover);
            SLUICE_ASSERT(out.to_string() == part);
        }
        SLUICE_ASSERT(progress != http::Progress::failed && leftover == 0);
        at += part.size();
    }
    SLUICE_ASSERT((progress == http::Progress::complete) == (end == wire.size()));
    if (progress == http::Progress::complete) return;
    mem::Chain out(pools.nodes);
    if (!relay.break_off(error_event_of(way.form), false, pools.buffers, out)) {
        SLUICE_ASSERT(out.empty());
        return;
    }
    // What has left stands between chunks and between events; the error event is one of its own.
    bool ended = false;
    const std::string body = from_chunks(std::string(wire.substr(0, end)) + out.to_string(), ended);
    SLUICE_ASSERT(!ended && body.ends_with(error_event_of(way.form)));
    const auto events = way.form == sse::Form::json_lines ? sse::test::read_lines_by_reference(body)
                                                          : sse::test::read_by_reference(body);
    SLUICE_ASSERT(!events.empty() && events.back().data == "{\"error\":1}");
}

// What a naive reader makes of a stream: the events that carry something, but for the hidden ones.
std::vector<sse::test::Seen> events_of(std::string_view body, Way way) {
    std::vector<sse::test::Seen> events;
    for (auto& event : way.form == sse::Form::json_lines ? sse::test::read_lines_by_reference(body)
                                                         : sse::test::read_by_reference(body)) {
        if (event.comment_only) continue;
        llm::Usage usage;
        const bool read = !event.oversized;
        if (way.hide && read && llm::read_event(event.name, event.data, usage).usage_only) continue;
        events.push_back(std::move(event));
    }
    return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    Way way;
    way.hide = (data[0] & 1) != 0;
    if ((data[0] & 2) != 0) way.out = http::Framing::until_close;
    if ((data[0] & 4) != 0) way = {.out = way.out, .form = sse::Form::json_lines};
    const std::string body(data + 2, data + size);
    static Pools pools;
    Prng prng(data[1]);
    const std::string wire = to_chunks(body, prng);

    const Passed whole = relay(pools, wire, way, wire.size(), prng);
    SLUICE_ASSERT(whole.whole);
    // A mark of the byte order is one only at the begin, which a hidden event may take with it.
    const bool comparable = body.find("\xEF\xBB\xBF", 1) == std::string::npos;
    Way shown = way;
    shown.hide = false;
    if (!way.hide) SLUICE_ASSERT(whole.body == body);
    if (way.hide && comparable) SLUICE_ASSERT(events_of(whole.body, shown) == events_of(body, way));

    const std::size_t end = prng.below(wire.size());
    const Passed broken = relay(pools, wire, way, end, prng);
    SLUICE_ASSERT(broken.whole || broken.body.ends_with(error_event_of(way.form)));
    if (!broken.whole && !way.hide) {
        std::string_view before = broken.body;
        before.remove_suffix(error_event_of(way.form).size());
        SLUICE_ASSERT(before.size() <= body.size() && body.starts_with(before));
        // The error is an event of its own, behind events that were whole.
        const auto events = events_of(broken.body, shown);
        SLUICE_ASSERT(!events.empty() && events.back().data == "{\"error\":1}");
    }
    check_raw(pools, wire, way, wire.size(), prng);
    check_raw(pools, wire, way, end, prng);
    SLUICE_ASSERT(pools.nodes.in_use() == 0 && pools.buffers.in_use() <= 1);
    return 0;
}
