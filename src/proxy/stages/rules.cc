// rules: the model that the settings choose for a request, by more than the name it asks for.
#include "body_span.h"
#include "sluice/policy/prefix_hasher.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <array>

namespace sluice::proxy {
namespace {

using By = config::HashSetting::By;

std::size_t size_of(llm::Span span) {
    return span.end - span.begin;
}

// The same number for every turn of a conversation, on every shard and after a restart: of what the
// client says belongs together, else of the prompt up to the end of the first user message.
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
        spans[0].end = std::min(spans[0].end, spans[0].begin + policy::prefix_block_bytes(0));
        spans[1].end = std::min(spans[1].end, spans[1].begin + policy::prefix_block_bytes(0));
    }
    const std::size_t bytes = size_of(spans[0]) + size_of(spans[1]);
    if (bytes == 0) return 0;
    policy::PrefixHashes hashes;
    policy::PrefixHasher hasher(hashes, 0, bytes);
    for (const llm::Span span : spans)
        for_each_part(request.body, span, [&](std::string_view part) { hasher.feed(part); });
    hasher.finish();
    return hashes.conversation;
}

// A number as a key; 0 is none.
std::string_view key_of(const std::uint64_t& number) {
    if (number == 0) return {};
    return {reinterpret_cast<const char*>(&number), sizeof number};
}

}  // namespace

Verdict rules_on_head(Exchange& exchange, const http::Head& head, Reply&) {
    if (exchange.service.rules.empty() || exchange.is_generic()) return Verdict::next;
    exchange.request->head = std::make_unique<HeadCopy>(head);
    return Verdict::next;
}

Verdict rules_on_body(Exchange& exchange, Reply&) {
    RequestState& request = *exchange.request;
    if (request.head == nullptr) return Verdict::next;
    const policy::RuleTable& rules = exchange.service.rules;
    const auto& facts = request.facts;
    const policy::Consumer* consumer = exchange.consumer;
    const std::uint64_t whose = exchange.counts_for();
    const std::uint64_t conversation =
        rules.splits_by(By::conversation) ? conversation_of(request) : 0;
    const auto choice = rules.choose(
        {.method = exchange.method_text,
         .path = exchange.path,
         .query = request.head->query,
         .headers = request.head->fields,
         .model = facts.model,
         .stream = exchange.streamed,
         .tools = facts.tools,
         .max_tokens = facts.max_tokens,
         .prompt_bytes = size_of(facts.instructions_value) + size_of(facts.prompt_value),
         .labels = consumer != nullptr ? std::span<const policy::Label>(consumer->labels)
                                       : std::span<const policy::Label>(),
         .client = key_of(exchange.client),
         .consumer = key_of(whose),
         .conversation = key_of(conversation)},
        exchange.service.prng);
    if (!choice) return Verdict::next;
    exchange.rule = choice->rule;
    request.ruled_model = choice->model;
    return Verdict::next;
}

}  // namespace sluice::proxy
