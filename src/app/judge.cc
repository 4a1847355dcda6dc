#include "judge.h"

#include "sluice/http/path.h"
#include "sluice/llm/endpoints.h"
#include "sluice/net/address.h"
#include "sluice/net/listening.h"
#include "sluice/policy/path_rewrite.h"
#include "sluice/proxy/host_list.h"
#include "sluice/proxy/pipeline.h"
#include "sluice/shard/listen_plan.h"
#include "sluice/shard/log_writer.h"
#include "sluice/state/answer_disk.h"
#include "sluice/upstream/watch_plan.h"

#include <unistd.h>

#include <string_view>
#include <utility>

namespace sluice::app {
namespace {

using config::Settings;

template <class T>
Status as_status(const Result<T>& read) {
    if (!read) return read.error();
    return Done{};
}

// Own paths and endpoints come first, whatever a route says.
Status check_route(std::string_view path) {
    const std::string below = std::string(path) + "x";
    const bool is_endpoint = llm::find_endpoint(path) != nullptr ||
                             (path.ends_with('/') && llm::find_endpoint(below) != nullptr);
    const bool is_own = proxy::is_own_path(path) && !proxy::yields_to_routes(path);
    if (!is_endpoint && !is_own) return Done{};
    return Error::gateway("never comes to a route: it is " +
                          std::string(is_endpoint ? "an endpoint of models" : "the gateway's own"));
}

std::uint64_t memory_of_machine() {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_bytes = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) return 0;
    return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

// Looks for backends that are one of the gateway's own listeners.
class Loops {
public:
    Loops(const config::LoadOutcome& outcome, Names names, Judgement& judgement)
        : outcome_(outcome), names_(names), judgement_(judgement) {
        for (const auto& setting : outcome.settings.listen)
            if (auto address = net::Address::parse(setting.address); address.ok())
                listeners_.push_back(std::move(address).value());
    }

    void look(const std::string& where, const std::string& text) {
        const auto url = net::parse_url(text);
        if (!url) return;
        const config::Place at = config::find_place(outcome_.places.urls, text);
        net::Address address = url.value().address;
        if (const auto& name = url.value().name; !name.empty() && names_ == Names::looked_up) {
            auto found = net::look_up(name, url.value().port);
            if (!found)
                return judgement_.doubtful.push_back({at, where + ": " + found.error().message});
            address = *found;
        }
        for (const auto& listener : listeners_)
            if (net::leads_to(address, listener))
                judgement_.wrong.push_back(
                    {at, where + ": '" + text + "' is this gateway itself, which listens on " +
                             listener.to_string() +
                             ": name the model server's own address, or another one under "
                             "'listen'"});
    }

private:
    const config::LoadOutcome& outcome_;
    Names names_;
    Judgement& judgement_;
    std::vector<net::Address> listeners_;
};

void judge_listeners(const config::LoadOutcome& outcome, Judgement& judgement) {
    const auto& listeners = outcome.settings.listen;
    const auto plan = shard::plan_listeners(outcome.settings);
    if (plan.trouble.empty()) return;
    const std::string& wrong = listeners[plan.addresses.size()].address;
    const config::Place at = config::find_place(outcome.places.listeners, wrong);
    judgement.wrong.push_back(
        {at, (at.line > 0 ? "listen: '" : "--listen: '") + wrong + "': " + plan.trouble});
}

}  // namespace

config::Checks checks() {
    return {
        .url = [](std::string_view text) { return as_status(net::parse_url(text)); },
        .server = [](std::string_view text) { return as_status(upstream::parse_server_url(text)); },
        .address = [](std::string_view text) { return as_status(net::Address::parse(text)); },
        .host = [](std::string_view text) { return proxy::HostList::check(text); },
        .log = [](std::string_view text) { return shard::LogWriter::check(std::string(text)); },
        .kept = [](std::string_view text) { return state::AnswerDisk::check(std::string(text)); },
        .path = [](std::string_view text) { return http::check_path(text); },
        .route = check_route,
        .rewrite =
            [](const config::RewriteSetting& setting) {
                return as_status(policy::PathRewrite::compile({}, setting));
            },
        .memory = memory_of_machine()};
}

Judgement judge(const config::LoadOutcome& outcome, Names names) {
    const Settings& settings = outcome.settings;
    Judgement judgement;
    Loops loops(outcome, names, judgement);
    for (const auto& model : settings.models)
        for (const auto& backend : model.backends)
            loops.look("the model '" + model.name + "'", backend.url);
    for (const auto& backend : settings.backends)
        loops.look("backends", backend.url);
    for (const auto& route : settings.routes)
        for (const auto& backend : route.backends)
            loops.look("the route '" + route.path + "'", backend.url);
    if (!settings.fallback_backend.empty())
        loops.look("the fallback backend", settings.fallback_backend);
    judge_listeners(outcome, judgement);
    return judgement;
}

std::vector<std::string> asked_urls(const Settings& settings) {
    std::vector<std::string> all;
    const auto plan = upstream::WatchPlan::create(settings, {});
    if (!plan) return all;
    for (const auto& server : plan.value().servers) {
        const auto& endpoint = *server.endpoint;
        if (server.generic() || server.origin == upstream::WatchPlan::Origin::discovered) continue;
        all.push_back(endpoint.url + ": asked at " +
                      upstream::asked_url(endpoint.target, "/v1/chat/completions"));
    }
    return all;
}

}  // namespace sluice::app
