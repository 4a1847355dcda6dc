// What a user can say about a model: its backends, how they are chosen, watched and given up.
//
// All values are resolved: what a backend does not say is its model's, what a model does not say is
// the default of all models, and what that does not say stands here.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/config/secret.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::config {

// How a backend of the pool is chosen for a request.
enum class Balance : std::uint8_t {
    automatic,      // prefix for several llama-servers, else least_busy
    round_robin,    // in turn, smoothly by weight
    least_busy,     // fewest requests for its slots
    least_latency,  // the better of two random ones by time to the first token
    hash,           // the same key to the same backend, with bounded load
    prefix,         // where the longest prefix of the prompt was last served
};

// What the same value of which goes to the same backend.
struct HashSetting {
    enum class By : std::uint8_t { client, header, consumer, conversation };
    By by = By::conversation;
    std::string header;  // its name, lower case; for By::header only

    bool operator==(const HashSetting&) const = default;
};

// One deadline a phase of a request to a backend. Zero switches a deadline off.
struct ModelTimeouts {
    Duration connect = Duration::seconds(1);
    Duration queue = Duration::seconds(60);        // for a free slot
    Duration load = Duration::seconds(300);        // for a model that is being loaded
    Duration first_byte = Duration::seconds(900);  // request sent to first byte of the answer
    Duration gap = Duration::seconds(900);         // between two events or reads of an answer
    // The same two where the server shows no sign of life: no byte here, no answered health check.
    Duration silence = Duration::seconds(60);
    Duration total{};  // from the request's head to the answer's end

    bool operator==(const ModelTimeouts&) const = default;
};

// When a backend is left alone for a model, and when it is tried again.
struct BreakerSetting {
    unsigned failures = 3;    // in a row that open it; 0: never by that
    double error_rate = 0.5;  // share of failures in the window that opens it; 0: never
    Duration window = Duration::seconds(30);
    unsigned window_requests_min = 10;     // fewer in the window say nothing
    Duration open = Duration::seconds(2);  // the first time; doubled each time after it
    Duration open_max = Duration::seconds(300);
    Duration hard_open = Duration::seconds(30 * 60);  // a key refused, no money left
    unsigned successes = 1;                           // of probes in a row that close it

    bool operator==(const BreakerSetting&) const = default;
};

// How it is found out whether a backend is well, without loading a model or making a token.
struct HealthSetting {
    enum class Probe : std::uint8_t {
        automatic,  // what suits the server: a llama-server's /slots while it is in use
        http,       // GET `path`
        slots,      // that of an idle one as well, which keeps its model from sleeping
        off,
    };
    Duration interval = Duration::seconds(2);
    Duration timeout = Duration::seconds(1);
    Probe probe = Probe::automatic;
    std::string path;  // of Probe::http; empty: what the server's kind has

    bool operator==(const HealthSetting&) const = default;
};

// Where requests wait when every slot of the pool is busy.
struct QueueSetting {
    std::size_t length = 128;                       // requests; 0: none waits
    Duration notice_first = Duration::millis(500);  // a stream's client is told its place; 0: never
    Duration notice_every = Duration::seconds(10);  // and again until its first word; 0: never
    std::string priority_header;                    // its name, lower case; empty: none counts
    Duration age = Duration::seconds(2);            // of waiting that is worth a class

    bool operator==(const QueueSetting&) const = default;
};

// How the body of a chat stream ends that broke, behind the error event that says why.
enum class BrokenStream : std::uint8_t {
    end,  // as a body that is whole
    cut,  // the connection is cut
};

// Which requests share one answer.
enum class Sharing : std::uint8_t {
    automatic,  // those that get the same one each time, as far as they say so
    always,
    never,
};

// Answers that are kept, and given again.
struct CacheSetting {
    enum class Share : std::uint8_t {
        consumer,   // each consumer's answers are its own
        group,      // the consumers of one `group` share them
        everybody,  // whoever may ask
    };
    Sharing answers = Sharing::never;
    Duration ttl = Duration::seconds(3600);  // how long one is given again
    Share share = Share::consumer;           // also of those that are joined

    bool operator==(const CacheSetting&) const = default;
};

struct BackendSetting {
    std::string url;    // http://host:port or unix:/path
    std::string model;  // the server's own name for it; empty: the same
    unsigned weight = 1;
    int priority = 0;           // lower first
    unsigned slots = 0;         // 0: learned from the server, else unbounded
    std::uint64_t context = 0;  // tokens; 0: learned or unknown
    std::map<std::string, std::string> labels;
    Secret key;
    ModelTimeouts timeouts;

    bool operator==(const BackendSetting&) const = default;
};

// Names of models to turn to, in order. A chain for a cause wins over `any`.
struct FallbackSetting {
    std::vector<std::string> any;
    std::vector<std::string> context_length;  // the prompt is too long for this one
    std::vector<std::string> policy_block;    // its provider refuses the content
    std::vector<std::string> rate_limit;      // 429
    std::vector<std::string> overload;        // 529, a full queue, no memory left

    bool empty() const {
        return any.empty() && context_length.empty() && policy_block.empty() &&
               rate_limit.empty() && overload.empty();
    }

    bool operator==(const FallbackSetting&) const = default;
};

struct ModelSetting {
    std::string name;  // or a wildcard: gpt-4o*
    std::vector<std::string> aliases;
    std::vector<std::string> unlisted_aliases;  // those of them that no list of models has
    bool listed = true;                         // its own name is in the lists of models
    Balance balance = Balance::automatic;
    HashSetting hash;  // for Balance::hash
    std::vector<BackendSetting> backends;
    FallbackSetting fallback;
    ModelTimeouts timeouts;
    BreakerSetting breaker;
    HealthSetting health;
    QueueSetting queue;
    Duration heartbeat = Duration::seconds(15);  // a silent stream's client hears of us; 0: never
    bool resume = false;  // a stream whose backend dies goes on on another one
    BrokenStream broken_stream = BrokenStream::end;
    Sharing coalesce = Sharing::never;  // requests that are under way at the same time
    CacheSetting cache;

    bool operator==(const ModelSetting&) const = default;
};

}  // namespace sluice::config
