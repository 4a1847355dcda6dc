#include "conversation.h"

#include "body_span.h"
#include "sluice/policy/prefix_hasher.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace sluice::proxy {

std::uint64_t conversation_of(const RequestState& request) {
    const auto& facts = request.facts;
    std::array<llm::Span, 2> spans{llm::inside(facts.instructions_value),
                                   llm::inside(facts.prompt_value)};
    if (!facts.conversation_value.empty()) {
        spans = {facts.conversation_value, {}};
    } else if (!facts.opening.empty()) {
        spans[1].end = std::min(spans[1].end, facts.opening.end);
    } else {
        // Without messages: how the text begins.
        for (llm::Span& span : spans)
            span.end = std::min(span.end, span.begin + policy::prefix_block_bytes(0));
    }
    std::size_t bytes = 0;
    for (const llm::Span span : spans)
        bytes += span.end - span.begin;
    if (bytes == 0) return 0;
    policy::PrefixHashes hashes;
    policy::PrefixHasher hasher(hashes, 0, bytes);
    for (const llm::Span span : spans)
        for_each_part(request.body, span, [&](std::string_view part) { hasher.feed(part); });
    hasher.finish();
    return hashes.conversation;
}

}  // namespace sluice::proxy
