// purge: DELETE /admin/cache, which takes kept answers away from all shards and the disk.
//
//     ?model=NAME   ?consumer=NAME   ?key=DIGEST (the `cache_key` of the log)   ?all=true
//
// One of them has to be named, so that nobody loses everything by a slip. It answers when it is
// done, with how many went: {"purged":{"memory":2,"disk":5}}; what was in both counts in both.
#include "sluice/base/digest.h"
#include "sluice/policy/query.h"
#include "sluice/proxy/pipeline.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::proxy {
namespace {

using PurgeBy = state::Purge::By;

constexpr std::string_view purge_usage =
    "Say which kept answers are to go, by one of these: ?model=NAME, ?consumer=NAME, ?key=DIGEST "
    "(64 hexadecimal digits, the cache_key of a line in the log) or ?all=true.";

struct Selector {
    std::string_view name;
    PurgeBy by;
};
constexpr Selector selectors[] = {{"model", PurgeBy::model},
                                  {"consumer", PurgeBy::consumer},
                                  {"key", PurgeBy::key},
                                  {"all", PurgeBy::everything}};

std::optional<state::Purge> purge_of(std::string_view query) {
    // Also where the second one is misspelt: it may have been meant to narrow the first one.
    if (query.empty() || query.find('&') != query.npos) return std::nullopt;
    for (const Selector& each : selectors) {
        policy::QueryRoom room;
        const auto value = policy::find_parameter(query, each.name, room);
        if (!value || value->empty()) continue;
        state::Purge purge{.by = each.by, .name = std::string(*value)};
        if (each.by == PurgeBy::everything && *value != "true") return std::nullopt;
        if (each.by == PurgeBy::key) {
            const auto digest = parse_digest(*value);
            if (!digest) return std::nullopt;
            purge.key = {*digest};
        }
        return purge;
    }
    return std::nullopt;
}

}  // namespace

Verdict purge_on_head(Exchange& exchange, const http::Head& head, Reply& reply) {
    const auto refuse_with = [&](int status, std::string_view why, std::string_view code) {
        return refuse(reply, error_reply(exchange, status, why, code));
    };
    if (exchange.consumer != nullptr && !exchange.consumer->admin)
        return refuse_with(403, "Only a consumer with 'admin: true' may take kept answers away.",
                           "not_an_admin");
    if (head.framing == http::Framing::chunked || head.content_length > 0)
        return refuse_with(400, "A body is not read here. " + std::string(purge_usage),
                           "unexpected_body");
    const auto what = purge_of(head.query);
    if (!what) return refuse_with(400, purge_usage, "invalid_purge");
    // A shard that ends may be waited for in vain.
    if (exchange.service.draining) return refuse_with(503, "The gateway is stopping.", "stopping");
    exchange.sharing = std::make_unique<Sharing>(exchange.service.flights, exchange.service.loop);
    exchange.sharing->purge(*what);
    return exchange.sharing->ready() ? purge_on_ready(exchange, reply) : Verdict::wait;
}

Verdict purge_on_ready(Exchange& exchange, Reply& reply) {
    const PurgedAnswers gone = exchange.sharing->answer().purged;
    exchange.sharing = nullptr;
    reply.body = R"({"purged":{"memory":)" + std::to_string(gone.memory) + R"(,"disk":)" +
                 std::to_string(gone.disk) + "}}\n";
    return Verdict::respond;
}

}  // namespace sluice::proxy
