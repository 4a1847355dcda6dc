// Whole shards of the gateway between scripted clients and scripted model servers.
//
// Every client gets the whole right answer, an honest error, or was itself the one that left. After
// every turn no buffer is lost, each exchange is settled exactly once, and what is in flight is
// what the rings and the sockets both count. At the end nothing is left of anything.
#include "case.h"
#include "driver.h"
#include "gateway_client.h"
#include "model_server.h"
#include "network.h"
#include "question.h"
#include "shard_box.h"
#include "simulation.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::sim {
namespace {

// A client that is not listened to is looked after every 50 ms; timers tick once a millisecond.
constexpr Duration gone_client_shows_in = Duration::millis(55);

const net::Address backend_a = net::Address::parse("127.0.0.1:8081").value();
const net::Address backend_b = net::Address::parse("127.0.0.1:8082").value();

std::uint64_t tally[5];  // of all runs, by outcome
std::uint64_t spliced_streams = 0;
std::uint64_t spliced_requests = 0;
std::uint64_t opened_ahead = 0;
std::uint64_t opened_ahead_used = 0;
SharingTally shared;

config::Settings random_settings(Prng& prng) {
    config::Settings settings;
    for (const char* model :
         {"model-a=http://127.0.0.1:8081", "model-b=http://127.0.0.1:8082",
          "model-both=http://127.0.0.1:8081", "model-both=http://127.0.0.1:8082"})
        settings.models.push_back(config::parse_model(model).value());
    settings.aliases = {{"alias-a", "model-a"}};
    settings.body_bytes_max = 256 * limits::KiB;
    settings.connections_max = 200;
    settings.connections_per_client_max = 200;
    settings.pool_idle = prng.chance(1, 10) ? Duration{} : Duration::seconds(4);
    settings.log_probes = true;  // every answer has its line
    settings.half_close_tolerated = prng.chance(1, 3);
    settings.model_timeouts.first_byte = Duration::seconds(20);
    settings.model_timeouts.gap = Duration::seconds(10);
    settings.timeouts.drain = Duration::millis(static_cast<std::int64_t>(prng.below(5000)));
    for (auto& model : settings.models) {
        model.timeouts = settings.model_timeouts;
        // One that fails a request by its plan is asked for the next one all the same.
        model.breaker = {.failures = 0, .error_rate = 0};
        model.coalesce = config::Sharing::automatic;
        for (auto& backend : model.backends)
            backend.timeouts = settings.model_timeouts;
    }
    return settings;
}

// Each leads to where the model of its name is.
void add_routes(config::Settings& settings) {
    for (const char* name : {"a", "b", "both"}) {
        config::RouteSetting route;
        route.path = std::string("/route-") + name;
        route.timeouts = settings.model_timeouts;
        for (const auto& model : settings.models)
            if (model.name == std::string("model-") + name)
                route.backends.insert(route.backends.end(), model.backends.begin(),
                                      model.backends.end());
        settings.routes.push_back(std::move(route));
    }
}

// What came later draws from randomness of its own: seeds that once failed stay the runs they were.
struct Variation {
    explicit Variation(std::uint64_t seed) {
        Prng prng(seed ^ 0x5eed'0f'7a57'ba5f);
        busy = prng.chance(1, 5);
        pool_idle = Duration::millis(static_cast<std::int64_t>(prng.between(20, 300)));
        const auto dice = prng.below(8);
        if (dice < 2) relay = config::RelayMode::splice;
        if (dice == 2) relay = config::RelayMode::buffer;
        if (prng.chance(1, 3)) slots = static_cast<unsigned>(prng.between(1, 4));
        if (prng.chance(1, 2))
            notice_first = Duration::millis(static_cast<std::int64_t>(prng.between(1, 500)));
        routes = prng.chance(1, 3);
        // Of their own again, so that what is listed in regressions/ draws none of them.
        Prng asking(seed ^ 0x5eed'0f'a5'c1'46);
        several_ask = asking.chance(1, 4);
        keeps_answers = several_ask && asking.chance(1, 2);
        shards = several_ask ? asking.between(1, 3) : 0;
    }

    // Many requests and a short idle time: demand for new links becomes steady within the run.
    bool busy;
    Duration pool_idle;
    config::RelayMode relay = config::RelayMode::automatic;
    unsigned slots = 0;        // that servers tell of
    Duration notice_first{};   // a client hears of its waiting; zero: it does not
    bool routes = false;       // there are generic ones, and large bodies for them
    bool several_ask = false;  // the same
    bool keeps_answers = false;
    std::size_t shards = 0;  // zero: as drawn with the rest
};

// One run: the servers, the shards, the clients, and what may go wrong besides.
class Scene {
public:
    explicit Scene(const Run& run)
        : may_lose_(run.may_lose),
          simulation_(run.seed, run.faults),
          prng_(simulation_.prng()),
          variation_(run.seed),
          ledger_(prng_),
          settings_(random_settings(prng_)) {
        if (variation_.busy) settings_.pool_idle = variation_.pool_idle;
        settings_.relay = variation_.relay;
        if (variation_.routes) add_routes(settings_);
        for (auto& model : settings_.models) {
            model.queue.notice_first = variation_.notice_first;
            model.queue.notice_every = Duration::millis(700);
            model.timeouts.queue = Duration::seconds(3600);  // nobody is given up for the others
            if (variation_.keeps_answers) model.cache.answers = config::Sharing::automatic;
        }
        ledger_.lenient = run.may_lose;
        ledger_.events_spliced = settings_.relay == config::RelayMode::splice;
        ledger_.has_routes = variation_.routes;
        ledger_.half_close_tolerated = settings_.half_close_tolerated;
        start_servers();
        start_shards();
    }

    std::size_t play();

private:
    void start_servers();
    void start_shards();
    bool run(const std::function<bool()>& holds) { return simulation_.run(loops_, holds); }
    void run_for(Duration time) {
        simulation_.run(loops_, [] { return false; }, time);
    }
    void check_turn();
    void add_clients();
    void add_askers();
    void add_trouble();
    void wait_for_flights();
    void check_case(const Case& each);
    void check_logs();

    bool may_lose_;
    Simulation simulation_;
    Prng& prng_;
    const Variation variation_;
    Ledger ledger_;
    config::Settings settings_;
    ServerHabits habits_[2];
    ShardBoxes boxes_;
    std::vector<io::Loop*> loops_;
    std::size_t clients_open_ = 0;
    bool drained_ = false;
};

void Scene::start_servers() {
    constexpr std::string_view entry = R"({"object":"list","data":[{"id":"model-)";
    for (ServerHabits& habits : habits_) {
        habits.models = std::string(entry) + (&habits == habits_ ? 'a' : 'b') +
                        R"(","object":"model","created":1,"owned_by":"sim"}]})";
        if (prng_.chance(1, 3)) habits.software = "llama.cpp";
        habits.slots = variation_.slots;
        if (prng_.chance(1, 2))
            habits.idle_max = Duration::millis(static_cast<std::int64_t>(prng_.between(1, 6000)));
        if (prng_.chance(1, 2)) habits.requests_max = static_cast<int>(prng_.between(1, 5));
        habits.reads_slowly = prng_.chance(1, 5);
    }
    Network& network = simulation_.network();
    network.serve(backend_a, [this] { return std::make_unique<ModelServer>(ledger_, habits_[0]); });
    network.serve(backend_b, [this] { return std::make_unique<ModelServer>(ledger_, habits_[1]); });
}

void Scene::start_shards() {
    const std::size_t drawn = prng_.chance(1, 3) ? 2 : 1;
    const std::size_t count = variation_.shards > 0 ? variation_.shards : drawn;
    const bool scarce = prng_.chance(1, 10);
    if (scarce) ledger_.lenient = true;
    const std::size_t buffers = scarce ? prng_.between(300, 500) : 4096;
    for (std::size_t i = 0; i < count; ++i)
        boxes_.push_back(std::make_unique<ShardBox>(settings_, ledger_, buffers, prng_.next()));
    loops_ = join(boxes_, settings_);
    simulation_.on_turn([this] { check_turn(); });
    expect(run([this] { return have_catalogs(boxes_); }), "the catalog does not come");
}

void Scene::check_turn() {
    check(boxes_, simulation_.network().operations());
}

void Scene::add_clients() {
    if (prng_.chance(1, 10)) {
        ledger_.backend_b_is_down = true;
        simulation_.network().stop_serving(backend_b);
    }
    const std::size_t clients = variation_.busy ? 8 : prng_.between(1, 8);
    clients_open_ = clients;
    for (std::size_t i = 0; i < clients; ++i) {
        std::vector<Case*> cases;
        const std::size_t count = prng_.between(1, variation_.busy ? 20 : 5);
        while (cases.size() < count) {
            cases.push_back(&ledger_.add());
            if (cases.back()->closes) break;
        }
        const auto habits = ClientHabits::random(prng_);
        simulation_.after(simulation_.random_delay(Duration::millis(100)),
                          [this, cases = std::move(cases), habits] {
                              simulation_.network().dial(
                                  front, std::make_unique<GatewayClient>(
                                             ledger_, cases, habits, [this] { --clients_open_; }));
                          });
    }
}

// Several who ask the same, at about the same time; some of them more than once.
void Scene::add_askers() {
    const std::size_t questions = prng_.between(1, 3);
    for (std::size_t i = 0; i < questions; ++i) {
        const Question& question = ledger_.add_question();
        const Duration begin = simulation_.random_delay(Duration::millis(300));
        const auto apart_max = Duration::micros(std::int64_t{1} << prng_.between(4, 20));
        const std::size_t askers = prng_.between(2, 8);
        clients_open_ += askers;
        for (std::size_t j = 0; j < askers; ++j) {
            std::vector<Case*> cases{&ledger_.ask(question)};
            if (!cases.back()->closes && prng_.chance(1, 4))
                cases.push_back(&ledger_.ask(question));
            const auto habits = ClientHabits::of_asker(prng_, question.plan);
            simulation_.after(begin + simulation_.random_delay(apart_max),
                              [this, cases = std::move(cases), habits] {
                                  simulation_.network().dial(
                                      front,
                                      std::make_unique<GatewayClient>(ledger_, cases, habits,
                                                                      [this] { --clients_open_; }));
                              });
        }
    }
}

// Nobody listens any more: what is under way ends, and no home remembers it.
void Scene::wait_for_flights() {
    expect(run([this] {
               return std::ranges::none_of(boxes_, [](const auto& box) {
                   const auto& flights = box->shard().service().flights;
                   return flights.under_way() > 0 || flights.known() > 0;
               });
           }),
           "a flight is left to which nobody listens");
}

// What may happen to all at once, in some runs.
void Scene::add_trouble() {
    if (prng_.chance(1, 8)) {  // a backend goes away for a while
        ledger_.lenient = true;
        const auto& address = prng_.chance(1, 2) ? backend_a : backend_b;
        ServerHabits& habits = habits_[&address == &backend_b];
        simulation_.after(simulation_.random_delay(Duration::millis(500)),
                          [this, &address] { simulation_.network().stop_serving(address); });
        simulation_.after(Duration::millis(600), [this, &address, &habits] {
            simulation_.network().serve(address, [this, &habits] {
                return std::make_unique<ModelServer>(ledger_, habits);
            });
        });
    }
    if (prng_.chance(1, 6)) {  // the gateway is asked to stop in the middle of it
        ledger_.lenient = true;
        simulation_.after(simulation_.random_delay(Duration::millis(800)), [this] {
            drained_ = true;
            for (const auto& box : boxes_)
                box->shard().drain();
        });
    }
}

std::size_t Scene::play() {
    add_clients();
    if (variation_.several_ask) add_askers();
    add_trouble();
    expect(run([this] { return clients_open_ == 0; }), "a client waits for ever");
    if (variation_.several_ask && !drained_) wait_for_flights();
    for (const auto& box : boxes_)
        box->shard().drain();
    expect(run([this] {
               for (const auto& box : boxes_)
                   if (!box->shard().done()) return false;
               return true;
           }),
           "a shard does not end");
    // No further fault. The backends hear of it, and the shards of each other's last counters.
    simulation_.faults() = Faults::none();
    run_for(Duration::seconds(1));
    for (const Case& each : ledger_.cases())
        check_case(each);
    check_logs();
    for (const auto& box : boxes_) {
        box->shard().service().pools.for_each([](const upstream::Pool& pool) {
            opened_ahead += pool.counters().preconnects;
            opened_ahead_used += pool.counters().preconnects_used;
            expect(pool.counters().preconnects_used <= pool.counters().preconnects,
                   "a link was opened ahead once and used twice");
        });
        box->check_empty();
    }
    boxes_.clear();
    expect(simulation_.network().open_descriptors() == 0, "a descriptor is left open");
    std::size_t begun = 0;
    for (const Case& each : ledger_.cases())
        begun += each.begun ? 1 : 0;
    return begun;
}

void Scene::check_case(const Case& each) {
    if (!each.begun) return;
    ++tally[static_cast<std::size_t>(each.outcome)];
    const auto wrong = [&each](const char* what) {
        fail(std::string(what) + ": " + each.wire.substr(0, 300) + "\nlog: " + each.logged_line);
    };
    if (each.plan.events() && each.logged_line.find("\"lane\":\"splice\"") != std::string::npos)
        ++spliced_streams;
    const bool unkept = each.logged_line.find("\"request_lane\":\"splice\"") != std::string::npos;
    if (unkept) ++spliced_requests;
    if (unkept && each.seen_by_backends > 1) wrong("a body that is not kept was sent twice");
    if (each.outcome == Case::Outcome::open) wrong("a request without an outcome");
    if (each.outcome == Case::Outcome::right) {
        if (each.logged != 1) wrong("an answer that is not in the log");
        const bool forwarded = each.kind == Case::Kind::forwarded;
        const std::string tokens =
            "\"completion_tokens\":" + std::to_string(each.plan.completion_tokens);
        if (forwarded && !each.generic && usage_came(each, ledger_) && each.plan.status == 200 &&
            each.logged_line.find(tokens) == std::string::npos)
            wrong("an answer whose tokens were not counted");
        // HTTP/1.0 does not show that the backend's last chunk was missing.
        const bool broke = each.http_1_0 && each.server_may_fail();
        if (!broke && each.logged_line.find("\"end\":\"ok\"") == std::string::npos &&
            each.logged_line.find("\"end\":\"client_gone\"") == std::string::npos)
            wrong("a right answer with a wrong end in the log");
    }
    // A gone client stops the GPU, if nobody else listens.
    if (each.client_left && each.backend_was_busy && !may_lose_ &&
        works_for_nobody(each, ledger_, gone_client_shows_in))
        wrong("a backend works on for a client that left");
    if (each.question == nullptr) return;
    const SharingRules rules{.keeps_answers = variation_.keeps_answers,
                             .may_lose = may_lose_ || ledger_.lenient};
    check_sharing(each, ledger_, rules, shared);
}

void Scene::check_logs() {
    std::uint64_t begun = 0;
    std::uint64_t settled = 0;
    for (const auto& box : boxes_) {
        begun += box->statistics().exchanges_begun;
        settled += box->statistics().settled();
    }
    expect(begun == settled, "an exchange was not settled");
    expect(settled == ledger_.lines(), "the log has another number of requests than the counters");
}

std::uint64_t serve_requests(const Run& run) {
    return Scene(run).play();
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
    const int status = sluice::sim::drive(argc, argv, "requests", sluice::sim::serve_requests);
    using Outcome = sluice::sim::Case::Outcome;
    const auto count = [](Outcome outcome) {
        return static_cast<unsigned long long>(
            sluice::sim::tally[static_cast<std::size_t>(outcome)]);
    };
    std::printf("right %llu, error %llu, broken %llu, unanswered or left %llu\n",
                count(Outcome::right), count(Outcome::error), count(Outcome::broken),
                count(Outcome::unanswered));
    std::printf(
        "streams spliced %llu; bodies of requests %llu; links opened ahead %llu, used %llu\n",
        static_cast<unsigned long long>(sluice::sim::spliced_streams),
        static_cast<unsigned long long>(sluice::sim::spliced_requests),
        static_cast<unsigned long long>(sluice::sim::opened_ahead),
        static_cast<unsigned long long>(sluice::sim::opened_ahead_used));
    std::printf("asked by several: generated %llu, joined %llu, kept %llu\n",
                static_cast<unsigned long long>(sluice::sim::shared.generated),
                static_cast<unsigned long long>(sluice::sim::shared.joined),
                static_cast<unsigned long long>(sluice::sim::shared.hit));
    return status;
}
