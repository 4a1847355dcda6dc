// classify: which endpoint a request means, and whether its method and body fit; answers the model
// lists, which need no backend. What is no endpoint may be a generic route's.
#include "sluice/http/path.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>

namespace sluice::proxy {
namespace {

using llm::EndpointKind;

Verdict refuse(Reply& reply, Reply refusal) {
    reply = std::move(refusal);
    return Verdict::respond;
}

// The media type without its parameters, compared without case.
bool is_type(std::string_view value, std::string_view type) {
    value = value.substr(0, value.find(';'));
    while (value.ends_with(' ') || value.ends_with('\t'))
        value.remove_suffix(1);
    return http::same_name(value, type);
}

Verdict answer_models(Exchange& exchange, const http::Head& head, Reply& reply) {
    const auto& catalog = exchange.service.catalog;
    if (exchange.endpoint->kind == EndpointKind::models_list) {
        const bool too_soon = catalog->empty() && catalog->awaits_any();
        if (!exchange.service.catalog_known || too_soon)
            return refuse(reply, unknown_model_reply(exchange, {}));
        reply.body = catalog->list_json();
        return Verdict::respond;
    }
    const auto id = llm::model_id_of(*exchange.endpoint, head.path);
    if (!id) return refuse(reply, error_reply(exchange, 400, id.error().message, {}, "model"));
    const auto* model = catalog->find(id.value());
    if (model == nullptr) return refuse(reply, unknown_model_reply(exchange, id.value()));
    reply.body = llm::listed_model({model->name, &model->entry});
    return Verdict::respond;
}

// A type that a page can send to a foreign site without being asked (forms, plain text) is refused:
// it would let any page use the gateway.
bool content_type_fits(const Exchange& exchange, const http::Head& head) {
    const auto kind = exchange.endpoint->kind;
    const std::string_view type = head.find(http::FieldId::content_type);
    const bool json = is_type(type, "application/json");
    const bool multipart = is_type(type, "multipart/form-data");
    return (json && kind != EndpointKind::model_in_multipart) ||
           (multipart && kind != EndpointKind::model_in_json);
}

Verdict check_body(Exchange& exchange, const http::Head& head, Reply& reply) {
    const std::size_t bytes_max = exchange.service.settings.body_bytes_max;
    if (head.framing == http::Framing::length && head.content_length > bytes_max)
        return refuse(reply, body_too_large_reply(exchange));
    if (!exchange.is_generic() && !content_type_fits(exchange, head)) {
        const bool json = exchange.endpoint->kind != EndpointKind::model_in_multipart;
        return refuse(reply, error_reply(exchange, 415,
                                         std::string("This endpoint takes ") +
                                             (json ? "Content-Type: application/json."
                                                   : "Content-Type: multipart/form-data."),
                                         "unsupported_media_type"));
    }
    const std::string_view encoding = head.find(http::FieldId::content_encoding);
    if (!exchange.is_generic() && !encoding.empty() && !http::same_name(encoding, "identity"))
        return refuse(reply, error_reply(exchange, 415, "Compressed request bodies are not served.",
                                         "unsupported_content_encoding"));
    const std::string_view expect = head.find(http::FieldId::expect);
    if (!expect.empty() && head.minor > 0 && !head.expect_continue)
        return refuse(reply, error_reply(exchange, 417, "Only 'Expect: 100-continue' is served.",
                                         "expectation_failed"));
    if (!exchange.is_generic() &&
        is_type(head.find(http::FieldId::content_type), "multipart/form-data")) {
        auto reader = llm::MultipartReader::create(head.find(http::FieldId::content_type));
        if (!reader) return refuse(reply, error_reply(exchange, 400, reader.error().message));
        exchange.request->multipart =
            std::make_unique<llm::MultipartReader>(std::move(reader).value());
    }
    return Verdict::next;
}

Reply unknown_path_reply(const Exchange& exchange, const http::Head& head) {
    return error_reply(exchange, 404,
                       "Nothing is served at " + std::string(head.path.substr(0, 200)) +
                           ". See GET /v1/models and POST /v1/chat/completions.",
                       "unknown_path");
}

Reply wrong_method_reply(const Exchange& exchange, const http::Head& head, std::string_view allow) {
    Reply reply = error_reply(
        exchange, 405, std::string(head.path.substr(0, 200)) + " takes " + std::string(allow) + ".",
        "method_not_allowed");
    reply.fields = "Allow: " + std::string(allow) + "\r\n";
    return reply;
}

// A path that is no endpoint's. A type of body that a form has is no danger here: guard has seen to
// it that no foreign site sends one.
Verdict classify_route(Exchange& exchange, const http::Head& head, Reply& reply) {
    Service& service = exchange.service;
    if (service.routes.empty()) return refuse(reply, unknown_path_reply(exchange, head));
    if (const auto status = http::check_path(head.path); !status)
        return refuse(reply, error_reply(exchange, 400, status.error().message, "ambiguous_path"));
    const auto found = service.routes.find({head.method_text, head.path, head.fields()});
    if (!found.allow.empty()) return refuse(reply, wrong_method_reply(exchange, head, found.allow));
    if (found.route == nullptr) return refuse(reply, unknown_path_reply(exchange, head));
    exchange.route = found.route;
    exchange.endpoint = &llm::opaque_endpoint;
    exchange.request->opaque = true;
    auto target = found.route->rewrite.apply(head.path, head.query, service.head_space());
    if (!target)
        return refuse(reply, error_reply(exchange, target.error().status, target.error().message,
                                         "ambiguous_path"));
    exchange.request->target = target.value();
    return check_body(exchange, head, reply);
}

}  // namespace

Verdict classify_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    exchange.endpoint = llm::find_endpoint(head.path);
    if (exchange.endpoint == nullptr) return classify_route(exchange, head, reply);
    if (!exchange.endpoint->allows(head.method))
        return refuse(reply, wrong_method_reply(exchange, head, exchange.endpoint->allow()));
    const auto kind = exchange.endpoint->kind;
    if (kind == EndpointKind::models_list || kind == EndpointKind::model_by_id)
        return answer_models(exchange, head, reply);
    // What is forwarded has one reading only.
    if (const auto status = http::check_path(head.path); !status)
        return refuse(reply, error_reply(exchange, 400, status.error().message, "ambiguous_path"));
    return check_body(exchange, head, reply);
}

}  // namespace sluice::proxy
