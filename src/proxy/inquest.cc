#include "inquest.h"

#include "sluice/io/socket.h"
#include "sluice/proxy/event_log.h"

#include <utility>

namespace sluice::proxy {
namespace {

using policy::KnownFor;

// A process that dies closes its connections before it is seen to be gone; on a busy machine it may
// take that long where nobody waits.
constexpr Duration patience_max = Duration::seconds(1);
constexpr Duration look_gap = Duration::millis(10);

bool is_gone(const Service& service, const upstream::Endpoint& endpoint) {
    return service.dispatch.health_of(endpoint) == upstream::Health::down ||
           io::nobody_listens(endpoint.address().raw(), endpoint.address().size());
}

}  // namespace

bool ends_servers(const Service& service, std::uint64_t digest) {
    const Instant now = service.loop.now();
    return digest != 0 && service.known_requests.any(now) &&
           service.known_requests.knows(digest, KnownFor::ending_servers, now);
}

void Inquest::broke(Service& service, const Server& server) {
    SLUICE_ASSERT(server != nullptr);
    if (!suspect.undecided_on(server->id)) broken.push_back({server, service.loop.now()});
    service.suspicion.broke(suspect, service.loop.now());
}

void Inquest::count(const upstream::Endpoint& server) {
    policy::Suspicion::ended(suspect, server.id);
    ended.append(ended.empty() ? "" : ", ").append(server.url);
}

void Inquest::look_back(Service& service, const upstream::Endpoint* but, Duration patience) {
    std::erase_if(broken, [&](const Broken& each) {
        const upstream::Endpoint& server = *each.server;
        if (!suspect.undecided_on(server.id)) return true;
        if (&server != but && is_gone(service, server))
            count(server);
        else if (each.at + patience <= service.loop.now())
            policy::Suspicion::survived(suspect, server.id);
        else
            return false;
        return true;
    });
}

void Inquest::recall(const Service& service, std::uint64_t digest, Instant began) {
    const Instant now = service.loop.now();
    if (digest != 0 && service.known_requests.any(now))
        suspect.recall(service.known_requests.deaths_of(digest, now), began);
}

policy::Fate Inquest::fate(const Service& service, std::uint64_t digest) const {
    return service.suspicion.fate(suspect, ends_servers(service, digest), service.loop.now());
}

void Inquest::convict(Service& service, std::uint64_t digest) {
    SLUICE_ASSERT(suspect.deaths() > 0);
    closed = true;
    const bool again = ends_servers(service, digest);
    if (digest != 0) service.note({.digest = digest, .what = KnownFor::ending_servers});
    write_event(service.access_log, "query_of_death",
                {{"request", request},
                 {"model", model},
                 {"ended", ended},
                 {"cause", again ? "servers ended under the same request before"
                                 : "servers ended under this request one after the other"}});
}

void Inquest::close(Service& service, std::uint64_t digest) {
    if (closed) return;
    const auto fate = this->fate(service, digest);
    if (suspect.undecided() || fate == policy::Fate::waits)
        return service.inquests->take(*this, digest);
    if (fate == policy::Fate::stops) return convict(service, digest);
    closed = true;
    if (suspect.deaths() == 0 || digest == 0) return;
    service.note({.digest = digest, .what = KnownFor::being_there, .deaths = suspect.past()});
}

// --- of forwards that are over --------------------------------------------------------------

Inquests::Inquests(Service& service)
    : service_(service), timer_(this, [](void* self) { static_cast<Inquests*>(self)->look(); }) {}

Inquests::~Inquests() {
    service_.loop.timers().disarm(timer_);
}

void Inquests::take(const Inquest& inquest, std::uint64_t digest) {
    SLUICE_ASSERT(!inquest.closed);  // it would be told twice
    if (cases_.size() == cases_max || service_.draining) return;
    cases_.push_back(std::make_unique<Case>(inquest, digest));  // rare: a server broke off
    if (!timer_.armed()) service_.loop.timers().arm(timer_, service_.loop.now() + look_gap);
}

void Inquests::look() {
    SLUICE_ASSERT(!timer_.armed() && !cases_.empty());  // it is armed for somebody
    auto cases = std::exchange(cases_, {});
    for (auto& each : cases) {
        each->inquest.look_back(service_, nullptr, patience_max);
        const auto fate = each->inquest.fate(service_, each->digest);
        if (each->inquest.suspect.undecided() || fate == policy::Fate::waits)
            cases_.push_back(std::move(each));
        else
            each->inquest.close(service_, each->digest);
    }
    if (!cases_.empty() && !timer_.armed())
        service_.loop.timers().arm(timer_, service_.loop.now() + look_gap);
}

}  // namespace sluice::proxy
