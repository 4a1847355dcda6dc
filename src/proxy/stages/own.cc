// own: the paths that are about the gateway itself.
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

constexpr std::string_view text = "text/plain; charset=utf-8";

Verdict ready(Exchange& exchange, Reply& reply) {
    const Service& service = exchange.service;
    reply.content_type = text;
    if (service.draining) {
        reply = {.status = 503, .body = "draining\n", .content_type = text};
    } else if (service.catalog->empty()) {
        reply = {.status = 503, .body = "no model server found\n", .content_type = text};
    } else {
        reply.body = "ready: " + service.catalog->names() + "\n";
    }
    return Verdict::respond;
}

}  // namespace

Verdict own_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    const bool is_health = head.path == "/healthz";
    const bool is_ready = head.path == "/readyz";
    if (!is_health && !is_ready) return Verdict::next;
    if (head.method != http::Method::get && head.method != http::Method::head) {
        reply = error_reply(exchange, 405, "Only GET and HEAD are served here.",
                            "method_not_allowed");
        reply.fields = "Allow: GET, HEAD\r\n";
        return Verdict::respond;
    }
    if (is_ready) return ready(exchange, reply);
    reply.body = "ok\n";
    reply.content_type = text;
    return Verdict::respond;
}

}  // namespace sluice::proxy
