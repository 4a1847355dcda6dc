// What the parser and the writer cost a request: a head of 500 bytes, as the OpenAI SDK sends it,
// and a chunk with one SSE event of a token.
#include "sluice/http/parser.h"
#include "sluice/http/writer.h"

#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

namespace sluice::http {

namespace {

const std::string request_head =
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "Host: 127.0.0.1:8642\r\n"
    "Accept: application/json\r\n"
    "Content-Type: application/json\r\n"
    "User-Agent: OpenAI/JS 4.71.1\r\n"
    "X-Stainless-Lang: js\r\n"
    "X-Stainless-Package-Version: 4.71.1\r\n"
    "X-Stainless-OS: Linux\r\n"
    "X-Stainless-Arch: x64\r\n"
    "X-Stainless-Runtime: node\r\n"
    "X-Stainless-Runtime-Version: v20.11.0\r\n"
    "X-Stainless-Retry-Count: 0\r\n"
    "Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n"
    "Accept-Encoding: identity\r\n"
    "Connection: keep-alive\r\n"
    "Content-Length: 182\r\n"
    "\r\n";

const std::string response_head =
    "HTTP/1.1 200 OK\r\n"
    "Server: llama.cpp\r\n"
    "Access-Control-Allow-Origin: \r\n"
    "X-Accel-Buffering: no\r\n"
    "Content-Type: text/event-stream\r\n"
    "Transfer-Encoding: chunked\r\n"
    "Keep-Alive: timeout=5, max=100\r\n"
    "\r\n";

// One event of llama-server: 250 bytes.
std::string event_chunk() {
    std::string event =
        "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\" "
        "room\"}}],"
        "\"created\":1795227825,\"id\":\"chatcmpl-mmMiWSPviQDG4en5YVFg7eEZVN9dT76J\","
        "\"model\":\"tiny-chat\",\"object\":\"chat.completion.chunk\"";
    event.resize(247, ' ');
    event += "}\n\n";
    return "fa\r\n" + event + "\r\n";
}

void parse_request_head(benchmark::State& state) {
    Head head;
    // A fresh parser each time, because the body is left unread.
    for (auto _ : state) {
        Parser fresh(Parser::Side::request);
        benchmark::DoNotOptimize(fresh.parse_head(request_head, head));
        benchmark::DoNotOptimize(head.count);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * request_head.size()));
}
BENCHMARK(parse_request_head);

void parse_response_head(benchmark::State& state) {
    Head head;
    for (auto _ : state) {
        Parser fresh(Parser::Side::response);
        benchmark::DoNotOptimize(fresh.parse_head(response_head, head));
        benchmark::DoNotOptimize(head.count);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * response_head.size()));
}
BENCHMARK(parse_response_head);

// A receive with this many chunks.
void parse_chunks(benchmark::State& state) {
    Parser parser(Parser::Side::response);
    Head head;
    if (parser.parse_head(response_head, head) != Progress::complete) std::abort();
    std::string bytes;
    for (std::int64_t i = 0; i < state.range(0); ++i)
        bytes += event_chunk();
    std::vector<BodyPiece> pieces;
    std::size_t consumed = 0;
    for (auto _ : state) {
        pieces.clear();
        benchmark::DoNotOptimize(parser.parse_body(bytes, pieces, consumed));
    }
    if (pieces.empty() || !pieces.back().intact) std::abort();
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(parse_chunks)->Arg(1)->Arg(8);

void forward_head(benchmark::State& state) {
    Parser parser(Parser::Side::request);
    Head head;
    if (parser.parse_head(request_head, head) != Progress::complete) std::abort();
    constexpr FieldSet without = {FieldId::host, FieldId::authorization, FieldId::expect};
    std::array<char, 4096> room;
    for (auto _ : state) {
        HeadWriter writer(room);
        writer.request_line(head.method_text, head.target);
        writer.field("Host", "127.0.0.1:8081");
        writer.forward(head, without);
        writer.field("Content-Length", head.content_length);
        writer.end();
        benchmark::DoNotOptimize(writer.text().size());
    }
}
BENCHMARK(forward_head);

}  // namespace

}  // namespace sluice::http

BENCHMARK_MAIN();
