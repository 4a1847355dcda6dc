// own: the paths that are about the gateway itself.
#include "sluice/policy/advice.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <iterator>

namespace sluice::proxy {
namespace {

constexpr std::string_view text = "text/plain; charset=utf-8";

Verdict health(Exchange&, Reply& reply) {
    reply.body = "ok\n";
    reply.content_type = text;
    return Verdict::respond;
}

// Why nothing can be served now; empty: something can. Strangers may ask, and are told no names.
std::string why_not_ready(const Service& service) {
    const upstream::Catalog& catalog = *service.catalog;
    if (service.draining) return "The gateway is stopping.";
    if (!service.catalog_known) return "The gateway is starting.";
    bool any = false;
    for (const auto* all : {&catalog.models(), &catalog.routes()}) {
        for (const auto& model : *all) {
            for (const auto& target : model->targets) {
                any = true;
                if (catalog.awaits(*target.endpoint)) continue;
                if (service.dispatch.view(target).health != upstream::Health::down) return {};
            }
        }
    }
    if (catalog.awaits_any()) return "No model server has answered yet.";
    return any ? "All backends are down." : "No model server was found.";
}

Verdict ready(Exchange& exchange, Reply& reply) {
    const Service& service = exchange.service;
    reply.content_type = text;
    if (const std::string why = why_not_ready(service); !why.empty()) {
        reply = {.status = 503, .body = R"({"status":"unavailable","reason":")" + why + "\"}\n"};
        reply.advice = policy::advise({.status = 503});
    } else if (service.consumers.empty()) {
        reply.body = "ready: " + service.catalog->names() + "\n";
    } else {  // strangers may ask, and are told no names
        reply.body = "ready\n";
    }
    return Verdict::respond;
}

// Scrapers find the text under the type of its format (Prometheus exposition format 0.0.4).
Verdict metrics(Exchange& exchange, Reply& reply) {
    reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    if (exchange.service.reporter != nullptr) exchange.service.reporter->write_metrics(reply.body);
    return Verdict::respond;
}

struct OwnPath {
    std::string_view path;
    Verdict (*answer)(Exchange&, Reply&);
    bool needs_key;  // where there are any
};

constexpr OwnPath own_paths[] = {
    {"/healthz", health, false},
    {"/readyz", ready, false},
    {"/metrics", metrics, true},
};

}  // namespace

bool is_own_path(std::string_view path) {
    return std::ranges::find(own_paths, path, &OwnPath::path) != std::end(own_paths);
}

Verdict own_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    const auto own = std::ranges::find(own_paths, head.path, &OwnPath::path);
    if (own == std::end(own_paths)) return Verdict::next;
    if (head.method != http::Method::get && head.method != http::Method::head) {
        reply =
            error_reply(exchange, 405, "Only GET and HEAD are served here.", "method_not_allowed");
        reply.fields = "Allow: GET, HEAD\r\n";
        return Verdict::respond;
    }
    if (own->needs_key && identify_on_head(exchange, head, reply) == Verdict::respond)
        return Verdict::respond;
    return own->answer(exchange, reply);
}

}  // namespace sluice::proxy
