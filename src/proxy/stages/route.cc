// route: which model a request asks for, and which targets serve it.
#include "sluice/llm/errors.h"
#include "sluice/proxy/pipeline.h"

#include <utility>

namespace sluice::proxy {
namespace {

// Where it is of a wildcard, a backend is asked for the one that was meant.
void take(Exchange& exchange, upstream::Match match) {
    exchange.model = match.model;
    exchange.request->asked_model = std::move(match.name);
}

Verdict find_model(Exchange& exchange, Reply& reply) {
    SLUICE_ASSERT(exchange.request != nullptr && !exchange.is_generic());
    const auto& catalog = *exchange.catalog;
    const std::string_view named = exchange.request->facts.model;
    if (const auto ruled = exchange.request->ruled_model; !ruled.empty()) {
        take(exchange, catalog.match(ruled));
        if (exchange.model != nullptr) return Verdict::next;
        return refuse(reply, unknown_model_reply(exchange, ruled));
    }
    take(exchange, model_found(catalog, named));
    if (exchange.model != nullptr) return Verdict::next;
    if (!named.empty()) return refuse(reply, unknown_model_reply(exchange, named));
    if (catalog.empty()) return refuse(reply, unknown_model_reply(exchange, ""));
    return refuse(reply,
                  error_reply(exchange, 400,
                              "The request names no model; GET /v1/models lists what is served.",
                              "missing_model", "model", "\"models\":" + catalog.names_json()));
}

Verdict find_route(Exchange& exchange, Reply& reply) {
    SLUICE_ASSERT(exchange.is_generic());
    exchange.model = exchange.catalog->route(exchange.route->number);
    if (exchange.model != nullptr) return Verdict::next;
    return refuse(reply, unknown_model_reply(exchange, ""));  // which says that we are starting
}

}  // namespace

upstream::Match model_found(const upstream::Catalog& catalog, std::string_view named) {
    upstream::Match found;
    if (!named.empty()) found = catalog.match(named);
    if (found.model == nullptr) found = catalog.default_model();
    if (found.model == nullptr && named.empty() && catalog.models().size() == 1)
        found.model = catalog.models().front().get();
    return found;
}

Reply unknown_model_reply(const Exchange& exchange, std::string_view model) {
    const auto& catalog = exchange.service.catalog;
    if (!exchange.service.catalog_known || catalog->awaits_any()) {
        std::string message = "The gateway is still asking the model servers what they serve";
        if (catalog->awaits_any()) message += ": " + catalog->awaited() + " did not answer yet";
        return error_reply(exchange, 503, message + ". Try again in a moment.", "starting");
    }
    if (catalog->empty())
        return error_reply(exchange, 404, "No model is served here: no model server was found.",
                           "model_not_found", "model");
    const std::string chosen =
        exchange.rule.empty()
            ? ""
            : ", which the rule '" + std::string(exchange.rule) + "' chose for the request,";
    std::string members = "\"models\":" + catalog->names_json();
    if (!exchange.rule.empty()) {  // the client has not named it
        members += ",\"model\":\"";
        llm::append_json_escaped(members, model);
        members += '"';
    }
    return error_reply(exchange, 404,
                       "The model '" + std::string(model) + "'" + chosen +
                           " is not served here; GET /v1/models lists what is.",
                       "model_not_found", "model", members);
}

Reply body_too_large_reply(const Exchange& exchange) {
    const std::size_t bytes_max = exchange.service.settings.body_bytes_max;
    return error_reply(
        exchange, 413,
        "The request body is larger than " + std::to_string(bytes_max) + " bytes (--body-max).",
        "request_too_large", {}, "\"bytes_max\":" + std::to_string(bytes_max));
}

Reply out_of_memory_reply(const Exchange& exchange) {
    return error_reply(exchange, 503,
                       "The gateway has no memory for this request beside the others "
                       "(--buffers). Try again later.",
                       "overloaded");
}

Verdict route_on_body(Exchange& exchange, Reply& reply) {
    SLUICE_ASSERT(exchange.model == nullptr && exchange.target == nullptr);  // it is routed once
    exchange.catalog = exchange.service.catalog.share();
    return exchange.is_generic() ? find_route(exchange, reply) : find_model(exchange, reply);
}

}  // namespace sluice::proxy
