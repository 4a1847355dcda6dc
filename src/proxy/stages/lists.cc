// lists: which models there are, in the form that the client reads: OpenAI's, Anthropic's (known by
// its headers, or by pages being asked for) or Ollama's. Needs no backend.
#include "sluice/policy/query.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

namespace sluice::proxy {
namespace {

using llm::EndpointKind;
using upstream::Catalog;

// What is spoken here of Ollama's API, where no server of that kind says what it speaks: clients
// compare it with what they need.
constexpr std::string_view version_spoken = "0.17.4";

// Empty where it is not asked for.
std::string parameter(std::string_view query, std::string_view name) {
    policy::QueryRoom room;
    return std::string(policy::find_parameter(query, name, room).value_or(""));
}

bool asks_as_anthropic(const http::Head& head) {
    static constexpr std::array<std::string_view, 3> pages{"limit", "after_id", "before_id"};
    return !head.find("anthropic-version").empty() || !head.find("anthropic-beta").empty() ||
           std::ranges::any_of(pages, [&head](std::string_view name) {
               return !parameter(head.query, name).empty();
           });
}

std::string anthropic_page(const Catalog& catalog, std::string_view query) {
    const std::string limit = parameter(query, "limit");
    const std::string after = parameter(query, "after_id");
    const std::string before = parameter(query, "before_id");
    llm::AnthropicPage page{.after_id = after, .before_id = before};
    // One that is none leaves the list whole.
    (void)std::from_chars(limit.data(), limit.data() + limit.size(), page.limit);
    return llm::anthropic_list(catalog.listed(), page);
}

// As far as is known: what its server does not say to be unloaded, where it can be asked.
std::string running(const Service& service) {
    auto all = service.catalog->listed();
    for (auto& listed : all) {
        const auto* const model = service.catalog->find(listed.id);
        SLUICE_ASSERT(model != nullptr);
        listed.ready = std::ranges::any_of(model->targets, [&service](const auto& target) {
            return service.dispatch.view(target).health == upstream::Health::up;
        });
    }
    return llm::ollama_running(all);
}

std::string without_empty_segments(std::string_view id) {
    std::string out;
    for (const char c : id)
        if (c != '/' || !(out.empty() || out.ends_with('/'))) out += c;
    if (out.ends_with('/')) out.pop_back();
    return out;
}

Verdict answer_model(Exchange& exchange, const http::Head& head, Reply& reply) {
    SLUICE_ASSERT(exchange.endpoint->kind == EndpointKind::model_by_id);
    const auto id = llm::model_id_of(*exchange.endpoint, head.path);
    if (!id) return refuse(reply, error_reply(exchange, 400, id.error().message, {}, "model"));
    const auto* model = exchange.service.catalog->find(id.value());
    if (model == nullptr) {
        // With a slash too many it is still clear which one was meant.
        const std::string meant = without_empty_segments(id.value());
        const bool known = !meant.empty() && exchange.service.catalog->find(meant) != nullptr;
        if (!known) return refuse(reply, unknown_model_reply(exchange, id.value()));
        return refuse(reply, error_reply(exchange, 404,
                                         "Nothing is served at " + std::string(head.path) +
                                             ". Did you mean /v1/models/" + meant + "?",
                                         "unknown_path"));
    }
    const auto listed = Catalog::listed_as(id.value(), *model);
    const bool anthropic = exchange.dialect() == llm::Dialect::anthropic;
    reply.body = anthropic ? llm::anthropic_entry(listed) : llm::openai_entry(listed);
    return Verdict::respond;
}

std::string version_of(const Catalog& catalog) {
    const std::string& said = catalog.ollama_version();
    std::string body = "{\"version\":\"";
    llm::append_json_escaped(body, said.empty() ? version_spoken : std::string_view(said));
    return body + "\"}";
}

}  // namespace

const llm::Endpoint* endpoint_asked(const http::Head& head) {
    const llm::Endpoint* const endpoint = llm::find_endpoint(head.path);
    if (endpoint == nullptr) return nullptr;
    if (endpoint->kind == EndpointKind::models_list && asks_as_anthropic(head))
        return &llm::anthropic_models;
    if (endpoint->kind == EndpointKind::model_by_id && asks_as_anthropic(head))
        return &llm::anthropic_model;
    return endpoint;
}

Verdict lists_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    if (exchange.endpoint == nullptr || !exchange.endpoint->is_own_answer()) return Verdict::next;
    const EndpointKind kind = exchange.endpoint->kind;
    const Service& service = exchange.service;
    if (kind == EndpointKind::model_by_id) return answer_model(exchange, head, reply);
    const Catalog& catalog = *service.catalog;
    if (kind == EndpointKind::ollama_version) {
        reply.body = version_of(catalog);
        return Verdict::respond;
    }
    const bool too_soon = catalog.empty() && catalog.awaits_any();
    if (!service.catalog_known || too_soon) return refuse(reply, unknown_model_reply(exchange, {}));
    if (kind == EndpointKind::ollama_tags)
        reply.body = llm::ollama_tags(catalog.listed());
    else if (kind == EndpointKind::ollama_running)
        reply.body = running(service);
    else if (exchange.dialect() == llm::Dialect::anthropic)
        reply.body = anthropic_page(catalog, head.query);
    else
        reply.body = catalog.list_json();
    return Verdict::respond;
}

}  // namespace sluice::proxy
