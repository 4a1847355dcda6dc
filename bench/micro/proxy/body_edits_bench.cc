// What it costs to change a body in place, by its size: the name of its model, and the usage that a
// stream is made to tell. The body lies in buffers, as it was received.
#include "body_edits.h"

#include "sluice/base/limits.h"
#include "sluice/llm/body_reader.h"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

namespace sluice::proxy {

namespace {

void edit_in_place(benchmark::State& state) {
    std::string text = R"({"model":"qwen2.5-coder","stream":true,"messages":[{"content":")";
    text.resize(static_cast<std::size_t>(state.range(0)) - 4, 'x');
    text += "\"}]}";
    llm::BodyReader reader;
    reader.feed(text);
    const llm::RequestFacts facts = reader.finish().value();

    mem::BufferPool buffers(limits::buffer_bytes, 1024);
    mem::NodePool nodes;
    mem::Chain body(nodes);
    if (!body.append_copy(buffers, text)) std::abort();
    for ([[maybe_unused]] auto _ : state) {
        const auto edits =
            llm::plan_edits(llm::BodyKind::json, facts, {.model = "other", .include_usage = true});
        mem::Chain message(nodes);
        if (!append_edited(message, body, edits, buffers)) std::abort();
        benchmark::DoNotOptimize(message.size());
    }
}
BENCHMARK(edit_in_place)->Arg(1 << 10)->Arg(16 << 10)->Arg(256 << 10)->Arg(1 << 20);

}  // namespace

}  // namespace sluice::proxy
