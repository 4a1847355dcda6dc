// classify: which endpoint a request means, and whether its method and body fit; answers the model
// lists, which need no backend.
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
    if (!content_type_fits(exchange, head)) {
        const bool json = exchange.endpoint->kind != EndpointKind::model_in_multipart;
        return refuse(reply, error_reply(exchange, 415,
                                         std::string("This endpoint takes ") +
                                             (json ? "Content-Type: application/json."
                                                   : "Content-Type: multipart/form-data."),
                                         "unsupported_media_type"));
    }
    const std::string_view encoding = head.find(http::FieldId::content_encoding);
    if (!encoding.empty() && !http::same_name(encoding, "identity"))
        return refuse(reply, error_reply(exchange, 415, "Compressed request bodies are not served.",
                                         "unsupported_content_encoding"));
    const std::string_view expect = head.find(http::FieldId::expect);
    if (!expect.empty() && head.minor > 0 && !head.expect_continue)
        return refuse(reply, error_reply(exchange, 417, "Only 'Expect: 100-continue' is served.",
                                         "expectation_failed"));
    if (is_type(head.find(http::FieldId::content_type), "multipart/form-data")) {
        auto reader = llm::MultipartReader::create(head.find(http::FieldId::content_type));
        if (!reader) return refuse(reply, error_reply(exchange, 400, reader.error().message));
        exchange.request->multipart =
            std::make_unique<llm::MultipartReader>(std::move(reader).value());
    }
    return Verdict::next;
}

}  // namespace

Verdict classify_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    exchange.endpoint = llm::find_endpoint(head.path);
    if (exchange.endpoint == nullptr)
        return refuse(reply,
                      error_reply(exchange, 404,
                                  "Nothing is served at " + std::string(head.path.substr(0, 200)) +
                                      ". See GET /v1/models and POST /v1/chat/completions.",
                                  "unknown_path"));
    if (!exchange.endpoint->allows(head.method)) {
        reply = error_reply(exchange, 405,
                            std::string(head.path.substr(0, 200)) + " takes " +
                                std::string(exchange.endpoint->allow()) + ".",
                            "method_not_allowed");
        reply.fields = "Allow: " + std::string(exchange.endpoint->allow()) + "\r\n";
        return Verdict::respond;
    }
    const auto kind = exchange.endpoint->kind;
    if (kind == EndpointKind::models_list || kind == EndpointKind::model_by_id)
        return answer_models(exchange, head, reply);
    // What is forwarded has one reading only.
    if (const auto status = http::check_path(head.path); !status)
        return refuse(reply, error_reply(exchange, 400, status.error().message, "ambiguous_path"));
    return check_body(exchange, head, reply);
}

}  // namespace sluice::proxy
