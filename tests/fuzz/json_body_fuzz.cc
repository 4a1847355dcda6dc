// The reader of request bodies must agree with a library's parser on what JSON is and which model
// it names, must say the same in every split, its spans must be whole values, and its edits must
// do what they are meant to.
//
// Input: the body. The splits are seeded by its length and its first byte.
#include "json_peer.h"
#include "sluice/base/prng.h"
#include "sluice/llm/edits.h"

#include <cstdint>
#include <string>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

Result<RequestFacts> read(std::string_view body, Prng* splits) {
    BodyReader reader;
    while (!body.empty()) {
        const std::size_t length = splits == nullptr ? body.size() : splits->between(0, 16);
        const std::string run(body.substr(0, length));
        reader.feed(run);
        body.remove_prefix(run.size());
    }
    return reader.finish();
}

bool same(Span a, Span b) {
    return a.begin == b.begin && a.end == b.end;
}

void check_same(const Result<RequestFacts>& a, const Result<RequestFacts>& b) {
    SLUICE_ASSERT(a.ok() == b.ok());
    if (!a.ok()) {
        SLUICE_ASSERT(a.error().message == b.error().message);
        return;
    }
    const RequestFacts& x = a.value();
    const RequestFacts& y = b.value();
    SLUICE_ASSERT(x.model == y.model && same(x.model_value, y.model_value));
    SLUICE_ASSERT(same(x.model_null, y.model_null));
    SLUICE_ASSERT(x.stream == y.stream && x.max_tokens == y.max_tokens);
    SLUICE_ASSERT(same(x.object_open, y.object_open) && x.include_usage == y.include_usage);
    SLUICE_ASSERT(same(x.stream_options, y.stream_options));
    SLUICE_ASSERT(same(x.include_usage_value, y.include_usage_value));
    SLUICE_ASSERT(same(x.prompt_value, y.prompt_value) && same(x.opening, y.opening));
    SLUICE_ASSERT(same(x.instructions_value, y.instructions_value) && x.tools == y.tools);
    SLUICE_ASSERT(same(x.conversation_value, y.conversation_value));
    SLUICE_ASSERT(same(x.user_id_value, y.user_id_value));
}

// Each span is a whole value, and the opening lies within the prompt.
void check_spans(std::string_view body, const RequestFacts& facts) {
    for (const Span span : {facts.prompt_value, facts.instructions_value, facts.conversation_value,
                            facts.user_id_value}) {
        SLUICE_ASSERT(span.begin <= span.end && span.end <= body.size());
        if (span.empty()) continue;
        const std::string_view value = body.substr(span.begin, span.end - span.begin);
        const std::string whole = "{\"model\":\"m\",\"value\":" + std::string(value) + "}";
        SLUICE_ASSERT(read(whole, nullptr).ok());
    }
    if (facts.opening.empty()) return;
    SLUICE_ASSERT(body[facts.prompt_value.begin] == '[' && body[facts.opening.end - 1] == '}');
    SLUICE_ASSERT(facts.opening.begin == facts.prompt_value.begin + 1);
    SLUICE_ASSERT(facts.opening.end < facts.prompt_value.end);
}

void check_edits(std::string_view body, const RequestFacts& facts) {
    const EditPlan plan{.model = "an \"other\"", .include_usage = true};
    const EditList edits = plan_edits(BodyKind::json, facts, plan);
    const std::string edited = apply_edits(body, edits.edits());
    SLUICE_ASSERT(edited.size() == edits.edited_size(body.size()));
    const Result<RequestFacts> after = read(edited, nullptr);
    SLUICE_ASSERT(after.ok());
    SLUICE_ASSERT(after.value().model == plan.model);
    SLUICE_ASSERT(after.value().stream == facts.stream);
    SLUICE_ASSERT(after.value().max_tokens == facts.max_tokens);
    SLUICE_ASSERT(asks_for_usage(after.value()) == can_ask_for_usage(facts));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view body(reinterpret_cast<const char*>(data), size);
    SLUICE_ASSERT(agrees(compare(body)));
    const Result<RequestFacts> whole = read(body, nullptr);
    Prng prng(size * 256 + data[0]);
    for (int i = 0; i < 4; ++i)
        check_same(read(body, &prng), whole);
    if (!whole.ok()) return 0;
    check_edits(body, whole.value());
    check_spans(body, whole.value());
    return 0;
}
