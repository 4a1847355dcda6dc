// Tries: the requests of the failover simulation and what became of them; also the access log,
// which must tell each of them once, and the breakers' changes in an order that is possible.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/line_sink.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

namespace sluice::sim {

struct Try {
    enum class Outcome : std::uint8_t {
        open,
        right,   // the whole text of one backend
        failed,  // the gateway said so, or relayed that a backend did
        cut,     // the connection ended without a word
        left,    // its client did not wait
    };

    std::size_t number = 0;
    bool stream = false;
    std::size_t tokens = 1;
    // Servers end under it, those that are not steady.
    bool deadly = false;
    bool sent = false;
    Outcome outcome = Outcome::open;
    bool touched = false;        // its client got some of a backend's text
    std::uint64_t refusals = 0;  // of the retry budgets before it, and then since it began
    Instant over_at;             // as its client saw it
    unsigned arrivals = 0;       // at backends
    unsigned ended = 0;          // of them, under it
    bool alone = false;          // as the second of these ended: nobody else could have done it
    int logged = 0;
    std::string line;

    std::string wire() const;
    // What the backend of that letter answers.
    std::string text(char letter) const;
};

class Tries final : public LineSink {
public:
    Try& add(bool stream, std::size_t tokens);
    Try* find(std::string_view id);
    std::deque<Try>& all() { return all_; }
    void write(std::string_view line) override;
    // No other try was under way within that time.
    bool alone(const Try& tried, Instant now, Duration since) const;

    // Of all shards together: with several the order of a breaker's lines says nothing.
    bool one_shard = true;
    std::uint64_t openings = 0;
    std::uint64_t closings = 0;

private:
    void see_breaker(std::string_view line);

    std::deque<Try> all_;
    std::map<std::string, std::string, std::less<>> breakers_;  // the state, by backend and model
};

// The value of a member of a flat JSON line; empty, or 0, when there is none.
std::uint64_t count_of(std::string_view line, std::string_view name);
std::string_view member(std::string_view line, std::string_view name);

}  // namespace sluice::sim
