// Whatever a document holds: a stream that is made of it has the same document again, with the
// usage event and without it where the dialect has one.
//
// Input: the form as a digit, then the document.
#include "answers.h"
#include "sluice/base/assert.h"

#include <cstdint>

using namespace sluice;
using namespace sluice::llm;
using namespace sluice::llm::test;

namespace {

// An answer without usage is told, but nobody knows what its document would have said; and so is an
// object deep down that has a key with escapes, which would not be put together.
bool may_be_refused(std::string_view why) {
    return why.ends_with("it has no usage") || why.ends_with("cannot be put together");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto form = static_cast<AnswerForm>(data[0] % 6);
    const std::string_view document(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Result<std::string> stream = events_of_answer(form, document, true);
    if (!stream.ok()) return 0;
    const Result<std::string> again = answer_of_events(form, stream.value());
    // The library refuses halves of surrogate pairs and numbers of many digits; and deep down a key
    // may be there twice.
    const bool comparable = same_json(document, document);
    SLUICE_ASSERT(again.ok() || !comparable || may_be_refused(again.error().message));
    SLUICE_ASSERT(!again.ok() || !comparable ||
                  same_json(again.value(), document, Nulls::are_nothing));
    if (form != AnswerForm::chat && form != AnswerForm::completion) return 0;
    const Result<std::string> unasked = events_of_answer(form, document, false);
    Result<std::string> hidden = chunks_with_usage(stream.value(), false);
    SLUICE_ASSERT(unasked.ok());
    if (hidden.ok()) SLUICE_ASSERT(text_of(chunks_with_usage(hidden.value(), false)) == *hidden);
    return 0;
}
