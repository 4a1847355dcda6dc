// Deadlines: which of an exchange's time limits fires first, and the words for it.
//
// Pure. The gateway's own limits are one a phase and one for the whole; a client may shorten them:
//
//     x-stainless-read-timeout  how long the client waits for the next byte: counted from the last
//                               one that went to it, or from its request where none did
//     x-request-timeout         for the whole answer, counted from its request
//
// Both in seconds, decimals allowed. A client can only make a wait shorter, and what fires then is
// its deadline and not the backend's failure (AttemptEnd::client_timeout). Zero switches a limit of
// the gateway off; a client's zero, or what cannot be read, is none.
//
// A server that says nothing is not dead: it may read a long prompt, or hold a tool call back until
// it is whole. `first_byte` and `gap` are for one that shows signs of life; one that shows none is
// given up after `silence`. Comments and parts of an event are signs, and put `gap` off as well;
// but a server whose engine hangs may send comments for ever, so not beyond comments_max.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/config/model_settings.h"
#include "sluice/http/head.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::policy {

// Longer than any answer takes; what a client asks for beyond it is held to it.
inline constexpr Duration client_timeout_max = Duration::seconds(24 * 3600);

using PhaseTimeouts = config::ModelTimeouts;

struct ClientTimeouts {
    std::optional<Duration> read;
    std::optional<Duration> total;
};
// Of a request.
ClientTimeouts read_client_timeouts(const http::Head& head);

// What the exchange waits for.
enum class Phase : std::uint8_t { connect, queue, load, first_byte, gap };

// How long comments alone keep a request going.
inline constexpr Duration comments_max = Duration::seconds(900);

struct PhaseTimes {
    Instant received;   // the request's head
    Instant began;      // the phase at hand; in `gap` the last event that was progress
    Instant last_sent;  // the last byte to the client, comments included; else as `received`
    Instant heard;      // the last byte of the backend, whatever it was; else as `began`
    // The last that is known of its life otherwise; zero where nobody asks for that.
    Instant alive{};
};

enum class DeadlineName : std::uint8_t {
    none,
    connect,
    queue,
    load,
    first_byte,
    gap,
    silence,
    total,
    client_read,
    client_total,
};

struct Deadline {
    DeadlineName name = DeadlineName::none;
    Instant at;      // means something unless `none`
    Duration limit;  // of which it is the end

    explicit operator bool() const { return name != DeadlineName::none; }
    bool is_clients() const { return name >= DeadlineName::client_read; }
};

// The earliest; of several at the same instant the phase's, then the whole's, then the client's.
Deadline next_deadline(const PhaseTimeouts& timeouts, const ClientTimeouts& client, Phase phase,
                       const PhaseTimes& times);

// "The backend sent no answer within 5m (first_byte)." `model`: whose slots or load it may be
// about.
std::string describe(const Deadline& deadline, std::string_view model);

// The status that tells a client about it: 503 where no backend was asked, else 504.
int status_of(DeadlineName name);

// As in the configuration and in metrics: "first_byte", "x-request-timeout".
std::string_view name_of(DeadlineName name);

}  // namespace sluice::policy
