// identify: who asks. Where there are consumers, nobody without a key of one gets any further, and
// every refusal is the same, whatever was wrong with the key.
#include "sluice/base/digest.h"
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

Verdict refuse(Exchange& exchange, const http::Head& head, Reply& reply) {
    exchange.endpoint = endpoint_asked(head);
    reply = error_reply(exchange, 401,
                        "This gateway needs a key that it knows: send one of its consumers' keys "
                        "as 'Authorization: Bearer KEY' or in X-Api-Key, Api-Key, "
                        "X-Goog-Api-Key or Apikey, and no other one beside it.",
                        "invalid_api_key");
    reply.fields = "WWW-Authenticate: Bearer realm=\"sluice\"\r\n";
    return Verdict::respond;
}

}  // namespace

Verdict identify_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    Service& service = exchange.service;
    if (service.consumers.empty()) return Verdict::next;
    const auto key = policy::presented_key(head);
    if (!key) return refuse(exchange, head, reply);
    const auto found = service.consumers.find(sha256(*key));
    if (!found) return refuse(exchange, head, reply);
    SLUICE_ASSERT(found->consumer != nullptr);
    exchange.consumer = found->consumer;
    exchange.key_id = found->key_id;
    return Verdict::next;
}

}  // namespace sluice::proxy
