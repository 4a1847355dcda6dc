// facts: what a complete body says of the request.
#include "codex.h"
#include "sluice/llm/model_list.h"
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

Result<llm::RequestFacts> read_facts(RequestState& request) {
    return request.multipart != nullptr ? request.multipart->finish() : request.json.finish();
}

// Ollama's old clients write `name` where newer ones write `model`. Bodies that only name a model
// are small; the larger ones are not read twice.
std::string old_name_in(const mem::Chain& body) {
    constexpr std::size_t bytes_max = 4 * limits::KiB;
    if (body.size() > bytes_max) return {};
    std::string text;
    body.for_each([&text](const mem::Slice& slice) {
        text += slice.text();
        return true;
    });
    return llm::parse_old_model_name(text);
}

// No other client of this API is known to take an event that it does not know.
bool counts_events(const Exchange& exchange) {
    return exchange.streamed && exchange.dialect() == llm::Dialect::responses &&
           is_from_codex(*exchange.request);
}

}  // namespace

Verdict facts_on_body(Exchange& exchange, Reply& reply) {
    RequestState& request = *exchange.request;
    SLUICE_ASSERT(request.coded == nullptr);  // the body is as it is read
    exchange.body_bytes = request.body.size();
    if (exchange.is_generic()) {
        // It may pass without being kept here; then its head has said how long it is.
        if (exchange.body_bytes_declared > 0) exchange.body_bytes = exchange.body_bytes_declared;
        return Verdict::next;
    }
    SLUICE_ASSERT(exchange.endpoint != nullptr);
    auto facts = read_facts(request);
    if (!facts) {
        reply = error_reply(exchange, 400, facts.error().message, "invalid_body");
        return Verdict::respond;
    }
    request.facts = std::move(*facts);
    if (request.facts.model.empty() && exchange.dialect() == llm::Dialect::ollama)
        request.facts.model = old_name_in(request.body);
    const auto& read = request.facts;
    exchange.asked = read.model;
    exchange.streamed =
        read.stream || (exchange.endpoint->streams_by_default && !read.stream_given);
    exchange.counts_events = counts_events(exchange);
    return Verdict::next;
}

}  // namespace sluice::proxy
