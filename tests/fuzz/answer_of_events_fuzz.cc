// Whatever a stream holds: a document that is made of it is sound JSON, tells itself in a stream
// again wherever it can, and comes out of that stream as it was. A stream that was cut has no
// document that differs from the whole one's.
//
// Input: the form as a digit, then the stream.
#include "answers.h"
#include "sluice/base/assert.h"

#include <cstdint>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto form = static_cast<AnswerForm>(data[0] % 6);
    const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Result<std::string> document = answer_of_events(form, stream);
    if (!document.ok()) {
        SLUICE_ASSERT(!document.error().message.empty());
        return 0;
    }
    for (const bool include_usage : {false, true})
        (void)chunks_with_usage(stream, include_usage);
    const Result<std::string> told = events_of_answer(form, document.value(), true);
    // The library refuses halves of surrogate pairs and numbers of many digits; and deep down a key
    // may be there twice.
    if (!told.ok() || !same_json(document.value(), document.value())) return 0;
    const Result<std::string> again = answer_of_events(form, told.value());
    SLUICE_ASSERT(again.ok());
    SLUICE_ASSERT(same_json(again.value(), document.value(), Nulls::are_nothing));
    return 0;
}
