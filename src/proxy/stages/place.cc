// place: what a choice between the backends of the model goes by: whose turn it is, what the prompt
// begins with, what stays together.
//
// A priority that is no number of a class is as if it were not there; none is better than that of
// the consumer.
#include "body_span.h"
#include "conversation.h"
#include "sluice/policy/hash.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <charconv>

namespace sluice::proxy {
namespace {

void feed(policy::PrefixHasher& hasher, const mem::Chain& body, llm::Span span) {
    for_each_part(body, span, [&](std::string_view part) { hasher.feed(part); });
}

void hash_prompt(Exchange& exchange) {
    RequestState& request = *exchange.request;
    SLUICE_ASSERT(request.prompt == nullptr && exchange.model != nullptr);
    const auto& facts = request.facts;
    const auto prompt = llm::inside(facts.prompt_value);
    if (prompt.empty()) return;
    // Rare enough to be allocated: pools of several backends only.
    request.prompt = std::make_unique<policy::PrefixHashes>();
    const auto instructions = llm::inside(facts.instructions_value);
    const std::size_t opening = facts.opening.empty() ? 0
                                                      : (instructions.end - instructions.begin) +
                                                            (facts.opening.end - prompt.begin);
    policy::PrefixHasher hasher(*request.prompt,
                                exchange.service.dispatch.prefix_seed(*exchange.model), opening);
    feed(hasher, request.body, instructions);
    feed(hasher, request.body, prompt);
    hasher.finish();
    if (const std::uint64_t session = session_of(request); session != 0) {
        request.prompt->conversation =
            policy::mix(session ^ exchange.service.dispatch.prefix_seed(*exchange.model));
        request.prompt->conversation_known = true;
        request.prompt->conversation_named = true;
    }
}

void read_priority(Exchange& exchange) {
    const policy::Consumer* consumer = exchange.consumer;
    const bool has_class = consumer != nullptr && consumer->priority.has_value();
    const std::uint8_t best = has_class ? *consumer->priority : std::uint8_t{0};
    if (has_class) exchange.priority = best;
    const std::string& name = exchange.model->setting.queue.priority_header;
    if (name.empty()) return;
    const std::string_view text = exchange.request->header(name);
    std::uint8_t priority = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), priority);
    if (failure == std::errc{} && end == text.data() + text.size() &&
        priority < policy::WaitQueue::classes)
        exchange.priority = std::max(priority, best);
    SLUICE_ASSERT(exchange.priority < policy::WaitQueue::classes);
}

// Of what stays together; 0: of nothing.
std::uint64_t key_of(const Exchange& exchange) {
    using By = config::HashSetting::By;
    const RequestState& request = *exchange.request;
    const config::HashSetting& hash = exchange.model->setting.hash;
    switch (hash.by) {
        case By::client:
            return exchange.client;
        case By::consumer:
            return exchange.counts_for();
        case By::header:
            return policy::hash_text(request.header(hash.header));
        case By::conversation:
            return conversation_of(request);
    }
    return 0;
}

}  // namespace

Verdict place_on_body(Exchange& exchange, Reply&) {
    SLUICE_ASSERT(exchange.model != nullptr && exchange.request != nullptr);
    const upstream::Model& model = *exchange.model;
    RequestState& request = *exchange.request;
    read_priority(exchange);
    if (model.targets.size() < 2) return Verdict::next;
    if (upstream::balances_by_prefix(model)) hash_prompt(exchange);
    if (model.setting.balance == config::Balance::hash) request.hash_key = key_of(exchange);
    return Verdict::next;
}

}  // namespace sluice::proxy
