// What the key of a request costs, beside the plain read of the same body that every request pays:
// by size, and by how the body is written.
#include "sluice/cache/key.h"

#include "sluice/llm/body_reader.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::cache {

namespace {

constexpr std::string_view plain =
    "The quick brown fox jumps over the lazy dog, and so on it goes. ";
constexpr std::string_view code =
    "if (x == \\\"y\\\") {\\n    return;\\n}\\n// a line of comment\\n";
// As a client writes it that keeps to ASCII.
constexpr std::string_view escapes = "\\u6771\\u4eac\\u306f\\u65e5\\u672c\\u306e\\u9996\\u90fd. ";

std::string body_of(std::string_view text, std::size_t bytes) {
    std::string body =
        "{\"model\":\"qwen2.5-coder\",\"stream\":true,\"temperature\":0,\"max_tokens\":256,"
        "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"
        "{\"role\":\"user\",\"content\":\"";
    while (body.size() + text.size() + 4 < bytes)
        body += text;
    body.append("\"}]}");
    return body;
}

// An agent's: a tool's schema after the other.
std::string tools_of(std::size_t bytes) {
    std::string body = R"({"model":"qwen2.5-coder","temperature":0,"messages":[],"tools":[)";
    while (body.size() < bytes) {
        body +=
            R"({"type":"function","function":{"name":"read_file","description":"Reads a file.",)"
            R"("parameters":{"type":"object","properties":{"path":{"type":"string"},)"
            R"("offset":{"type":"integer","minimum":0},"limit":{"type":"integer"}},)"
            R"("required":["path"]}}},)";
    }
    body.back() = ']';
    return body + "}";
}

const llm::Endpoint& chat = *llm::find_endpoint("/v1/chat/completions");

void make_key(benchmark::State& state, const std::string& body) {
    KeyMaker maker;
    const KeyParts parts{
        {ScopeKind::consumer, "anna"}, "qwen", "qwen2.5-coder", "b1234", chat.path};
    for ([[maybe_unused]] auto _ : state) {
        const Bypass bypass = maker.read(chat, body);
        benchmark::DoNotOptimize(bypass);
        const Key key = maker.key(parts);
        benchmark::DoNotOptimize(key);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}

std::size_t size_of(const benchmark::State& state) {
    return static_cast<std::size_t>(state.range(0));
}

void read_body(benchmark::State& state) {
    const std::string body = body_of(plain, size_of(state));
    for ([[maybe_unused]] auto _ : state) {
        llm::BodyReader reader;
        reader.feed(body);
        const auto facts = reader.finish();
        benchmark::DoNotOptimize(facts.ok());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
// Of which the most is this.
void digest_of_body(benchmark::State& state) {
    const std::string body = body_of(plain, size_of(state));
    for ([[maybe_unused]] auto _ : state) {
        const Digest digest = sha256(body);
        benchmark::DoNotOptimize(digest);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
void canonical_form(benchmark::State& state) {
    const std::string body = body_of(plain, size_of(state));
    CanonicalRequest request;
    for ([[maybe_unused]] auto _ : state) {
        const Bypass bypass = request.read(chat, body);
        benchmark::DoNotOptimize(bypass);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
void key_plain(benchmark::State& state) {
    make_key(state, body_of(plain, size_of(state)));
}
void key_code(benchmark::State& state) {
    make_key(state, body_of(code, size_of(state)));
}
void key_escapes(benchmark::State& state) {
    make_key(state, body_of(escapes, size_of(state)));
}
void key_tools(benchmark::State& state) {
    make_key(state, tools_of(size_of(state)));
}

BENCHMARK(read_body)->Arg(1 << 10)->Arg(16 << 10);
BENCHMARK(digest_of_body)->Arg(1 << 10)->Arg(16 << 10);
BENCHMARK(canonical_form)->Arg(1 << 10)->Arg(16 << 10);
BENCHMARK(key_plain)->Arg(1 << 10)->Arg(16 << 10);
BENCHMARK(key_code)->Arg(1 << 10)->Arg(16 << 10);
BENCHMARK(key_escapes)->Arg(1 << 10)->Arg(16 << 10);
BENCHMARK(key_tools)->Arg(1 << 10)->Arg(16 << 10);

}  // namespace

}  // namespace sluice::cache

BENCHMARK_MAIN();
