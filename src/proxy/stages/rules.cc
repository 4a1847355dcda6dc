// rules: the model that the settings choose for a request, by more than the name it asks for.
#include "conversation.h"
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

using By = config::HashSetting::By;

std::size_t size_of(llm::Span span) {
    return span.end - span.begin;
}

// A number as a key; 0 is none.
std::string_view key_of(const std::uint64_t& number) {
    if (number == 0) return {};
    return {reinterpret_cast<const char*>(&number), sizeof number};
}

class Found final : public policy::FoundModel {
public:
    Found(const upstream::Catalog& catalog, std::string_view named)
        : catalog_(catalog), match_(model_found(catalog, named)) {}

    bool any() const { return match_.model != nullptr; }
    bool is_found_by(std::string_view name) const override {
        const auto other = catalog_.match(name);
        return other.model == match_.model && other.name == match_.name;
    }
    // Of a wildcard's model the name that was meant is the one.
    bool is_like(const policy::Wildcard& pattern) const override {
        SLUICE_ASSERT(any());
        const std::string& name = match_.name.empty() ? match_.model->name : match_.name;
        return pattern.matches(name) || pattern.matches(upstream::plain_name(name));
    }

private:
    const upstream::Catalog& catalog_;
    upstream::Match match_;
};

}  // namespace

Verdict rules_on_head(Exchange& exchange, const http::Head& head, Reply&) {
    if (exchange.service.rules.empty() || exchange.is_generic()) return Verdict::next;
    SLUICE_ASSERT(exchange.request->head == nullptr);
    exchange.request->head = std::make_unique<HeadCopy>(head);
    return Verdict::next;
}

Verdict rules_on_body(Exchange& exchange, Reply&) {
    RequestState& request = *exchange.request;
    if (request.head == nullptr) return Verdict::next;
    // What the rules chose is what the model is found by.
    SLUICE_ASSERT(exchange.model == nullptr && request.ruled_model.empty());
    const policy::RuleTable& rules = exchange.service.rules;
    const auto& facts = request.facts;
    const policy::Consumer* consumer = exchange.consumer;
    const std::uint64_t whose = exchange.counts_for();
    const std::uint64_t conversation =
        rules.splits_by(By::conversation) ? conversation_of(request) : 0;
    const Found found(*exchange.service.catalog, facts.model);
    const auto choice = rules.choose(
        {.method = exchange.method_text,
         .path = exchange.path,
         .query = request.head->query,
         .headers = request.head->fields,
         .model = facts.model,
         .found = found.any() ? &found : nullptr,
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
