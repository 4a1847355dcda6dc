// Suspicion: which request is the one that servers end under, so that a query of death does not go
// from one server to the next.
//
// Pure. A death is a connection that broke behind a request, and then nobody listens at that port.
// The rule:
//
//     deaths  of it is known     likely  known   what the request does
//     1       all                -       no      moves, at once
//     1       all                -       yes     stops
//     2       all                yes     no      stops
//     2       all                no      no      moves: it stood beside the one that did it
//     3       all                -       -       stops, whoever did it
//     where it would stop, but not yet known     waits until it is, for a moment
//
// Deaths that an earlier sending of the same request met count (PastDeaths, which the shard's
// policy/request_memory.h keeps); not those of one that was under way beside it, for what both saw
// may be one death. Many requests see the same death, and all but one of them only
// stood there. Who did it is told by time: a server that dies of a request does so soon behind its
// coming, and the next server after about as long again; who stood beside it came at any time, and
// moves on with it. So each request that a server ended under before weighs, when the next one
// ends, and
//
//     before, now   how long it had been with the first server and with this one, each with a
//                   millisecond added for the noise of clocks
//     likeness      the shorter of both by the longer
//     weight        likeness^2 / before
//
// and one that weighs at least as much as all others together, on all shards, is likely the one.
// Whoever is alone is.
//
// Shards weigh their own, and tell each other what that comes to: whoever sees a server end, with
// somebody there that weighs, tells its peers, who look as well and answer, whatever they have
// seen. The answer is waited for where somebody would stop by what is known here; a peer that says
// nothing for `hearing_max` has nobody there.
//
// What follows: alone, or where it can be told from the others, a request ends two servers at most;
// where it came among others within the same few milliseconds, three; one that is known (see
// policy/request_memory.h) none. Of those that stand beside it at two deaths one at most is stopped
// in its place. A request that came to a server which was already about to end is not likely the
// one.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/list.h"

#include <array>
#include <cstdint>
#include <deque>

namespace sluice::policy {

class Teacher;

// That sendings of a request have met.
struct PastDeaths {
    std::uint8_t count = 0;
    Duration first_age;  // of the try that met the first
    Instant last_at;     // when the connection to the last one broke
};

// What the requests weigh together that one shard had at a server, as that ended.
struct SuspicionLook {
    std::uint32_t server = 0;
    Instant at;
    double weight = 0;
};

// A request, while it may move; a member of what looks after it. A copy is at no server.
class Suspect {
public:
    Suspect() = default;
    Suspect(const Suspect& other) : is_(other.is_) {}
    Suspect& operator=(const Suspect&) = delete;
    ~Suspect() = default;

    // What earlier sendings have met, as far as it is more; `began`: when this one came.
    void recall(const PastDeaths& past, Instant began);

    unsigned deaths() const { return is_.past.count; }
    const PastDeaths& past() const { return is_.past; }
    // It is not known yet whether a server has ended that its connection to broke; or that one.
    bool undecided() const { return is_.open > 0; }
    bool undecided_on(std::uint32_t server) const;

private:
    friend class Suspicion;
    struct Break {
        std::uint32_t server = 0;
        Duration age;  // of the try
        Instant at;
    };
    // One more would be the third death, and that is waited for.
    static constexpr std::size_t undecided_max = 3;

    struct State {
        Instant sent;  // to the server that has it
        std::uint32_t server = 0;
        // What the first sign of the server's end found: it holds for all that were there.
        Duration seen_age;
        double seen_weight = 0;
        // Of the break that it met last: that look, and what it weighed there.
        Instant look;
        double weight = 0;
        PastDeaths past;
        std::uint8_t open = 0;
        std::array<Break, undecided_max> breaks;
    };

    ListHook hook_;  // among those that a server has
    State is_;
};

enum class Fate : std::uint8_t { moves, waits, stops };

class Suspicion {
public:
    // Connections that break within that time of the first broke of the same cause.
    static constexpr Duration same_death = Duration::millis(100);
    static constexpr Duration hearing_max = Duration::millis(150);

    // There are so many other shards.
    void join(unsigned peers, Teacher* teacher) {
        peers_ = peers;
        teacher_ = teacher;
    }
    // What one of them has seen.
    void learn(const SuspicionLook& look, Instant now);

    // `server`: a small number that stays the same. It has the request from now on.
    void sent(Suspect& suspect, std::uint32_t server, Instant now);
    // The try is over, however it ended.
    static void over(Suspect& suspect);
    // Its connection broke; the try may be over already.
    void broke(Suspect& suspect, Instant now);
    // What became of a server that it is undecided on: nobody listens there, or somebody still
    // does.
    static void ended(Suspect& suspect, std::uint32_t server);
    static void survived(Suspect& suspect, std::uint32_t server);

    // `known`: servers end under the same request.
    Fate fate(const Suspect& suspect, bool known, Instant now) const;

private:
    struct Server {
        List<Suspect, &Suspect::hook_> there;
        Instant broke_at;
        double weight = 0;   // of those that were there
        double others = 0;   // that other shards have told
        unsigned heard = 0;  // of so many
        bool ever_broke = false;
        bool told = false;
    };
    enum class Likely : std::uint8_t { no, unknown, yes };

    void look_around(std::uint32_t number, Instant at);
    void tell(std::uint32_t number);
    Likely likely(const Suspect& suspect, Instant now) const;
    Server& server(std::uint32_t number);

    std::deque<Server> servers_;  // by number; they stay where they are
    unsigned peers_ = 0;
    Teacher* teacher_ = nullptr;
};

}  // namespace sluice::policy
