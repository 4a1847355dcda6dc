#include "sluice/policy/suspicion.h"

#include "sluice/base/assert.h"
#include "sluice/policy/lesson.h"

#include <algorithm>
#include <utility>

namespace sluice::policy {
namespace {

double weight_of(Duration before, Duration now) {
    SLUICE_ASSERT(before.ns >= 0 && now.ns >= 0);
    constexpr double noise = 1e6;
    const double first = static_cast<double>(before.ns) + noise;
    const double second = static_cast<double>(now.ns) + noise;
    const double likeness = std::min(first, second) / std::max(first, second);
    return likeness * likeness / first;
}

}  // namespace

// --- a request ------------------------------------------------------------------------------

void Suspect::recall(const PastDeaths& past, Instant began) {
    if (past.count > is_.past.count && past.last_at < began) is_.past = past;
}

bool Suspect::undecided_on(std::uint32_t server) const {
    return std::any_of(is_.breaks.begin(), is_.breaks.begin() + is_.open,
                       [server](const Break& each) { return each.server == server; });
}

// --- all of them ----------------------------------------------------------------------------

Suspicion::Server& Suspicion::server(std::uint32_t number) {
    while (number >= servers_.size())
        servers_.emplace_back();
    return servers_[number];
}

void Suspicion::sent(Suspect& suspect, std::uint32_t server_number, Instant now) {
    SLUICE_ASSERT(!suspect.hook_.linked());
    suspect.is_.server = server_number;
    suspect.is_.sent = now;
    server(server_number).there.push_back(suspect);
}

void Suspicion::over(Suspect& suspect) {
    if (suspect.hook_.linked()) suspect.hook_.unlink();
}

// The first sign that a server ends: who was there, and who of them is likely the one. It is asked
// before anybody leaves.
void Suspicion::look_around(std::uint32_t number, Instant at) {
    Server& server = this->server(number);
    server.broke_at = at;
    server.ever_broke = true;
    server.weight = server.others = 0;
    server.heard = 0;
    server.told = false;
    server.there.for_each([&](Suspect& each) {
        auto& is = each.is_;
        is.seen_weight = 0;
        if (is.sent > at) return;  // a peer has seen it before this one came
        is.seen_age = at - is.sent;
        if (is.past.count > 0)
            is.seen_weight = weight_of(is.past.first_age, is.seen_age);
        else if (is.open > 0 && is.breaks[0].server != is.server)
            is.seen_weight = weight_of(is.breaks[0].age, is.seen_age);
        server.weight += is.seen_weight;
    });
    if (server.weight > 0) tell(number);
}

void Suspicion::tell(std::uint32_t number) {
    Server& server = servers_[number];
    if (teacher_ == nullptr || std::exchange(server.told, true)) return;
    teacher_->tell(SuspicionLook{.server = number, .at = server.broke_at, .weight = server.weight});
}

void Suspicion::learn(const SuspicionLook& look, Instant now) {
    if (now - look.at > hearing_max) return;  // nobody waits for it any more
    Server& server = this->server(look.server);
    const Duration apart =
        look.at > server.broke_at ? look.at - server.broke_at : server.broke_at - look.at;
    if (!server.ever_broke || apart > same_death) {
        if (server.ever_broke && look.at < server.broke_at) return;  // of a death before that
        look_around(look.server, look.at);
    }
    server.others += look.weight;
    ++server.heard;
    tell(look.server);
}

void Suspicion::broke(Suspect& suspect, Instant now) {
    auto& is = suspect.is_;
    Server& at = server(is.server);
    if (!suspect.hook_.linked()) at.there.push_back(suspect);
    if (!at.ever_broke || now - at.broke_at > same_death) look_around(is.server, now);
    suspect.hook_.unlink();
    // Sent to it again, and it broke again: it is still the first time that counts.
    if (suspect.undecided_on(is.server)) return;
    SLUICE_ASSERT(is.open < Suspect::undecided_max);
    const bool was_there = is.sent <= at.broke_at;
    is.breaks[is.open++] = {
        .server = is.server, .age = was_there ? is.seen_age : now - is.sent, .at = now};
    is.weight = was_there ? is.seen_weight : 0;
    is.look = at.broke_at;
}

void Suspicion::ended(Suspect& suspect, std::uint32_t server) {
    SLUICE_ASSERT(suspect.undecided_on(server));
    auto& is = suspect.is_;
    const auto& met = *std::ranges::find(is.breaks, server, &Suspect::Break::server);
    if (is.past.count++ == 0) is.past.first_age = met.age;
    is.past.last_at = std::max(is.past.last_at, met.at);
    const double weight = is.weight;
    survived(suspect, server);
    is.weight = weight;
}

void Suspicion::survived(Suspect& suspect, std::uint32_t server) {
    SLUICE_ASSERT(suspect.undecided_on(server));
    auto& is = suspect.is_;
    const auto end = is.breaks.begin() + is.open;
    // What it met last was no death.
    if ((end - 1)->server == server) is.weight = 0;
    const auto left = std::remove_if(is.breaks.begin(), end, [server](const Suspect::Break& each) {
        return each.server == server;
    });
    is.open = static_cast<std::uint8_t>(left - is.breaks.begin());
}

// Of the break that it met last.
Suspicion::Likely Suspicion::likely(const Suspect& suspect, Instant now) const {
    const auto& is = suspect.is_;
    if (is.weight == 0) return Likely::no;
    SLUICE_ASSERT(is.server < servers_.size());
    const Server& server = servers_[is.server];
    if (server.broke_at != is.look) return Likely::no;  // that was long ago
    if (2 * is.weight <= server.weight + server.others) return Likely::no;
    const bool heard = server.heard >= peers_ || now - server.broke_at > hearing_max;
    return heard ? Likely::yes : Likely::unknown;
}

Fate Suspicion::fate(const Suspect& suspect, bool known, Instant now) const {
    const unsigned deaths = suspect.deaths() + suspect.is_.open;
    if (deaths == 0) return Fate::moves;
    if (deaths < 3 && !known) {
        const auto likely = deaths < 2 ? Likely::no : this->likely(suspect, now);
        if (likely == Likely::no) return Fate::moves;
        if (likely == Likely::unknown) return Fate::waits;
    }
    return suspect.undecided() ? Fate::waits : Fate::stops;
}

}  // namespace sluice::policy
