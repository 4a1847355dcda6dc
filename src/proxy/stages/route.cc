// route: which model a request asks for, and which targets serve it.
#include "sluice/proxy/pipeline.h"

#include <utility>

namespace sluice::proxy {
namespace {

Verdict refuse(Reply& reply, Reply refusal) {
    reply = std::move(refusal);
    return Verdict::respond;
}

// Where it is of a wildcard, a backend is asked for the one that was meant.
void take(Exchange& exchange, upstream::Match match) {
    exchange.model = match.model;
    exchange.request->asked_model = std::move(match.name);
}

Verdict find_model(Exchange& exchange, Reply& reply) {
    const auto& catalog = *exchange.catalog;
    const std::string_view named = exchange.request->facts.model;
    if (const auto ruled = exchange.request->ruled_model; !ruled.empty()) {
        take(exchange, catalog.match(ruled));
        if (exchange.model != nullptr) return Verdict::next;
        return refuse(reply, unknown_model_reply(exchange, ruled));
    }
    if (!named.empty()) {
        take(exchange, catalog.match(named));
        if (exchange.model == nullptr) take(exchange, catalog.default_model());
        if (exchange.model != nullptr) return Verdict::next;
        return refuse(reply, unknown_model_reply(exchange, named));
    }
    take(exchange, catalog.default_model());
    if (exchange.model == nullptr && catalog.models().size() == 1)
        exchange.model = catalog.models().front().get();
    if (exchange.model != nullptr) return Verdict::next;
    if (catalog.empty()) return refuse(reply, unknown_model_reply(exchange, ""));
    return refuse(reply,
                  error_reply(exchange, 400,
                              "The request names no model. There are: " + catalog.names() + ".",
                              "missing_model", "model"));
}

Verdict find_route(Exchange& exchange, Reply& reply) {
    exchange.model = exchange.catalog->route(exchange.route->number);
    if (exchange.model != nullptr) return Verdict::next;
    return refuse(reply, unknown_model_reply(exchange, ""));  // which says that we are starting
}

}  // namespace

Reply unknown_model_reply(const Exchange& exchange, std::string_view model) {
    const auto& catalog = exchange.service.catalog;
    if (!exchange.service.catalog_known) {
        Reply reply = error_reply(exchange, 503,
                                  "The gateway is still asking the model servers "
                                  "what they serve. Try again in a moment.",
                                  "starting");
        reply.fields = try_again_fields();
        return reply;
    }
    const std::string chosen =
        exchange.rule.empty()
            ? ""
            : ", which the rule '" + std::string(exchange.rule) + "' chose for the request,";
    const std::string message =
        catalog->empty() ? "No model is served here: no model server was found."
                         : "The model '" + std::string(model) + "'" + chosen +
                               " is not served here. There are: " + catalog->names() + ".";
    return error_reply(exchange, 404, message, "model_not_found", "model");
}

Reply body_too_large_reply(const Exchange& exchange) {
    return error_reply(exchange, 413,
                       "The request body is larger than " +
                           std::to_string(exchange.service.settings.body_bytes_max) +
                           " bytes (--body-max).",
                       "request_too_large");
}

Reply out_of_memory_reply(const Exchange& exchange) {
    Reply reply = error_reply(exchange, 503,
                              "The gateway has no memory for this request beside the others "
                              "(--buffers). Try again later.",
                              "overloaded");
    reply.fields = try_again_fields();
    return reply;
}

Verdict route_on_body(Exchange& exchange, Reply& reply) {
    exchange.catalog = exchange.service.catalog.share();
    return exchange.is_generic() ? find_route(exchange, reply) : find_model(exchange, reply);
}

}  // namespace sluice::proxy
