// hops: whether a request has come round. Every gateway puts its name and its number into the
// CDN-Loop field of what it sends on (RFC 8586), where the next one of a circle finds them.
//
// The field may be anybody's: it can only make a request be refused.
#include "sluice/http/value.h"
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

constexpr std::string_view field_name = "cdn-loop";
constexpr std::string_view our_name = "sluice";
// Gateways in a row; a chain of them is legitimate, a long one is a mistake.
constexpr int hops_max = 8;

// Whose name is before the first parameter.
bool is_of_a_sluice(std::string_view item) {
    return http::same_name(http::without_parameters(item), our_name);
}

struct Hops {
    int gateways = 0;
    bool ours = false;
};

void count(std::string_view list, std::string_view own_hop, Hops& hops) {
    for (std::string_view item; http::next_element(list, item);) {
        if (is_of_a_sluice(item)) ++hops.gateways;
        hops.ours |= item == own_hop;
    }
}

}  // namespace

Verdict hops_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    SLUICE_ASSERT(!exchange.service.hop.empty());
    Hops hops;
    for (const auto& field : head.fields())
        if (field.name.size() == field_name.size() && http::same_name(field.name, field_name))
            count(field.value, exchange.service.hop, hops);
    if (!hops.ours && hops.gateways < hops_max) return Verdict::next;
    exchange.endpoint = endpoint_asked(head);  // whose dialect the client understands
    reply = error_reply(exchange, 508,
                        hops.ours ? "This request has come round: the gateway is a backend of its "
                                    "own, directly or by way of another one. Take the backend that "
                                    "leads back here out of the settings."
                                  : "This request has passed too many gateways. Take some of the "
                                    "chain out of the settings.",
                        "loop_detected");
    reply.end = End::refused;
    return Verdict::respond;
}

}  // namespace sluice::proxy
