// ollama: what Ollama's clients ask of models whose servers do not speak its API. What a model is
// (/api/show) is answered from what is known; a chat is refused in words, until it is translated.
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

namespace sluice::proxy {
namespace {

using upstream::Kind;

// Of a server of no known kind nobody knows: it is asked.
bool may_speak_ollama(const upstream::Target& target) {
    return target.kind == Kind::ollama || target.kind == Kind::unknown;
}

// What to ask instead.
std::string_view counterpart(std::string_view path) {
    if (path == "/api/generate") return "/v1/completions";
    if (path.starts_with("/api/embed")) return "/v1/embeddings";
    return "/v1/chat/completions";
}

// What is done to models with these, in words; the last part of some is a name.
struct Deed {
    std::string_view path;
    std::string_view done;
    bool is_prefix = false;
};

constexpr Deed deeds[] = {
    {"/api/pull", "pulled"}, {"/api/push", "pushed"},        {"/api/create", "made"},
    {"/api/copy", "copied"}, {"/api/delete", "deleted"},     {"/api/blobs/", "made", true},
    {"/api/me", "pushed"},   {"/api/user/", "pushed", true}, {"/api/signout", "pushed"},
};

}  // namespace

std::string why_not_done(const Exchange& exchange, std::string_view path) {
    const auto* const deed = std::ranges::find_if(deeds, [path](const Deed& each) {
        return each.is_prefix ? path.starts_with(each.path) : path == each.path;
    });
    if (deed == std::end(deeds)) return {};
    const auto& catalog = *exchange.service.catalog;
    std::string why = "Models are not " + std::string(deed->done) + " through the gateway";
    if (!catalog.names().empty()) why += "; those that it serves: " + catalog.names();
    return why + ".";
}

Verdict ollama_on_body(Exchange& exchange, Reply& reply) {
    if (exchange.is_generic() || exchange.dialect() != llm::Dialect::ollama) return Verdict::next;
    SLUICE_ASSERT(exchange.model != nullptr);
    const upstream::Model& model = *exchange.model;
    const std::string& asked = exchange.request->facts.model;
    const std::string_view name = asked.empty() ? std::string_view(model.name) : asked;
    if (exchange.path == "/api/show") {
        const bool its_own = std::ranges::all_of(
            model.targets, [](const auto& target) { return target.kind == Kind::ollama; });
        if (its_own) return Verdict::next;
        reply.body = llm::ollama_show(upstream::Catalog::listed_as(name, model));
        return Verdict::respond;
    }
    if (std::ranges::any_of(model.targets, may_speak_ollama)) return Verdict::next;
    const std::string_view kind = upstream::kind_name(model.targets.front().kind);
    reply = error_reply(exchange, 400,
                        "The model '" + std::string(name) + "' is served by " + std::string(kind) +
                            ", which does not speak Ollama's " + exchange.path +
                            ". Ask for it at " + std::string(counterpart(exchange.path)) +
                            ", with a client of OpenAI's API.",
                        "api_not_spoken");
    return Verdict::respond;
}

}  // namespace sluice::proxy
