// The reader of forms must say the same in every split, and the model's place must hold the model.
//
// Input: the Content-Type, a line end, the body. The splits are seeded by the body's length.
#include "sluice/llm/multipart.h"

#include "sluice/base/assert.h"
#include "sluice/base/prng.h"
#include "sluice/llm/edits.h"

#include <cstdint>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::llm;

namespace {

Result<RequestFacts> read(std::string_view content_type, std::string_view body, Prng* splits) {
    Result<MultipartReader> reader = MultipartReader::create(content_type);
    if (!reader.ok()) return reader.error();
    while (!body.empty()) {
        const std::size_t length = splits == nullptr ? body.size() : splits->between(0, 16);
        const std::string run(body.substr(0, length));
        reader->feed(run);
        body.remove_prefix(run.size());
    }
    return reader->finish();
}

void check_same(const Result<RequestFacts>& a, const Result<RequestFacts>& b) {
    SLUICE_ASSERT(a.ok() == b.ok());
    if (!a.ok()) {
        SLUICE_ASSERT(a.error().message == b.error().message);
        return;
    }
    SLUICE_ASSERT(a.value().model == b.value().model);
    SLUICE_ASSERT(a.value().model_value.begin == b.value().model_value.begin);
    SLUICE_ASSERT(a.value().model_value.end == b.value().model_value.end);
    SLUICE_ASSERT(a.value().stream == b.value().stream);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t line_end = input.find('\n');
    if (line_end == std::string_view::npos) return 0;
    const std::string_view content_type = input.substr(0, line_end);
    const std::string_view body = input.substr(line_end + 1);
    const Result<RequestFacts> whole = read(content_type, body, nullptr);
    Prng prng(size);
    for (int i = 0; i < 4; ++i)
        check_same(read(content_type, body, &prng), whole);
    if (!whole.ok() || whole.value().model.empty()) return 0;

    const RequestFacts& facts = whole.value();
    const Span place = facts.model_value;
    SLUICE_ASSERT(body.substr(place.begin, place.end - place.begin) == facts.model);
    const EditList edits = plan_edits(BodyKind::multipart, facts, {.model = "an other"});
    const std::string edited = apply_edits(body, edits.edits());
    const Result<RequestFacts> after = read(content_type, edited, nullptr);
    SLUICE_ASSERT(after.ok() && after.value().model == "an other");
    return 0;
}
