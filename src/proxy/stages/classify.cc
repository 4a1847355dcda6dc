// classify: which endpoint a request means, and whether its method and body fit. What is no
// endpoint may be a generic route's.
#include "sluice/http/path.h"
#include "sluice/http/value.h"
#include "sluice/proxy/likely_path.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>

namespace sluice::proxy {
namespace {

using llm::EndpointKind;

// Whether a browser may have sent it: they say where the page is that asks. Other programs send
// some of the fields of browsers (Node: Sec-Fetch-Mode), but not these.
bool may_be_a_pages(const http::Head& head) {
    return head.has(http::FieldId::origin) || head.has(http::FieldId::sec_fetch_site);
}

// What becomes of a body of that type. One that a page can send to a foreign site without being
// asked (forms, plain text) would let any page use the gateway: such are taken from no browser, and
// only where the servers look at no type themselves.
enum class BodyType : std::uint8_t { as_it_is, taken_as_json, refused };

BodyType judge_type(const Exchange& exchange, const http::Head& head, std::string_view type) {
    SLUICE_ASSERT(exchange.endpoint != nullptr);
    const auto kind = exchange.endpoint->kind;
    const bool json = http::same_name(type, "application/json");
    const bool multipart = http::same_name(type, "multipart/form-data");
    if ((json && kind != EndpointKind::model_in_multipart) ||
        (multipart && kind != EndpointKind::model_in_json))
        return BodyType::as_it_is;
    const bool untyped = exchange.endpoint->any_type && !multipart && !may_be_a_pages(head);
    return untyped ? BodyType::taken_as_json : BodyType::refused;
}

// The codings of a body, in the order in which they were applied; one that changes nothing is none.
// At most two are told apart from more.
struct Codings {
    std::string_view first;
    int count = 0;
};

Codings codings_of(const http::Head& head) {
    Codings codings;
    if (!head.has(http::FieldId::content_encoding)) return codings;
    for (const http::Field& field : head.fields()) {
        if (field.id != http::FieldId::content_encoding) continue;
        std::string_view list = field.value;
        for (std::string_view coding; http::next_element(list, coding);) {
            if (coding.empty() || http::same_name(coding, "identity")) continue;
            if (codings.count++ == 0) codings.first = coding;
        }
    }
    return codings;
}

// Clients compress what is long: it is decoded here, within the limits of any other body.
Verdict check_coding(Exchange& exchange, const http::Head& head, Reply& reply) {
    const Codings codings = codings_of(head);
    if (codings.count == 0) return Verdict::next;
    SLUICE_ASSERT(exchange.request->coded == nullptr);
    auto decoder = codings.count == 1 ? http::ContentDecoder::create(codings.first) : nullptr;
    if (decoder != nullptr) {
        exchange.request->coded =
            std::make_unique<CodedBody>(std::move(decoder), exchange.service.loop.nodes());
        return Verdict::next;
    }
    std::string message = "A request body may come as it is, or in one Content-Encoding of: ";
    message.append(http::ContentDecoder::codings).append(".");
    reply = error_reply(exchange, 415, message, "unsupported_content_encoding");
    // RFC 9110 section 15.5.16.
    reply.fields.append("Accept-Encoding: ").append(http::ContentDecoder::codings).append("\r\n");
    return Verdict::respond;
}

Verdict check_body(Exchange& exchange, const http::Head& head, Reply& reply) {
    SLUICE_ASSERT(exchange.endpoint != nullptr && exchange.request != nullptr);
    const std::size_t bytes_max = exchange.service.settings.body_bytes_max;
    if (head.framing == http::Framing::length && head.content_length > bytes_max)
        return refuse(reply, body_too_large_reply(exchange));
    const std::string_view type = exchange.is_generic() ? std::string_view() : head.media_type();
    const BodyType fate =
        exchange.is_generic() ? BodyType::as_it_is : judge_type(exchange, head, type);
    exchange.request->taken_as_json = fate == BodyType::taken_as_json;
    if (fate == BodyType::refused) {
        const bool json = exchange.endpoint->kind != EndpointKind::model_in_multipart;
        return refuse(reply, error_reply(exchange, 415,
                                         std::string("This endpoint takes ") +
                                             (json ? "Content-Type: application/json."
                                                   : "Content-Type: multipart/form-data."),
                                         "unsupported_media_type"));
    }
    if (!exchange.is_generic() && check_coding(exchange, head, reply) == Verdict::respond)
        return Verdict::respond;
    const std::string_view expect = head.find(http::FieldId::expect);
    if (!expect.empty() && head.minor > 0 && !head.expect_continue)
        return refuse(reply, error_reply(exchange, 417, "Only 'Expect: 100-continue' is served.",
                                         "expectation_failed"));
    if (http::same_name(type, "multipart/form-data")) {
        auto reader = llm::MultipartReader::create(head.find(http::FieldId::content_type));
        if (!reader) return refuse(reply, error_reply(exchange, 400, reader.error().message));
        exchange.request->multipart =
            std::make_unique<llm::MultipartReader>(std::move(reader).value());
    }
    return Verdict::next;
}

// Google's Gemini API names what is done behind the model: /v1beta/models/NAME:generateContent
// (https://ai.google.dev/api/generate-content).
bool is_of_gemini(std::string_view path) {
    constexpr std::string_view deeds[] = {":generateContent", ":streamGenerateContent",
                                          ":countTokens", ":embedContent", ":batchEmbedContents"};
    return path.starts_with("/v1beta/models") || path.starts_with("/v1alpha/models") ||
           std::ranges::any_of(deeds, [path](auto deed) { return path.ends_with(deed); });
}

// What a client is given as its base URL, and should have put something behind.
bool is_base(std::string_view path) {
    while (path.ends_with('/'))
        path.remove_suffix(1);
    return path == "/v1" || path == "/api";
}

std::string where_to_ask(std::string_view path, std::string_view likely) {
    if (is_of_gemini(path))
        return "Gemini's API is not spoken here: use a client of OpenAI's API with a base URL that "
               "ends in /v1, or one of Anthropic's.";
    if (!likely.empty())
        return "Did you mean " + std::string(likely) +
               "? The base URL of a client ends in /v1 for OpenAI's API, without it for "
               "Anthropic's and Ollama's, and never in a slash.";
    if (is_base(path))
        return "As a base URL it is right: clients put the rest behind it, like "
               "/v1/chat/completions or /api/chat.";
    return "See GET /v1/models and POST /v1/chat/completions.";
}

// In the dialect of the endpoint that was meant, if it is clear which one.
Reply unknown_path_reply(Exchange& exchange, const http::Head& head, std::string_view likely) {
    const std::string message = "Nothing is served at " + std::string(head.path.substr(0, 200)) +
                                ". " + where_to_ask(head.path, likely);
    // What is under /api/ stays Ollama's.
    if (exchange.dialect() == llm::Dialect::openai) exchange.endpoint = llm::find_endpoint(likely);
    return error_reply(exchange, 404, message, "unknown_path");
}

Reply wrong_method_reply(const Exchange& exchange, const http::Head& head, std::string_view allow) {
    Reply reply = error_reply(
        exchange, 405, std::string(head.path.substr(0, 200)) + " takes " + std::string(allow) + ".",
        "method_not_allowed");
    reply.fields = "Allow: " + std::string(allow) + "\r\n";
    return reply;
}

// Whether the client would speak WebSocket from here on (RFC 9110 section 7.8: a list of protocols,
// whose names compare without case).
bool asks_for_websocket(const http::Head& head) {
    if (head.minor == 0) return false;
    for (const http::Field& field : head.fields()) {
        if (field.id != http::FieldId::hop_by_hop || !http::same_name(field.name, "upgrade"))
            continue;
        std::string_view list = field.value;
        for (std::string_view protocol; http::next_element(list, protocol);)
            if (http::same_name(protocol.substr(0, protocol.find('/')), "websocket")) return true;
    }
    return false;
}

// An endpoint that is spoken over WebSocket elsewhere. Of all refusals only 426 makes an agent that
// tries it first (Codex CLI) go on with POST at once.
Reply no_websocket_reply(const Exchange& exchange, const http::Head& head) {
    Reply reply = error_reply(
        exchange, 426,
        std::string(head.path) + " is not served over WebSocket: send the request by POST.",
        "websocket_not_served");
    // RFC 9110 section 15.5.22: what to speak instead, which is what was spoken.
    reply.fields = "Upgrade: HTTP/1.1\r\nConnection: Upgrade\r\n";
    return reply;
}

// One model's entry, asked for as the list may be: without /v1.
std::string entry_meant(const Exchange& exchange, std::string_view path) {
    constexpr std::string_view bare = "/models/";
    if (!path.starts_with(bare)) return {};
    std::string versioned = "/v1" + std::string(path);
    const llm::Endpoint* const endpoint = llm::find_endpoint(versioned);
    if (endpoint == nullptr || endpoint->kind != EndpointKind::model_by_id) return {};
    const auto id = llm::model_id_of(*endpoint, versioned);
    const bool known = id && exchange.service.catalog->find(id.value()) != nullptr;
    return known ? versioned : std::string();
}

Verdict nothing_there(Exchange& exchange, const http::Head& head, Reply& reply) {
    if (const std::string why = why_not_done(exchange, head.path); !why.empty())
        return refuse(reply, error_reply(exchange, 404, why, "unknown_path"));
    std::string likely = likely_path(head.path);
    if (likely.empty()) likely = entry_meant(exchange, head.path);
    return refuse(reply, unknown_path_reply(exchange, head, likely));
}

// Whether a route takes what an endpoint of that path does not.
bool has_route(const Service& service, const http::Head& head) {
    if (service.routes.empty() || !http::check_path(head.path)) return false;
    return service.routes.find({head.method_text, head.path, head.fields()}).route != nullptr;
}

// A path that is no endpoint's. A type of body that a form has is no danger here: guard has seen to
// it that no foreign site sends one.
Verdict classify_route(Exchange& exchange, const http::Head& head, Reply& reply) {
    Service& service = exchange.service;
    if (service.routes.empty()) return nothing_there(exchange, head, reply);
    if (const auto status = http::check_path(head.path); !status) {
        if (const auto likely = likely_path(head.path); !likely.empty())
            return refuse(reply, unknown_path_reply(exchange, head, likely));
        return refuse(reply, error_reply(exchange, 400, status.error().message, "ambiguous_path"));
    }
    const auto found = service.routes.find({head.method_text, head.path, head.fields()});
    if (!found.allow.empty()) return refuse(reply, wrong_method_reply(exchange, head, found.allow));
    if (found.route == nullptr) return nothing_there(exchange, head, reply);
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
    SLUICE_ASSERT(exchange.route == nullptr);
    exchange.endpoint = endpoint_asked(head);
    if (exchange.endpoint == nullptr) return classify_route(exchange, head, reply);
    if (!exchange.endpoint->allows(head.method)) {
        if (head.method == http::Method::get && asks_for_websocket(head))
            return refuse(reply, no_websocket_reply(exchange, head));
        if (has_route(exchange.service, head)) return classify_route(exchange, head, reply);
        return refuse(reply, wrong_method_reply(exchange, head, exchange.endpoint->allow()));
    }
    if (exchange.endpoint->is_own_answer()) return Verdict::next;
    // What is forwarded has one reading only.
    if (const auto status = http::check_path(head.path); !status)
        return refuse(reply, error_reply(exchange, 400, status.error().message, "ambiguous_path"));
    return check_body(exchange, head, reply);
}

}  // namespace sluice::proxy
