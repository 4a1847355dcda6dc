// Script: how one request is answered: its timing, its size, and what goes wrong with it.
//
// The program's flags make the script of every request; a request changes its own with a field
// `x-sim: ttft=5ms,tokens=100,fail=reset`. Both read the one table settings(), so they know the
// same names and say the same about a wrong value.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/result.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::model_sim {

enum class Failure : std::uint8_t {
    none,
    refuse,           // reset before the first byte (as a flag of the program: nobody listens)
    reset,            // RST after fail-after events
    stall,            // nothing more after fail-after events
    malformed_chunk,  // after fail-after events a chunk whose size is no number
    malformed_json,   // after fail-after events one that is not JSON
    loading,          // 503, as while the model loads
    rate_limited,     // 429 with retry-after
    context,          // 400: the prompt exceeds the context
    slow_read,        // the request is read in small steps with pauses
    close,            // FIN after fail-after events, without an end
    error_event,      // after fail-after events an error in the stream, then its clean end
    no_done,          // everything but the last event that says so
    html,             // 200 with a web page
    headers,          // a response head of 256 KiB
    extra,            // a second response behind the answer that nobody asked for
    short_length,     // Content-Length is more than what comes
    broken,           // 500
    overloaded,       // 529, Anthropic's
    unauthorized,     // 401: the key is wrong
    policy,           // 400: the content filter refuses the prompt
};

struct Script {
    Duration ttft = Duration::millis(20);  // until the first token
    Duration itl = Duration::millis(10);   // from one token to the next
    std::uint32_t tokens = 32;             // of the whole text, an assistant's begin included
    std::uint32_t token_bytes = 0;         // of each token's text; 0: words as they come
    std::uint32_t events_per_chunk = 1;
    std::uint32_t split = 0;  // bytes of each write; 0: no bound
    std::uint32_t cached_tokens = 0;
    std::uint64_t seed = 1;
    Failure failure = Failure::none;
    std::uint32_t fail_after = 3;
    Duration read_pause = Duration::millis(50);  // of `slow-read`
};

// One thing a script can be told, by flag `--name value` or in x-sim as `name=value`.
struct Setting {
    std::string_view name;
    std::string_view value;  // what stands for it in --help
    std::string_view help;
    Status (*set)(Script& script, std::string_view value);
};
std::span<const Setting> settings();

// Applies the value of an x-sim field. The error names the part that is wrong.
Status apply_overrides(Script& script, std::string_view field);

// Reads 250us, 20ms, 1.5s, 5m or 0.
Result<Duration> parse_duration(std::string_view text);
Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t most);

}  // namespace sluice::model_sim
