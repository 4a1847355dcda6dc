// guard: which requests may talk to us at all. Everything behind it is not reachable by a web page
// on a foreign name or origin, whatever path it asks for. And what a browser asks before it sends a
// request (a preflight) is answered by the same rules.
#include "sluice/http/path.h"
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

// A page that is opened by itself, by a link or an address typed in: no other site sees anything of
// it. Only what the settings call a web UI is opened from other sites.
bool opens_a_page(const Exchange& exchange, const http::Head& head) {
    if (head.method != http::Method::get && head.method != http::Method::head) return false;
    if (head.find("sec-fetch-mode") != "navigate" || head.find("sec-fetch-dest") != "document")
        return false;
    const bool is_ours = (is_own_path(head.path) && !yields_to_routes(head.path)) ||
                         llm::find_endpoint(head.path) != nullptr;
    if (is_ours || !http::check_path(head.path)) return false;
    const auto found = exchange.service.routes.find({head.method_text, head.path, head.fields()});
    return found.route != nullptr && found.route->navigate;
}

// Who may send the request may be told so; nobody has to show a key for that, which browsers do not
// send with it.
Verdict answer_preflight(const http::Head& head, Reply& reply) {
    SLUICE_ASSERT(head.method == http::Method::options);
    reply.status = 204;
    reply.fields = preflight_fields(head);
    return Verdict::respond;
}

Verdict refuse_as_asked(Exchange& exchange, const http::Head& head, Reply& reply, int status,
                        std::string_view message, std::string_view code) {
    exchange.endpoint = endpoint_asked(head);  // whose dialect the client understands
    return refuse(reply, error_reply(exchange, status, message, code));
}

}  // namespace

Verdict guard_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    SLUICE_ASSERT(exchange.door != nullptr && exchange.opened_to.empty());
    const Doors& doors = exchange.service.doors;
    // HTTP/1.0 may come without Host; a browser never speaks it.
    if (!head.host.empty() && !doors.allow_host(*exchange.door, head.host))
        return refuse_as_asked(exchange, head, reply, 421,
                               "The Host '" + std::string(head.host) +
                                   "' is not served here. Use localhost or the address itself, or "
                                   "start the gateway with --allow-host.",
                               "misdirected_request");
    if (head.has(http::FieldId::origin)) {
        if (!doors.allow_origin(*exchange.door, head))
            return refuse_as_asked(exchange, head, reply, 403,
                                   "Pages of this origin may not use the gateway. Start it with "
                                   "--allow-origin to allow the origin, or list it under "
                                   "'cors.origins' of a listener.",
                                   "origin_not_allowed");
        exchange.opened_to = head.find(http::FieldId::origin);
        return is_preflight(head) ? answer_preflight(head, reply) : Verdict::next;
    }
    // Without an Origin no page reads the answer, but to ask may do enough.
    if (head.find(http::FieldId::sec_fetch_site) == "cross-site" && !opens_a_page(exchange, head))
        return refuse_as_asked(exchange, head, reply, 403,
                               "Requests from other sites are not served.", "cross_site_request");
    return Verdict::next;
}

}  // namespace sluice::proxy
