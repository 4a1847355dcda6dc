// share: whether another request's answer will do: one that is kept, or one that is under way.
//
// The form of a body is only read where its model shares something; and of a generation where it
// names what makes it deterministic.
#include "body_span.h"
#include "sluice/cache/eligible.h"
#include "sluice/cache/embeddings.h"
#include "sluice/proxy/pipeline.h"
#include "sluice/proxy/sharing.h"

#include <optional>
#include <string>
#include <string_view>

namespace sluice::proxy {
namespace {

cache::Sharing of(config::Sharing setting) {
    switch (setting) {
        case config::Sharing::automatic:
            return cache::Sharing::automatic;
        case config::Sharing::always:
            return cache::Sharing::always;
        case config::Sharing::never:
            return cache::Sharing::never;
    }
    return cache::Sharing::never;
}

// Whether its text says something that may make it deterministic: then its form is worth reading.
bool may_be_determined(const RequestState& request) {
    const auto& facts = request.facts;
    if (facts.names_seed) return true;
    if (facts.temperature_value.empty()) return false;
    bool zero = true;  // no digit but 0, up to an exponent
    bool in_exponent = false;
    for_each_part(request.body, facts.temperature_value, [&](std::string_view part) {
        for (const char c : part) {
            in_exponent |= c == 'e' || c == 'E';
            zero &= in_exponent || c < '1' || c > '9';
        }
    });
    return zero;
}

cache::Scope scope_of(const Exchange& exchange) {
    using Share = config::CacheSetting::Share;
    const Share share = exchange.model->setting.cache.share;
    if (share == Share::everybody) return {cache::ScopeKind::everybody, {}};
    if (share == Share::group && exchange.consumer != nullptr && !exchange.consumer->group.empty())
        return {cache::ScopeKind::group, exchange.consumer->group};
    return {cache::ScopeKind::consumer, exchange.consumer_name()};
}

// What the servers of the model are asked for is one thing, as far as their names say so.
std::string_view backend_model_of(const Exchange& exchange) {
    const auto& targets = exchange.model->targets;
    if (targets.empty() || targets.front().upstream_name.empty())
        return exchange.request->asked_model;
    return targets.front().upstream_name;
}

// What its first server tells of the file: another one under the same name is another model. What a
// server only tells of a loaded model makes one miss more.
std::string build_of(const upstream::Model& model) {
    const auto& entry = model.entry;
    std::string build = entry.digest;
    build.append(" ").append(entry.modified_at).append(" ").append(entry.quantization);
    build.append(" ").append(std::to_string(entry.size));
    build.append(" ").append(std::to_string(entry.parameters));
    return build;
}

// The client's own key goes to a server of which we have none.
bool passes_credentials_on(const upstream::Model& model) {
    for (const auto& target : model.targets)
        if (target.setting.key.empty()) return true;
    return false;
}

Verdict bypass(Exchange& exchange, Reply& reply, cache::Bypass cause,
               const cache::Directives& directives) {
    exchange.cache = cache::Outcome::bypass;
    exchange.cache_bypass = cause;
    if (!directives.only_if_cached) return Verdict::next;
    return refuse(reply, nothing_kept_reply(exchange));
}

}  // namespace

Reply nothing_kept_reply(const Exchange& exchange) {
    return error_reply(exchange, 504,
                       "No answer is kept for this request, and it asks for nothing else "
                       "(Cache-Control: only-if-cached).",
                       "not_cached");
}

Verdict share_on_head(Exchange& exchange, const http::Head& head, Reply&) {
    if (exchange.is_generic() || exchange.endpoint == nullptr) return Verdict::next;
    if (head.has(http::FieldId::cache_control))
        exchange.request->directives = cache::read_directives(head);
    return Verdict::next;
}

Verdict share_on_body(Exchange& exchange, Reply& reply) {
    // A shard that ends may be waited for in vain.
    if (exchange.is_generic() || exchange.service.draining) return Verdict::next;
    RequestState& request = *exchange.request;
    const auto& setting = exchange.model->setting;
    const cache::SharingSettings sharing{.join = of(setting.coalesce),
                                         .cache = exchange.service.flights.store() == nullptr
                                                      ? cache::Sharing::never
                                                      : of(setting.cache.answers)};
    const bool caches = sharing.cache != cache::Sharing::never;
    if (!caches && sharing.join == cache::Sharing::never) return Verdict::next;
    const auto& directives = request.directives;
    const auto pass_by = [&](cache::Bypass cause) {
        return caches ? bypass(exchange, reply, cause, directives) : Verdict::next;
    };
    const bool asks_for_all =
        sharing.join == cache::Sharing::always || sharing.cache == cache::Sharing::always;
    const bool generates = exchange.endpoint->tokens == llm::Tokens::written;
    const bool may_be = asks_for_all || !generates || may_be_determined(request);
    if (!may_be || request.multipart != nullptr) return pass_by(cache::Bypass::not_determined);
    auto eligible = cache::eligible(sharing, *exchange.endpoint, directives);
    if (eligible.is_over()) return pass_by(eligible.cause());
    auto& keys = exchange.service.keys;
    const auto body = keys.read(*exchange.endpoint, request.body);
    const bool deterministic = body == cache::Bypass::none && keys.deterministic();
    eligible = cache::eligible(eligible, sharing, body, deterministic);
    if (eligible.is_over()) return pass_by(eligible.cause());
    const cache::Scope scope = scope_of(exchange);
    const bool streamed = exchange.streamed;
    const std::string build = build_of(*exchange.model);
    const std::string fields = cache::fields_of_key(request.fields);
    const cache::KeyParts parts{.scope = scope,
                                .model = exchange.model->name,
                                .backend_model = backend_model_of(exchange),
                                .build = build,
                                .endpoint = request.target,
                                .fields = fields,
                                .credentials = passes_credentials_on(*exchange.model)
                                                   ? std::string_view(request.credentials)
                                                   : std::string_view()};
    FlightQuestion question{.key = {.key = keys.key(parts),
                                    .streamed = streamed,
                                    .with_usage = streamed && llm::asks_for_usage(request.facts)},
                            .joins = eligible.join == cache::Bypass::none,
                            .reads = eligible.cache == cache::Bypass::none,
                            .directives = directives,
                            .ttl = setting.cache.ttl};
    exchange.sharing = std::make_unique<Sharing>(exchange.service.flights, exchange.service.loop);
    exchange.sharing->scope = scope.kind;
    exchange.sharing->scope_name = scope.name;
    exchange.sharing->keeps = eligible.cache == cache::Bypass::none;
    std::optional<cache::EmbeddingBatch> batch;
    if (question.reads && !streamed) batch = cache::EmbeddingBatch::of(keys, parts);
    if (batch)
        exchange.sharing->ask(std::move(question), std::move(*batch));
    else
        exchange.sharing->ask(std::move(question));
    return exchange.sharing->ready() ? share_on_ready(exchange, reply) : Verdict::wait;
}

Verdict share_on_ready(Exchange& exchange, Reply& reply) {
    using Kind = FlightAnswer::Kind;
    SLUICE_ASSERT(exchange.sharing != nullptr && exchange.sharing->ready());
    const bool caches = exchange.service.flights.store() != nullptr &&
                        exchange.model->setting.cache.answers != config::Sharing::never;
    switch (exchange.sharing->answer().kind) {
        case Kind::refused:
            exchange.sharing = nullptr;
            return refuse(reply, nothing_kept_reply(exchange));
        case Kind::hit:
        case Kind::stale:
            if (!exchange.sharing->fit(*exchange.endpoint, exchange.streamed,
                                       llm::asks_for_usage(exchange.request->facts))) {
                exchange.sharing->ask_anew();
                return exchange.sharing->ready() ? share_on_ready(exchange, reply) : Verdict::wait;
            }
            exchange.cache = exchange.sharing->answer().kind == Kind::hit ? cache::Outcome::hit
                                                                          : cache::Outcome::stale;
            break;
        case Kind::join:
            exchange.cache = cache::Outcome::joined;
            break;
        case Kind::lead:
            if (caches)
                exchange.cache =
                    exchange.sharing->knows_some() ? cache::Outcome::partial : cache::Outcome::miss;
            break;
        case Kind::purged:  // nothing of the kind was asked for
        case Kind::none:
            exchange.sharing = nullptr;
            break;
    }
    return Verdict::next;
}

}  // namespace sluice::proxy
