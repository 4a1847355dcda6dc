#include "sluice/proxy/service.h"

#include "connection.h"
#include "flight.h"
#include "inquest.h"
#include "replay.h"
#include "sluice/io/socket.h"
#include "sluice/net/address.h"
#include "sluice/policy/hash.h"

#include <algorithm>
#include <array>
#include <variant>

namespace sluice::proxy {
namespace {

constexpr std::size_t request_id_bytes_max = 128;

constexpr std::string_view too_many =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n";

// A client's own id goes into headers and logs as it is: plain characters only.
bool is_plain_id(std::string_view id) {
    return !id.empty() && id.size() <= request_id_bytes_max && std::ranges::all_of(id, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.' || c == ':';
    });
}

bool keeps_answers(const config::Settings& settings) {
    const auto keeps = [](const config::CacheSetting& cache) {
        return cache.answers != config::Sharing::never;
    };
    return keeps(settings.model_cache) ||
           std::ranges::any_of(settings.models,
                               [&](const auto& model) { return keeps(model.cache); });
}

}  // namespace

std::string hop_of(std::uint64_t gateway) {
    std::string text = "sluice; id=";
    for (int shift = 60; shift >= 0; shift -= 4)
        text += "0123456789abcdef"[(gateway >> shift) & 15];
    return text;
}

Service::Service(io::Loop& shard_loop, const config::Settings& all, LineSink& log,
                 std::uint64_t seed)
    : loop(shard_loop),
      settings(all),
      access_log(log),
      prng(seed),
      hop(hop_of(prng.next())),
      doors(all),
      pools(shard_loop, all.pool_idle, all.connections_max),
      dispatch(shard_loop, prng.next()),
      inquests(std::make_unique<Inquests>(*this)),
      digest_seed(prng.next()),
      consumers(all.consumers),
      connections(all.connections_max),
      exchanges(2 * all.connections_max),  // a flight has one, too
      requests(all.connections_max),
      forwards(all.connections_max),
      flight_slots(all.connections_max),
      replays(all.connections_max),
      flights(shard_loop, prng.next()),
      head_room(std::make_unique_for_overwrite<char[]>(head_room_bytes)) {
    // Whoever made the settings has compiled both once, to tell the user what is wrong.
    auto compiled_rules = policy::RuleTable::compile(all.rules);
    auto compiled_routes = policy::RouteTable::compile(all.routes);
    SLUICE_ASSERT(compiled_rules.ok() && compiled_routes.ok());
    SLUICE_ASSERT(all.shards > 0);
    if (keeps_answers(all)) flights.keep_answers(all.cache_memory / all.shards);
    rules = std::move(compiled_rules).value();
    routes = std::move(compiled_routes).value();
}

Service::~Service() = default;

// --- other shards ---------------------------------------------------------------------------

void Service::join(std::uint16_t shard, std::uint16_t shards, std::uint64_t seed,
                   policy::Teacher& other_shards, Flights::Peers& peers) {
    SLUICE_ASSERT(shard < shards);
    teacher = shards > 1 ? &other_shards : nullptr;
    dispatch.join(shard, shards, seed, teacher);
    suspicion.join(shards - 1U, teacher);
    flights.join(shard, shards, peers);
    constexpr std::uint64_t of_digests = 0x9e6c63d0676a9a99;
    digest_seed = policy::mix(seed ^ of_digests);
}

void Service::note(const policy::RequestNote& about) {
    known_requests.note(about, loop.now());
    if (teacher != nullptr) teacher->tell(about);
}

// It comes before the turn has its time.
void Service::learn(const policy::Lesson& lesson) {
    const Instant now = monotonic_now();
    if (const auto* about = std::get_if<policy::RequestNote>(&lesson))
        known_requests.note(*about, now);
    else if (const auto* look = std::get_if<policy::SuspicionLook>(&lesson))
        suspicion.learn(*look, now);
    else if (const auto* doubt = std::get_if<policy::DoubtAt>(&lesson))
        dispatch.learn(*doubt);
    else if (const auto* served = std::get_if<policy::ServedAt>(&lesson))
        dispatch.learn(*served);
}

// --- connections and exchanges --------------------------------------------------------------

void Service::accept(int fd, std::size_t listener) {
    SLUICE_ASSERT(fd >= 0);
    sockaddr_storage name{};
    socklen_t size = 0;
    std::string client = io::peer_name(fd, name, size) == 0 ? net::Address(name, size).host()
                                                            : std::string("unknown");
    std::size_t& of_client = connections_by_client[client];
    const bool welcome = of_client < settings.connections_per_client_max;
    // One that is turned away keeps its place for a moment, which must not be that of others.
    const bool has_place = welcome || connections.in_use() < settings.connections_max / 2;
    Connection* connection =
        has_place ? connections.create(*this, fd, client, doors.at(listener)) : nullptr;
    if (connection == nullptr || !welcome) ++statistics.refused_clients;
    if (connection == nullptr) {
        if (of_client == 0) connections_by_client.erase(client);
        return io::close_with_farewell(fd, too_many.data(), too_many.size());
    }
    io::set_no_delay(fd);
    ++of_client;
    open.push_back(*connection);
    if (!welcome) return connection->turn_away(too_many);
    ++statistics.connections;
}

void Service::forget_client(const std::string& client) {
    const auto found = connections_by_client.find(client);
    SLUICE_ASSERT(found != connections_by_client.end());
    SLUICE_ASSERT(found->second > 0);
    if (--found->second == 0) connections_by_client.erase(found);
}

void Service::drain() {
    draining = true;
    open.for_each([](OpenConnection& connection) { connection.drain(); });
    pools.drain();
}

void Service::cut_off() {
    stopping = true;
    flights.cut_off();
    open.for_each([](OpenConnection& connection) { connection.cut_off(); });
}

void Service::watch_buffers() {
    const Supply supply = loop.buffers().exhausted() ? Supply::exhausted
                          : low_on_buffers()         ? Supply::low
                                                     : Supply::plenty;
    if (supply > buffers_seen)
        open.for_each([](OpenConnection& connection) { connection.look_again(); });
    buffers_seen = supply;
}

// Those that take the longest are the slowest: they make room.
void Service::begin_reading_on(OpenConnection& connection) {
    if (read_on_count == ReadingOn::clients_max) read_on.front().stop_reading_on();
    SLUICE_ASSERT(read_on_count < ReadingOn::clients_max);
    read_on.push_back(connection);
    ++read_on_count;
}

void Service::end_reading_on(OpenConnection& connection) {
    SLUICE_ASSERT(read_on_count > 0);
    connection.reading_hook.unlink();
    --read_on_count;
    SLUICE_ASSERT((read_on_count == 0) == read_on.empty());
}

Exchange* Service::begin_exchange() {
    Exchange* exchange = exchanges.create(*this);
    if (exchange == nullptr) return nullptr;
    exchange->request = requests.create(loop.nodes());
    if (exchange->request == nullptr) {
        exchanges.destroy(*exchange);
        return nullptr;
    }
    exchange->begun = loop.now();
    exchange->begun_wall = wall_now();
    ++statistics.exchanges_begun;
    return exchange;
}

void Service::settle(Exchange& exchange, End end, std::string_view client) {
    SLUICE_ASSERT(!exchange.end.has_value());
    exchange.end = end;
    count(exchange);
    if (!exchange.is_probe || settings.log_probes)
        access_log.write(record.write(exchange, loop.now(), client));
    if (exchange.request != nullptr) exchange.forget_request();
    exchanges.destroy(exchange);
}

void Service::saw_health(const upstream::Model& model, const upstream::Target& target,
                         upstream::Health health, const std::string& cause) {
    // Where nobody asks it again nobody would find out that it is well.
    if (model.setting.health.probe == config::HealthSetting::Probe::off) return;
    if (reporter != nullptr) reporter->saw_health(target.endpoint, health, cause);
}

bool Service::charge_body(std::uint64_t bytes) {
    const std::uint64_t limit =
        limits::request_bytes_of(loop.buffers().count() * loop.buffers().buffer_bytes());
    if (bytes > limit || body_bytes_charged > limit - bytes) return false;
    body_bytes_charged += bytes;
    SLUICE_ASSERT(body_bytes_charged <= limit);
    return true;
}

void Service::release_body(std::uint64_t bytes) {
    SLUICE_ASSERT(bytes <= body_bytes_charged);
    body_bytes_charged -= bytes;
}

void Service::count(const Exchange& exchange) {
    const auto end = static_cast<std::size_t>(*exchange.end);
    SLUICE_ASSERT(end < ends);
    ++statistics.exchanges_ended[end];
    const bool forwarded = exchange.target != nullptr;
    const bool routed = exchange.model != nullptr;
    Served& row = statistics.row(exchange.consumer_name(),
                                 routed ? std::string_view(exchange.model->name) : "",
                                 forwarded ? std::string_view(exchange.target->endpoint->url) : "");
    ++row.requests[class_of_status(exchange.status)][end];
    const bool shares = exchange.sharing != nullptr;
    if (shares)
        count_sharing(exchange, row);  // the tokens are the flight's
    else
        count_tokens(exchange, row);
    if (exchange.cache) ++row.cache[static_cast<std::size_t>(*exchange.cache)];
    if (exchange.cache == cache::Outcome::bypass)
        ++row.bypasses[static_cast<std::size_t>(exchange.cache_bypass)];
    if (forwarded && !shares) {
        const bool uncounted = !exchange.usage.known && exchange.status == 200;
        if (uncounted && !exchange.is_generic()) ++statistics.uncounted;
        statistics.overhead.observe(exchange.overhead);
    }
    if (forwarded) {
        if (exchange.streamed && exchange.first_byte != Instant{})
            statistics.first_token.observe(exchange.first_byte - exchange.begun);
    }
    if (routed) statistics.duration.observe(loop.now() - exchange.begun);
    if (reporter != nullptr) reporter->statistics_changed();
}

// What a backend did not have to do again.
void Service::count_sharing(const Exchange& exchange, Served& row) {
    SLUICE_ASSERT(exchange.sharing != nullptr);
    using enum cache::Outcome;
    // How long the others took, and were, is not told.
    if (exchange.cache == partial && exchange.status == 200)
        row.saved_prompt_tokens += exchange.sharing->known_tokens();
    const bool saved = exchange.cache == hit || exchange.cache == joined || exchange.cache == stale;
    if (!saved || exchange.status != 200) return;
    row.saved_prompt_tokens += exchange.usage.prompt;
    row.saved_completion_tokens += exchange.usage.completion;
    row.saved_bytes += exchange.bytes_out;
    if (exchange.sharing->answer().kept != nullptr)
        row.saved_us += static_cast<std::uint64_t>(exchange.sharing->answer().kept->took_us());
}

// The tokens of a flight are counted once, for whoever began it.
void Service::count_tokens(const Exchange& exchange, Served& row) {
    row.prompt_tokens += exchange.usage.prompt;
    row.completion_tokens += exchange.usage.completion;
    row.cached_tokens += exchange.usage.cached;
}

Exchange* Service::begin_flight(Exchange& first) {
    SLUICE_ASSERT(first.request != nullptr && first.model != nullptr);
    Exchange* exchange = exchanges.create(*this);
    if (exchange == nullptr) return nullptr;
    exchange->id = first.id;
    exchange->begun = first.begun;
    exchange->begun_wall = first.begun_wall;
    exchange->consumer = first.consumer;
    exchange->key_id = first.key_id;
    exchange->client = first.client;
    exchange->door = first.door;
    exchange->method = first.method;
    exchange->method_text = first.method_text;
    exchange->path = first.path;
    exchange->endpoint = first.endpoint;
    exchange->streamed = first.streamed;
    exchange->usage_asked = first.usage_asked;
    exchange->client_retry = first.client_retry;
    exchange->priority = first.priority;
    exchange->asked = first.asked;
    exchange->catalog = first.catalog.share();
    exchange->rule = first.rule;
    exchange->model = first.model;
    exchange->body_bytes = first.body_bytes;
    exchange->request = std::exchange(first.request, nullptr);
    return exchange;
}

void Service::count_flight(const Exchange& exchange) {
    if (exchange.target == nullptr) return;
    count_tokens(exchange, statistics.row(exchange.consumer_name(), exchange.model->name,
                                          exchange.target->endpoint->url));
    if (!exchange.usage.known && exchange.status == 200) ++statistics.uncounted;
    statistics.overhead.observe(exchange.overhead);
}

void Service::settle_flight(Exchange& exchange) {
    // Those who listen are settled; the flight itself is nobody's request.
    SLUICE_ASSERT(!exchange.end.has_value());
    SLUICE_ASSERT(exchange.model != nullptr);
    count_flight(exchange);
    if (exchange.request != nullptr) exchange.forget_request();
    exchanges.destroy(exchange);
    if (reporter != nullptr) reporter->statistics_changed();
}

ModelRates& Service::rates_of(const upstream::Model& model) {
    if (model.id >= rates.size()) rates.resize(model.id + 1);
    return rates[model.id];
}

std::string Service::request_id(std::string_view given) {
    if (is_plain_id(given)) return std::string(given);
    std::array<char, 4 + 32> id = {'r', 'e', 'q', '_'};
    char* at = id.data() + 4;
    for (const std::uint64_t word : {prng.next(), prng.next()})
        for (int shift = 60; shift >= 0; shift -= 4)
            *at++ = "0123456789abcdef"[(word >> shift) & 15];
    SLUICE_ASSERT(at == id.data() + id.size());
    return {id.data(), id.size()};
}

}  // namespace sluice::proxy
