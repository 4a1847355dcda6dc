// own: the paths that are about the gateway itself. Some of them a route may have instead.
#include "sluice/policy/advice.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <iterator>

namespace sluice::proxy {
namespace {

constexpr std::string_view plain_text = "text/plain; charset=utf-8";

Verdict health(Exchange&, const http::Head&, Reply& reply) {
    reply.body = "ok\n";
    reply.content_type = plain_text;
    return Verdict::respond;
}

// As model servers say it, for agents that ask before they start.
Verdict server_health(Exchange&, const http::Head&, Reply& reply) {
    reply.body = "{\"status\":\"ok\"}";
    return Verdict::respond;
}

// For whoever opens the address in a browser, key or not.
Verdict welcome(Exchange&, const http::Head& head, Reply& reply) {
    const std::string here = "http://" + (head.host.empty() ? "HOST" : std::string(head.host));
    reply.content_type = plain_text;
    reply.body =
        "This is Sluice, a gateway to model servers. It is an API and has no pages.\n\n"
        "Base URL for OpenAI clients:                " +
        here + "/v1\nBase URL for Anthropic and Ollama clients:  " + here +
        "\n\nGET /v1/models   the models that are served\n"
        "GET /readyz      whether any is, GET /healthz whether the gateway runs\n"
        "GET /metrics     what it does, for Prometheus\n";
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

Verdict ready(Exchange& exchange, const http::Head&, Reply& reply) {
    const Service& service = exchange.service;
    reply.content_type = plain_text;
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

// Scrapers find the plain_text under the type of its format (Prometheus exposition format 0.0.4).
Verdict metrics(Exchange& exchange, const http::Head&, Reply& reply) {
    reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    // Others' names and numbers are nobody's business but an admin's.
    const policy::Consumer* const reader = exchange.consumer;
    const bool all = reader == nullptr || reader->admin;
    if (exchange.service.reporter != nullptr)
        exchange.service.reporter->write_metrics(all ? std::string_view() : reader->name,
                                                 reply.body);
    return Verdict::respond;
}

struct OwnPath {
    std::string_view path;
    Verdict (*answer)(Exchange&, const http::Head&, Reply&);
    bool needs_key = false;  // where there are any
    bool yields = false;     // to a route, where one takes it
    bool is_probe = false;   // asked for again and again, by programs
    bool deletes = false;    // by DELETE, and by nothing else
};

constexpr OwnPath own_paths[] = {
    {.path = "/healthz", .answer = health, .is_probe = true},
    {.path = "/readyz", .answer = ready, .is_probe = true},
    {.path = "/metrics", .answer = metrics, .needs_key = true, .is_probe = true},
    {.path = "/admin/cache", .answer = purge_on_head, .needs_key = true, .deletes = true},
    {.path = "/", .answer = welcome, .yields = true},
    {.path = "/health", .answer = server_health, .yields = true, .is_probe = true},
    {.path = "/v1/health", .answer = server_health, .yields = true, .is_probe = true},
};

bool is_routed(const Service& service, const http::Head& head) {
    const auto found = service.routes.find({head.method_text, head.path, head.fields()});
    return found.route != nullptr || !found.allow.empty();
}

}  // namespace

bool is_own_path(std::string_view path) {
    return std::ranges::find(own_paths, path, &OwnPath::path) != std::end(own_paths);
}

bool yields_to_routes(std::string_view path) {
    const auto own = std::ranges::find(own_paths, path, &OwnPath::path);
    return own != std::end(own_paths) && own->yields;
}

Verdict own_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    const auto own = std::ranges::find(own_paths, head.path, &OwnPath::path);
    if (own == std::end(own_paths)) return Verdict::next;
    SLUICE_ASSERT(own->answer != nullptr && !exchange.is_probe);
    if (own->yields && is_routed(exchange.service, head)) return Verdict::next;
    const bool reads = head.method == http::Method::get || head.method == http::Method::head;
    if (own->deletes ? head.method != http::Method::del : !reads) {
        reply = error_reply(
            exchange, 405,
            own->deletes ? "Only DELETE is served here." : "Only GET and HEAD are served here.",
            "method_not_allowed");
        reply.fields = own->deletes ? "Allow: DELETE\r\n" : "Allow: GET, HEAD\r\n";
        return Verdict::respond;
    }
    if (own->needs_key && identify_on_head(exchange, head, reply) == Verdict::respond)
        return Verdict::respond;
    // What is refused stands in the log; whoever only asks how we are would fill it.
    exchange.is_probe = own->is_probe;
    return own->answer(exchange, head, reply);
}

}  // namespace sluice::proxy
