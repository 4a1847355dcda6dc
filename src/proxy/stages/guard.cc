// guard: which requests may talk to us at all. Everything behind it is not reachable by a web page
// on a foreign name or origin, whatever path it asks for.
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {

Verdict guard_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    const HostList& hosts = exchange.service.hosts;
    // HTTP/1.0 may come without Host; a browser never speaks it.
    if (!head.host.empty() && !hosts.allows_host(head.host)) {
        reply = error_reply(exchange, 421,
                            "The Host '" + std::string(head.host) +
                                "' is not served here. Use localhost or the address itself, or "
                                "start the gateway with --allow-host.",
                            "misdirected_request");
        return Verdict::respond;
    }
    if (head.has(http::FieldId::origin) && !hosts.allows_origin(head.find(http::FieldId::origin))) {
        reply = error_reply(exchange, 403,
                            "Pages of this origin may not use the gateway. Start it with "
                            "--allow-host to allow a name.",
                            "origin_not_allowed");
        return Verdict::respond;
    }
    if (head.find(http::FieldId::sec_fetch_site) == "cross-site") {
        reply = error_reply(exchange, 403, "Requests from other sites are not served.",
                            "cross_site_request");
        return Verdict::respond;
    }
    return Verdict::next;
}

}  // namespace sluice::proxy
