// facts: what a complete body says of the request.
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

Result<llm::RequestFacts> read_facts(RequestState& request) {
    return request.multipart != nullptr ? request.multipart->finish() : request.json.finish();
}

}  // namespace

Verdict facts_on_body(Exchange& exchange, Reply& reply) {
    RequestState& request = *exchange.request;
    exchange.body_bytes = request.body.size();
    if (exchange.is_generic()) {
        // It may pass without being kept here; then its head has said how long it is.
        if (exchange.body_bytes_declared > 0) exchange.body_bytes = exchange.body_bytes_declared;
        return Verdict::next;
    }
    auto facts = read_facts(request);
    if (!facts) {
        reply = error_reply(exchange, 400, facts.error().message, "invalid_body");
        return Verdict::respond;
    }
    request.facts = std::move(*facts);
    const auto& read = request.facts;
    exchange.streamed =
        read.stream || (exchange.endpoint->streams_by_default && !read.stream_given);
    return Verdict::next;
}

}  // namespace sluice::proxy
