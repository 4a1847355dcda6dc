// route: which model a request asks for, and which targets serve it.
#include "sluice/proxy/pipeline.h"

namespace sluice::proxy {
namespace {

Verdict refuse(Reply& reply, Reply refusal) {
    reply = std::move(refusal);
    return Verdict::respond;
}

Result<llm::RequestFacts> read_facts(RequestState& request) {
    return request.multipart != nullptr ? request.multipart->finish() : request.json.finish();
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
    const std::string message =
        catalog->empty() ? "No model is served here: no model server was found."
                         : "The model '" + std::string(model) +
                               "' is not served here. There are: " + catalog->names() + ".";
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
    auto facts = read_facts(*exchange.request);
    if (!facts)
        return refuse(reply, error_reply(exchange, 400, facts.error().message, "invalid_body"));
    exchange.request->facts = std::move(*facts);
    const auto& read = exchange.request->facts;
    exchange.body_bytes = exchange.request->body.size();
    exchange.streamed =
        read.stream || (exchange.endpoint->streams_by_default && !read.stream_given);
    exchange.catalog = exchange.service.catalog.share();

    const auto& catalog = *exchange.catalog;
    if (!read.model.empty()) {
        exchange.model = catalog.find(read.model);
        if (exchange.model == nullptr) exchange.model = catalog.default_model();
        if (exchange.model == nullptr)
            return refuse(reply, unknown_model_reply(exchange, read.model));
    } else if (catalog.default_model() != nullptr) {
        exchange.model = catalog.default_model();
    } else if (catalog.models().size() == 1) {
        exchange.model = catalog.models().front().get();
    } else if (catalog.empty()) {
        return refuse(reply, unknown_model_reply(exchange, ""));
    } else {
        return refuse(reply,
                      error_reply(exchange, 400,
                                  "The request names no model. There are: " + catalog.names() + ".",
                                  "missing_model", "model"));
    }
    return Verdict::next;
}

}  // namespace sluice::proxy
