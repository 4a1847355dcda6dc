// Settings: everything that a user can choose, as values. Built once at start from the file and the
// flags and handed out as const; units are in the types.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/base/limits.h"
#include "sluice/base/result.h"
#include "sluice/config/consumer_settings.h"
#include "sluice/config/model_settings.h"
#include "sluice/config/route_settings.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::config {

// One deadline a phase of what a client does; what a backend does is in ModelTimeouts. Zero
// switches a deadline off.
struct Timeouts {
    Duration head = Duration::seconds(10);         // from a request's first byte to its head
    Duration body_gap = Duration::seconds(30);     // between two reads of a request body
    Duration body_total = Duration::seconds(300);  // for a whole request body
    Duration idle = Duration::seconds(75);         // keep-alive connection without a request
    Duration write_stall = Duration::seconds(60);  // a client that takes nothing of what waits
    Duration linger = Duration::seconds(5);        // see proxy/reading_on.h
    Duration drain = Duration::seconds(30);        // SIGTERM to the end of the last stream
};

// How the bytes of answers pass: as suits each, or as many as can in one way, for comparison.
enum class RelayMode : std::uint8_t { automatic, buffer, splice };

struct AliasSetting {
    std::string alias;
    std::string model;
    bool listed = true;  // in the lists of models
};

// Where to listen, and which pages may call there beside those of this machine.
struct ListenSetting {
    ListenSetting() = default;
    ListenSetting(std::string where) : address(std::move(where)) {}

    std::string address;               // host:port or unix:/path
    std::vector<std::string> origins;  // scheme://host[:port], also with `*`; "null"
    bool any_origin_with_keys = false;

    bool operator==(const ListenSetting&) const = default;
};

struct Settings {
    std::vector<ListenSetting> listen = {ListenSetting("127.0.0.1:8642")};
    std::vector<std::string> allowed_origins;  // on every listener
    std::vector<ModelSetting> models;
    std::vector<AliasSetting> aliases;
    std::vector<ConsumerSetting> consumers;
    std::vector<RuleSetting> rules;
    std::vector<RouteSetting> routes;
    std::string default_model;             // for a request that names none, or none that there is
    std::vector<BackendSetting> backends;  // whatever they list is served
    std::string fallback_backend;
    bool discover = true;
    std::vector<std::string> allowed_hosts;
    bool insecure_listen = false;
    bool half_close_tolerated = false;
    std::size_t shards = 1;
    std::size_t body_bytes_max = limits::request_body_bytes_max;
    std::size_t connections_max = 20'000;             // a shard
    std::size_t connections_per_client_max = 10'000;  // an address, a shard
    std::size_t buffer_memory = 256 * limits::MiB;    // a shard; committed by use
    std::size_t cache_memory = 64 * limits::MiB;      // for answers that are kept, all shards
    std::string cache_disk;  // the file of answers that are kept there, too; empty: none
    std::size_t cache_disk_bytes = 1024 * limits::MiB;
    RelayMode relay = RelayMode::automatic;
    Duration pool_idle = Duration::seconds(4);  // llama-server closes after 5
    std::string access_log = "stderr";          // stderr, off, or a file
    bool log_probes = false;                    // health checks and scrapes, too
    Timeouts timeouts;
    // What a model has that says nothing of its own.
    ModelTimeouts model_timeouts;
    BreakerSetting model_breaker;
    HealthSetting model_health;
    QueueSetting model_queue;
    Duration model_heartbeat = ModelSetting{}.heartbeat;
    BrokenStream model_broken_stream = BrokenStream::end;
    Sharing model_coalesce = ModelSetting{}.coalesce;
    CacheSetting model_cache;
};

// "250ms", "10s", "5m", "1h"; a bare 0.
Result<Duration> parse_duration(std::string_view text);
// "512", "64KiB", "16MiB", "1GiB".
Result<std::size_t> parse_size(std::string_view text);
// A model with one backend: "NAME=URL" or "NAME=URL#UPSTREAM".
Result<ModelSetting> parse_model(std::string_view text);
// "ALIAS=NAME".
Result<AliasSetting> parse_alias(std::string_view text);
// An origin as a browser names it, in small letters: "https://app.example", "app://obsidian.md",
// "chrome-extension://*", "null", "*".
Result<std::string> parse_origin(std::string_view text);

}  // namespace sluice::config
