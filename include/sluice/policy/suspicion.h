// Suspicion: which request is the one that servers end under, so that a query of death does not go
// from one server to the next.
//
// Pure; one shard's own. A death is a connection that broke behind a request, and then nobody
// listens at that port. The rule:
//
//     deaths  of it is known     likely  known   what the request does
//     1       all                -       no      moves, at once
//     1       all                -       yes     stops
//     2       all                yes     no      stops
//     2       all                no      no      moves: it stood beside the one that did it
//     3       all                -       -       stops, whoever did it
//     where it would stop, but not yet known     waits until it is, for a moment
//
// Many requests see the same death, and all but one of them only stood there. Who did it is told by
// time: a server that dies of a request does so soon behind its coming, and the next server after
// about as long again; who stood beside it came at any time, and moves on with it. So each request
// that a server ended under before weighs, when the next one ends, and
//
//     before, now   how long it had been with the first server and with this one, each with a
//                   millisecond added for the noise of clocks
//     likeness      the shorter of both by the longer
//     weight        likeness^2 / before
//
// and one that weighs at least as much as all others together is likely the one. Whoever is alone
// is.
//
// What follows: alone, or where it can be told from the others, a request ends two servers at most;
// where it came among others within the same few milliseconds, three; one that is known (see
// policy/request_memory.h) one. Of those that stand beside it at two deaths one at most is stopped
// in its place. A request that came to a server which was already about to end is not likely the
// one. Shards know nothing of each other's requests.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/list.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace sluice::policy {

// A request, while it may move; a member of what looks after it.
class Suspect {
public:
    unsigned deaths() const { return deaths_; }
    // It is not known yet whether a server has ended that its connection to broke; or that one.
    bool undecided() const { return open_ > 0; }
    bool undecided_on(std::uint32_t server) const;

private:
    friend class Suspicion;
    struct Break {
        std::uint32_t server = 0;
        Duration age;  // of the try
    };
    // One more would be the third death, and that is waited for.
    static constexpr std::size_t undecided_max = 3;

    ListHook hook_;  // among those that a server has
    Instant sent_;   // to it
    std::uint32_t server_ = 0;
    // What the first sign of the server's end found: it holds for all that were there.
    Duration seen_age_;
    bool seen_likely_ = false;
    bool likely_ = false;  // of the break that it met last
    std::uint8_t deaths_ = 0;
    std::uint8_t open_ = 0;
    Duration first_age_;  // of the first death
    std::array<Break, undecided_max> breaks_;
};

enum class Fate : std::uint8_t { moves, waits, stops };

class Suspicion {
public:
    // Connections that break within that time of the first broke of the same cause.
    static constexpr Duration same_death = Duration::millis(50);

    // `server`: a small number that stays the same. It has the request from now on.
    void sent(Suspect& suspect, std::uint32_t server, Instant now);
    // The try is over, however it ended.
    void over(Suspect& suspect);
    // Its connection broke; the try may be over already.
    void broke(Suspect& suspect, Instant now);
    // What became of a server that it is undecided on: nobody listens there, or somebody still
    // does.
    static void ended(Suspect& suspect, std::uint32_t server);
    static void survived(Suspect& suspect, std::uint32_t server);

    // `known`: the same request did it before, a moment ago.
    static Fate fate(const Suspect& suspect, bool known);

private:
    struct Server {
        List<Suspect, &Suspect::hook_> there;
        Instant broke_at;
        bool ever_broke = false;
    };
    static void look_around(Server& server, Instant now);
    Server& server(std::uint32_t number);

    std::deque<Server> servers_;  // by number; they stay where they are
};

}  // namespace sluice::policy
