// What an answer says about tokens must not depend on how it was split, nor on whether it came as
// one event or as a whole body; and no text may harm the readers.
//
// Input: an event stream, lines of JSON, or one JSON value: it is read as each of them. The splits
// are seeded by its length and its first byte.
#include "sluice/base/prng.h"
#include "sluice/llm/response_reader.h"
#include "streams.h"

#include <cstdint>

using namespace sluice;
using namespace sluice::llm;

namespace {

bool same(const Usage& a, const Usage& b) {
    return a.known == b.known && a.prompt == b.prompt && a.completion == b.completion &&
           a.cached == b.cached;
}

void check_counts(const Usage& usage) {
    SLUICE_ASSERT(usage.cached <= usage.prompt);
    SLUICE_ASSERT(!usage.known || usage.prompt + usage.completion > 0);
}

void check_value(std::string_view text, Prng& prng) {
    Usage from_event;
    const EventFacts facts = read_event({}, text, from_event);
    check_counts(from_event);
    SLUICE_ASSERT(!(facts.usage_only && (facts.content || facts.finished || facts.error)));

    ResponseReader whole;
    whole.feed(text);
    ResponseReader split;
    for (std::string_view rest = text; !rest.empty();) {
        const std::string run(rest.substr(0, prng.between(0, 16)));
        split.feed(run);
        rest.remove_prefix(run.size());
    }
    SLUICE_ASSERT(same(whole.usage(), split.usage()));
    SLUICE_ASSERT(whole.complete() == split.complete());
    SLUICE_ASSERT(whole.error() == split.error());
    check_counts(whole.usage());
    // An event is read without its escapes decoded.
    if (whole.complete() && text.find('\\') == std::string_view::npos) {
        SLUICE_ASSERT(same(whole.usage(), from_event));
        SLUICE_ASSERT(whole.error() == facts.error);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Prng prng(size * 256 + data[0]);
    check_value(text, prng);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        check_value(text.substr(at, end - at), prng);
        at = end + 1;
    }
    Usage usage;
    for (const sse::test::Seen& event : sse::test::scan(text, {})) {
        read_event(event.name, event.data, usage);
        check_counts(usage);
    }
    return 0;
}
