// What the relay costs a receive: one SSE event of a token (250 bytes) in a chunk of its own, as
// llama-server sends it, on each of its lanes; and what it costs when a receive holds several.
#include "sluice/answer/relay.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::answer {

namespace {

using http::Framing;

std::string event_text() {
    std::string event =
        "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\" "
        "room\"}}],"
        "\"created\":1795227825,\"id\":\"chatcmpl-mmMiWSPviQDG4en5YVFg7eEZVN9dT76J\","
        "\"model\":\"tiny-chat\",\"object\":\"chat.completion.chunk\"";
    event.resize(247, ' ');
    return event + "}\n\n";
}

std::string as_chunk(const std::string& event) {
    return "fa\r\n" + event + "\r\n";
}

struct Rig {
    Rig(Framing in, Framing out, bool hide) {
        http::Head head;
        const std::string_view text = in == Framing::chunked
                                          ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                          : "HTTP/1.1 200 OK\r\n\r\n";
        if (parser.parse_head(text, head) != http::Progress::complete) std::abort();
        relay.begin({.in = in, .out = out, .event_stream = true, .hide_usage_event = hide});
    }
    mem::Slice received(std::string_view text) {
        const auto lent = buffers.lend();
        std::memcpy(lent.data, text.data(), text.size());
        return buffers.filled(lent.id, text.size());
    }
    void take(std::string_view text) {
        std::size_t leftover = 0;
        mem::Chain out(nodes);
        const auto progress = relay.take(received(text), parser, scratch, buffers, out, leftover);
        benchmark::DoNotOptimize(out.size());
        if (progress != http::Progress::incomplete) std::abort();
    }

    mem::BufferPool buffers{limits::buffer_bytes, 64};
    mem::NodePool nodes;
    http::Parser parser{http::Parser::Side::response};
    RelayScratch scratch;
    Relay relay{nodes};
};

// What the rig itself costs: a buffer, its copy, and a chain of one slice.
void receive_only(benchmark::State& state) {
    Rig rig(Framing::chunked, Framing::chunked, false);
    const std::string chunk = as_chunk(event_text());
    for (auto _ : state) {
        mem::Chain out(rig.nodes);
        out.append(rig.received(chunk));
        benchmark::DoNotOptimize(out.size());
    }
}
BENCHMARK(receive_only);

void take_chunk(benchmark::State& state, Framing out, bool hide) {
    Rig rig(Framing::chunked, out, hide);
    const std::string chunk = as_chunk(event_text());
    for (auto _ : state)
        rig.take(chunk);
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.size()));
}
BENCHMARK_CAPTURE(take_chunk, fast_lane, Framing::chunked, false);
BENCHMARK_CAPTURE(take_chunk, hiding_usage, Framing::chunked, true);
BENCHMARK_CAPTURE(take_chunk, to_http_1_0, Framing::until_close, false);

void take_reframed(benchmark::State& state) {
    Rig rig(Framing::until_close, Framing::chunked, false);
    const std::string event = event_text();
    for (auto _ : state)
        rig.take(event);
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * event.size()));
}
BENCHMARK(take_reframed);

// The event arrives in two receives.
void take_halves(benchmark::State& state) {
    Rig rig(Framing::chunked, Framing::chunked, false);
    const std::string chunk = as_chunk(event_text());
    const std::string_view text = chunk;
    for (auto _ : state) {
        rig.take(text.substr(0, text.size() / 2));
        rig.take(text.substr(text.size() / 2));
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.size()));
}
BENCHMARK(take_halves);

void take_several(benchmark::State& state) {
    Rig rig(Framing::chunked, Framing::chunked, false);
    std::string chunks;
    for (std::int64_t i = 0; i < state.range(0); ++i)
        chunks += as_chunk(event_text());
    for (auto _ : state)
        rig.take(chunks);
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(take_several)->Arg(4)->Arg(12);

}  // namespace

}  // namespace sluice::answer

BENCHMARK_MAIN();
