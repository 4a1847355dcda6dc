// Service: what the connections of one shard share. Everything outlives them.
#pragma once

#include "sluice/answer/relay.h"
#include "sluice/base/line_sink.h"
#include "sluice/base/prng.h"
#include "sluice/config/settings.h"
#include "sluice/http/head.h"
#include "sluice/io/loop.h"
#include "sluice/io/pipe_pool.h"
#include "sluice/llm/token_rate.h"
#include "sluice/mem/slab.h"
#include "sluice/policy/consumers.h"
#include "sluice/policy/lesson.h"
#include "sluice/policy/request_memory.h"
#include "sluice/policy/retry_budget.h"
#include "sluice/policy/route.h"
#include "sluice/policy/route_table.h"
#include "sluice/policy/suspicion.h"
#include "sluice/proxy/catalog_use.h"
#include "sluice/proxy/doors.h"
#include "sluice/proxy/flights.h"
#include "sluice/proxy/record.h"
#include "sluice/proxy/statistics.h"
#include "sluice/upstream/dispatch.h"
#include "sluice/upstream/pool.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::proxy {

class Connection;
class Flight;
class Forward;
class Inquests;
class Replay;
struct Exchange;
struct RequestState;

// What a shard asks of its open connections.
class OpenConnection {
public:
    virtual void drain() = 0;       // no further request; close when the one at hand is answered
    virtual void cut_off() = 0;     // end the one at hand honestly, now
    virtual void look_again() = 0;  // buffers have become scarce
    virtual void stop_reading_on() = 0;

    ListHook open_hook;
    ListHook reading_hook;  // while it is read on behind its answer

protected:
    ~OpenConnection() = default;
};

// Who looks after a shard's statistics.
class Reporter {
public:
    virtual void statistics_changed() = 0;  // something was counted
    // The answer to GET /metrics: what is counted for that consumer, or everything.
    virtual void write_metrics(std::string_view consumer, std::string& out) = 0;
    // Traffic has found out about a server.
    virtual void saw_health(const std::shared_ptr<const upstream::Endpoint>& endpoint,
                            upstream::Health health, const std::string& cause) = 0;

protected:
    ~Reporter() = default;
};

// The item of CDN-Loop that means this run of a gateway, of which no other has the number.
std::string hop_of(std::uint64_t gateway);

// What a model's tokens come to, in each direction.
struct ModelRates {
    llm::TokenRate prompt;  // of the bytes of a request's body
    llm::TokenRate completion;
};

struct Service {
    Service(io::Loop& shard_loop, const config::Settings& all, LineSink& log, std::uint64_t seed);
    ~Service();

    // There are other shards: see Dispatch::join().
    void join(std::uint16_t shard, std::uint16_t shards, std::uint64_t seed,
              policy::Teacher& other_shards, Flights::Peers& peers);
    // What another shard has found out.
    void learn(const policy::Lesson& lesson);
    // What this one has: noted, and told to the others.
    void note(const policy::RequestNote& about);

    // Takes over a socket that the listener of that number accepted.
    void accept(int fd, std::size_t listener = 0);
    // Idle connections close, the others after the answer at hand; new ones are not kept alive.
    void drain();
    // Ends what is still going on.
    void cut_off();
    bool empty() const { return open.empty(); }

    // An exchange with its request state, or null when there is no room.
    Exchange* begin_exchange();
    // Records the exchange's end, once, and frees it.
    void settle(Exchange& exchange, End end, std::string_view client);
    void count(const Exchange& exchange);
    static void count_tokens(const Exchange& exchange, Served& row);
    static void count_sharing(const Exchange& exchange, Served& row);
    // An exchange of its own for a flight, with the request of the one that begins it.
    Exchange* begin_flight(Exchange& first);
    // Counts what its backend has read and written.
    void count_flight(const Exchange& exchange);
    // The same, and frees it.
    void settle_flight(Exchange& exchange);
    // Few buffers are left: what may wait has to, so that heads and small answers still find one.
    bool low_on_buffers() const { return loop.buffers().available() < loop.buffers().count() / 8; }
    // Where buffers have just become scarce, or fewer yet, every connection looks what it has to do
    // about that: one that only noticed with its next bytes would take more of them first.
    void watch_buffers();
    // Takes so many bytes of request body into account; false when they do not fit beside the
    // others.
    bool charge_body(std::uint64_t bytes);
    void release_body(std::uint64_t bytes);
    // The client's own id where it is harmless, else a new one.
    std::string request_id(std::string_view given);
    void saw_health(const upstream::Model& model, const upstream::Target& target,
                    upstream::Health health, const std::string& cause);
    // A client that sends behind its answer is read on, up to so many at once (see reading_on.h).
    void begin_reading_on(OpenConnection& connection);
    void end_reading_on(OpenConnection& connection);
    // Learned by this shard.
    ModelRates& rates_of(const upstream::Model& model);
    // A connection of that address has ended.
    void forget_client(const std::string& client);

    io::Loop& loop;
    const config::Settings& settings;
    LineSink& access_log;
    Reporter* reporter = nullptr;  // null: nobody reads the statistics
    Prng prng;
    std::string hop;  // what a request says that went through here; the same on all shards
    Doors doors;
    upstream::Pools pools;
    upstream::Dispatch dispatch;
    policy::RetryBudget retries{{}};
    policy::Suspicion suspicion;
    policy::RequestMemory known_requests;
    policy::Teacher* teacher = nullptr;  // null: there is one shard
    std::unique_ptr<Inquests> inquests;
    std::uint64_t digest_seed;  // for RequestState::digest(); the same on all shards
    io::PipePool pipes{limits::pipes_max};
    CatalogUse catalog;
    policy::Consumers consumers;
    policy::RuleTable rules;
    policy::RouteTable routes;
    Statistics statistics;
    mem::Slab<Connection> connections;
    mem::Slab<Exchange> exchanges;
    mem::Slab<RequestState> requests;
    mem::Slab<Forward> forwards;
    mem::Slab<Flight> flight_slots;
    mem::Slab<Replay> replays;
    Flights flights;
    cache::KeyMaker keys;
    std::unordered_map<std::string, std::size_t> connections_by_client;  // address to number
    List<OpenConnection, &OpenConnection::open_hook> open;
    List<OpenConnection, &OpenConnection::reading_hook> read_on;  // the longest first
    std::size_t read_on_count = 0;
    bool catalog_known = false;  // the backends have been asked
    bool draining = false;
    bool stopping = false;  // the time for draining is over
    enum class Supply : std::uint8_t { plenty, low, exhausted };
    Supply buffers_seen = Supply::plenty;  // the last that everybody was told
    std::uint64_t body_bytes_charged = 0;
    std::vector<ModelRates> rates;  // by the model's id

    RecordWriter record;

    // Working memory of one turn; nobody keeps a view into it.
    http::Head head;
    answer::RelayScratch relay;
    std::string text;
    // A head that is being written: as long as one that may be read, and what we add to it.
    static constexpr std::size_t head_room_bytes = limits::head_bytes_max + limits::buffer_bytes;
    std::unique_ptr<char[]> head_room;
    std::span<char> head_space() { return {head_room.get(), head_room_bytes}; }
};

}  // namespace sluice::proxy
