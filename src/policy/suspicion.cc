#include "sluice/policy/suspicion.h"

#include "sluice/base/assert.h"

#include <algorithm>

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

bool Suspect::undecided_on(std::uint32_t server) const {
    return std::any_of(breaks_.begin(), breaks_.begin() + open_,
                       [server](const Break& each) { return each.server == server; });
}

Suspicion::Server& Suspicion::server(std::uint32_t number) {
    while (number >= servers_.size())
        servers_.emplace_back();
    return servers_[number];
}

void Suspicion::sent(Suspect& suspect, std::uint32_t server_number, Instant now) {
    SLUICE_ASSERT(!suspect.hook_.linked());
    suspect.server_ = server_number;
    suspect.sent_ = now;
    server(server_number).there.push_back(suspect);
}

void Suspicion::over(Suspect& suspect) {
    if (suspect.hook_.linked()) suspect.hook_.unlink();
}

// The first sign that a server ends: who was there, and who of them is likely the one. It is asked
// before anybody leaves.
void Suspicion::look_around(Server& server, Instant now) {
    server.broke_at = now;
    server.ever_broke = true;
    const auto weight = [now](const Suspect& each) {
        const Duration age = now - each.sent_;
        if (each.deaths_ > 0) return weight_of(each.first_age_, age);
        const bool before = each.open_ > 0 && each.breaks_[0].server != each.server_;
        return before ? weight_of(each.breaks_[0].age, age) : 0;
    };
    double all = 0;
    server.there.for_each([&](const Suspect& each) { all += weight(each); });
    server.there.for_each([&](Suspect& each) {
        each.seen_age_ = now - each.sent_;
        each.seen_likely_ = 2 * weight(each) > all;
    });
}

void Suspicion::broke(Suspect& suspect, Instant now) {
    Server& at = server(suspect.server_);
    if (!suspect.hook_.linked()) at.there.push_back(suspect);
    if (!at.ever_broke || now - at.broke_at > same_death) look_around(at, now);
    suspect.hook_.unlink();
    // Sent to it again, and it broke again: it is still the first time that counts.
    if (suspect.undecided_on(suspect.server_)) return;
    SLUICE_ASSERT(suspect.open_ < Suspect::undecided_max);
    const bool was_there = suspect.sent_ <= at.broke_at;
    suspect.breaks_[suspect.open_++] = {.server = suspect.server_,
                                        .age = was_there ? suspect.seen_age_ : now - suspect.sent_};
    suspect.likely_ = was_there && suspect.seen_likely_;
}

void Suspicion::ended(Suspect& suspect, std::uint32_t server) {
    SLUICE_ASSERT(suspect.undecided_on(server));
    if (suspect.deaths_++ == 0)
        suspect.first_age_ =
            std::ranges::find(suspect.breaks_, server, &Suspect::Break::server)->age;
    const bool likely = suspect.likely_;
    survived(suspect, server);
    suspect.likely_ = likely;
}

void Suspicion::survived(Suspect& suspect, std::uint32_t server) {
    SLUICE_ASSERT(suspect.undecided_on(server));
    auto& breaks = suspect.breaks_;
    const auto end = breaks.begin() + suspect.open_;
    // What it met last was no death.
    if ((end - 1)->server == server) suspect.likely_ = false;
    const auto left = std::remove_if(breaks.begin(), end, [server](const Suspect::Break& each) {
        return each.server == server;
    });
    suspect.open_ = static_cast<std::uint8_t>(left - breaks.begin());
}

Fate Suspicion::fate(const Suspect& suspect, bool known) {
    const unsigned deaths = suspect.deaths_ + suspect.open_;
    const bool stops = deaths >= 3 || (deaths == 2 && suspect.likely_) || (deaths >= 1 && known);
    if (!stops) return Fate::moves;
    return suspect.open_ > 0 ? Fate::waits : Fate::stops;
}

}  // namespace sluice::policy
