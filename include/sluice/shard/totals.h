// Totals: what all shards counted, as far as this shard has heard.
//
// Every shard keeps its own counters and, once a reconcile tick while there is something new, posts
// a copy to its peers. A reader on any shard adds up the copies: at most a tick old while there is
// traffic, exact once the shards are idle.
#pragma once

#include "sluice/io/ring.h"
#include "sluice/policy/prefix_index.h"
#include "sluice/proxy/statistics.h"
#include "sluice/state/answer_disk.h"
#include "sluice/upstream/health.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::shard {

struct PoolGauges {
    std::string url;
    std::uint64_t links = 0;
    std::uint64_t idle = 0;
    std::uint64_t connects = 0;
    std::uint64_t reuses = 0;
    std::uint64_t closed_by_peer = 0;
    std::uint64_t preconnects = 0;
    std::uint64_t preconnects_used = 0;
};

// A place where a model is served, as one shard sees it.
struct TargetGauges {
    std::string model;
    std::string backend;
    std::map<std::string, std::string> labels;  // that the settings give it
    bool up = true;
    bool breaker_open = false;
    std::uint64_t in_flight = 0;
    std::uint64_t slots = 0;  // of the backend, for all shards; 0: unbounded or unknown
};

// One shard's counters and gauges at one moment.
struct Snapshot {
    std::size_t shard = 0;
    proxy::Statistics statistics;
    io::RingCounters ring;
    std::vector<PoolGauges> pools;
    std::vector<TargetGauges> targets;
    std::vector<upstream::Traffic> traffic;  // by endpoint id
    policy::PrefixCounters prefixes;
    std::uint64_t requests_waiting = 0;  // in lines, for a slot or a model that loads
    std::uint64_t connections_open = 0;
    std::uint64_t exchanges_in_flight = 0;
    std::uint64_t flights = 0;  // generations that others may listen to
    std::uint64_t cache_bytes = 0;
    std::uint64_t cache_entries = 0;
    std::uint64_t cache_evictions = 0;
    std::uint64_t buffers_in_use = 0;
    std::uint64_t buffers_total = 0;
};

class Totals {
public:
    void learn(std::shared_ptr<const Snapshot> snapshot);  // shared: one copy for all peers
    // What the shards other than this one have sent to a server.
    upstream::Traffic traffic_of_peers(std::size_t shard, std::uint32_t endpoint) const;
    // What all shards have one of; none where there is no disk.
    void see_disk(const state::DiskCounters& disk) { disk_ = disk; }
    const std::optional<state::DiskCounters>& disk() const { return disk_; }
    const std::vector<std::shared_ptr<const Snapshot>>& by_shard() const { return by_shard_; }

private:
    std::optional<state::DiskCounters> disk_;
    std::vector<std::shared_ptr<const Snapshot>> by_shard_;  // null until heard of
};

}  // namespace sluice::shard
