// Whole shards of the gateway between scripted clients and a pool of backends that fail by turns.
//
// One to three backends of a model have changing moods (see failing_server.h), over virtual time.
// After every turn no place, waiter or token is held by nobody; breakers change only as they may;
// no client sees bytes of two backends. Where one backend is always well, a request that has not
// seen a byte fails only for a reason that the settings give: the retry budget, the line, the hops.
// Servers end under some requests: three under one at most, and two where it is alone. No request
// reaches backends more often than the log says, and never more than eight times.
// Slots are never exceeded. At the end all is well again, every try is served, and nothing is left.
#include "driver.h"
#include "failing_server.h"
#include "network.h"
#include "shard_box.h"
#include "simulation.h"
#include "tries.h"
#include "try_client.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::sim {
namespace {

using Outcome = Try::Outcome;

std::uint64_t tally[5];  // of all runs, by outcome
std::uint64_t answers[moods];
std::uint64_t rescued = 0;  // tries that were served after a failure
std::uint64_t excused = 0;  // that failed untouched although a backend was well
std::uint64_t openings = 0;
std::uint64_t closings = 0;
std::uint64_t by_ends[4];  // tries, by how many servers ended under them

// What the gateway says of a request that it stops, and when that comes again.
constexpr std::string_view stopped_text = "find out what it does to them before you send it again";

// How a run differs from others.
struct Variation {
    Variation(Prng& prng, bool network_fails)
        : backends(prng.between(1, 4)),
          shards(prng.chance(1, 3) ? 2 : 1),
          tries(prng.between(10, 60)),
          one_is_steady(prng.chance(1, 2)),
          fallback(prng.chance(1, 3)),
          deadly(prng.chance(1, 3)),
          nobody_leaves(prng.chance(1, 2)),
          calm(!network_fails && nobody_leaves && prng.chance(1, 2)),
          spread(Duration::millis(static_cast<std::int64_t>(prng.between(1, 4000)))) {}

    std::size_t backends;
    std::size_t shards;
    std::size_t tries;
    bool one_is_steady;  // of the pool, or of its fallback
    bool fallback;       // to a model that the last backend serves alone
    bool deadly;         // servers end under some of the tries
    bool nobody_leaves;
    bool calm;        // no attempt is ended by the gateway: slots are free when servers say so
    Duration spread;  // in which the tries begin
};

class Scene {
public:
    explicit Scene(const Run& run)
        : lossy_(run.may_lose),
          network_fails_(run.may_lose),
          simulation_(run.seed, run.faults),
          prng_(simulation_.prng()),
          variation_(prng_, run.may_lose) {
        tries_.one_shard = variation_.shards == 1;
        start_servers();
        start_shards();
    }

    std::size_t play();

private:
    void start_servers();
    config::Settings random_settings();
    void start_shards();
    bool run(const std::function<bool()>& holds) { return simulation_.run(loops_, holds); }
    void run_for(Duration time) {
        simulation_.run(loops_, [] { return false; }, time);
    }
    void check_turn();
    void change_mood(Backend& backend);
    void set_mood(Backend& backend, Mood mood);
    void begin_try(Duration leaves, bool deadly);
    std::uint64_t refusals();
    void recover();
    void check_try(const Try& each);
    Duration random_millis(std::int64_t least, std::int64_t most) {
        return Duration::millis(static_cast<std::int64_t>(
            prng_.between(static_cast<std::uint64_t>(least), static_cast<std::uint64_t>(most))));
    }

    const bool lossy_;    // in this run
    bool network_fails_;  // now
    Simulation simulation_;
    Prng& prng_;
    const Variation variation_;
    Tries tries_;
    std::vector<std::unique_ptr<Backend>> backends_;
    config::Settings settings_;
    ShardBoxes boxes_;
    std::vector<io::Loop*> loops_;
    std::size_t open_ = 0;  // clients
    bool moody_ = true;
};

void Scene::start_servers() {
    const bool like_llama = prng_.chance(1, 2);
    for (std::size_t i = 0; i < variation_.backends; ++i) {
        auto& made = *backends_.emplace_back(std::make_unique<Backend>());
        made.letter = static_cast<char>('a' + i);
        made.address = net::Address::parse("127.0.0.1:" + std::to_string(9001 + i)).value();
        made.slots = prng_.chance(1, 2) ? static_cast<unsigned>(prng_.between(1, 4)) : 0;
        made.steady = variation_.one_is_steady && i + 1 == variation_.backends;
        made.like_llama = like_llama;
        made.come(tries_);
        if (!made.steady)
            simulation_.after(simulation_.random_delay(Duration::seconds(1)),
                              [this, &made] { change_mood(made); });
    }
}

config::Settings Scene::random_settings() {
    using config::Balance;
    constexpr Balance kinds[] = {Balance::automatic,     Balance::round_robin, Balance::least_busy,
                                 Balance::least_latency, Balance::hash,        Balance::prefix};
    config::ModelSetting pool;
    pool.name = "pool";
    pool.balance = kinds[prng_.below(std::size(kinds))];
    pool.timeouts.connect = Duration::millis(200);
    pool.timeouts.queue = random_millis(100, 3000);
    pool.timeouts.load = random_millis(100, 3000);
    pool.timeouts.first_byte = Duration::millis(500);
    pool.timeouts.gap = Duration::millis(300);
    pool.breaker.failures = static_cast<unsigned>(prng_.between(1, 4));
    pool.breaker.open = random_millis(20, 500);
    pool.breaker.open_max = Duration::seconds(2);
    pool.breaker.successes = static_cast<unsigned>(prng_.between(1, 2));
    pool.health.interval = random_millis(50, 2000);
    pool.health.timeout = Duration::millis(200);
    if (prng_.chance(1, 4)) pool.health.probe = config::HealthSetting::Probe::off;
    constexpr std::size_t lengths[] = {0, 1, 5, 128};
    pool.queue.length = lengths[prng_.below(std::size(lengths))];
    // A shard asks another one for a slot while a request waits for it.
    if (variation_.shards > 1 && pool.queue.length == 0) pool.queue.length = 128;
    pool.queue.notice_first = prng_.chance(1, 2) ? random_millis(1, 300) : Duration{};
    pool.heartbeat = prng_.chance(1, 2) ? random_millis(5, 100) : Duration{};
    config::ModelSetting spare = pool;
    spare.name = "spare";
    const bool spare_alone = variation_.fallback && variation_.backends > 1;
    for (const auto& backend : backends_) {
        config::BackendSetting setting;
        setting.url = "http://" + backend->address.to_string();
        setting.slots = backend->slots;
        setting.weight = static_cast<unsigned>(prng_.between(1, 3));
        setting.priority = static_cast<int>(prng_.below(2));
        setting.timeouts = pool.timeouts;
        const bool last = backend == backends_.back();
        (spare_alone && last ? spare : pool).backends.push_back(setting);
    }
    config::Settings settings;
    if (spare_alone) {
        pool.fallback.any = {"spare"};
        settings.models.push_back(spare);
    }
    settings.models.push_back(pool);
    settings.connections_max = 200;
    settings.connections_per_client_max = 200;
    return settings;
}

void Scene::start_shards() {
    settings_ = random_settings();
    for (std::size_t i = 0; i < variation_.shards; ++i)
        boxes_.push_back(std::make_unique<ShardBox>(settings_, tries_, 4096, prng_.next()));
    loops_ = join(boxes_, settings_);
    simulation_.on_turn([this] { check_turn(); });
    expect(run([this] { return have_catalogs(boxes_); }), "the catalog does not come");
}

void Scene::check_turn() {
    check(boxes_, simulation_.network().operations());
    if (!variation_.calm) return;
    for (const auto& backend : backends_)
        expect(backend->slots == 0 || backend->at_work <= backend->slots,
               "a backend has more requests than slots");
}

// --- moods ----------------------------------------------------------------------------------

void Scene::set_mood(Backend& backend, Mood mood) {
    const Mood before = std::exchange(backend.mood, mood);
    if (mood == Mood::gone && before != Mood::gone) backend.go();
    if (mood != Mood::gone && before == Mood::gone) backend.come(tries_);
}

void Scene::change_mood(Backend& backend) {
    if (!moody_) return;
    // Who starts a server anew takes longer than who sees that it has ended.
    constexpr Duration restart = Duration::millis(300);
    if (backend.ended_at != Instant{} && simulation_.now() - backend.ended_at < restart) {
        simulation_.after(restart, [this, &backend] { change_mood(backend); });
        return;
    }
    // In a calm run it is always the backend that ends an attempt.
    constexpr Mood calm[] = {Mood::fails, Mood::limited, Mood::gone, Mood::resets, Mood::closes};
    Mood mood = Mood::well;
    if (prng_.chance(2, 3))
        mood = variation_.calm ? calm[prng_.below(std::size(calm))]
                               : static_cast<Mood>(prng_.below(moods));
    set_mood(backend, mood);
    simulation_.after(random_millis(20, 1500), [this, &backend] { change_mood(backend); });
}

// --- tries ----------------------------------------------------------------------------------

std::uint64_t Scene::refusals() {
    std::uint64_t sum = 0;
    for (const auto& box : boxes_) {
        const auto& counters = box->shard().service().retries.counters();
        sum += counters.refused_at_once + counters.refused_over_time;
    }
    return sum;
}

void Scene::begin_try(Duration leaves, bool deadly) {
    Try& made = tries_.add(prng_.chance(1, 2), prng_.between(1, 12));
    made.deadly = deadly;
    made.refusals = refusals();
    ++open_;
    simulation_.network().dial(
        front, std::make_unique<TryClient>(made, leaves, network_fails_, [this, &made] {
            --open_;
            made.refusals = refusals() - made.refusals;
        }));
}

// All is well from now on: so is every try, as soon as the breakers have cooled down.
void Scene::recover() {
    simulation_.faults() = Faults::none();
    network_fails_ = false;
    moody_ = false;
    for (const auto& backend : backends_)
        set_mood(*backend, Mood::well);
    // A request that stood beside deadly ones may be taken for one of them, for a minute.
    run_for(Duration::seconds(70));
    expect(run([this] {
               return std::ranges::all_of(boxes_, [](const auto& box) {
                   return box->shard().service().dispatch.left_running() == 0;
               });
           }),
           "a slot is taken for ever by what was left");
    const std::size_t before = tries_.all().size();
    for (std::size_t i = 0; i < 4 * backends_.size(); ++i) {
        begin_try({}, false);
        expect(run([this] { return open_ == 0; }), "a client waits for ever");
    }
    for (std::size_t i = before; i < tries_.all().size(); ++i)
        if (tries_.all()[i].outcome != Outcome::right)
            fail("all is well and try-" + std::to_string(i) +
                 " fails; log: " + tries_.all()[i].line);
}

std::size_t Scene::play() {
    for (std::size_t i = 0; i < variation_.tries; ++i) {
        const bool leaves = !variation_.nobody_leaves && prng_.chance(1, 5);
        const Duration when = leaves ? random_millis(1, 800) : Duration{};
        ++open_;  // also while it is still to come
        simulation_.after(simulation_.random_delay(variation_.spread), [this, when] {
            --open_;
            begin_try(when, variation_.deadly && prng_.chance(1, 8));
        });
    }
    expect(run([this] { return open_ == 0; }), "a client waits for ever");
    run_for(Duration::seconds(1));
    for (const auto& box : boxes_)
        expect(box->shard().service().dispatch.placed() == 0 &&
                   box->shard().service().dispatch.waiting() == 0,
               "a place or a waiter is left of clients that are gone");
    recover();
    for (const auto& box : boxes_)
        box->shard().drain();
    expect(run([this] {
               for (const auto& box : boxes_)
                   if (!box->shard().done()) return false;
               return true;
           }),
           "a shard does not end");
    run_for(Duration::seconds(1));
    for (const Try& each : tries_.all())
        check_try(each);
    for (const auto& box : boxes_)
        box->check_empty();
    boxes_.clear();
    expect(simulation_.network().open_descriptors() == 0, "a descriptor is left open");
    for (const auto& backend : backends_) {
        expect(backend->at_work == 0, "a backend works for nobody");
        for (std::size_t i = 0; i < moods; ++i)
            answers[i] += backend->answers[i];
    }
    openings += tries_.openings;
    closings += tries_.closings;
    return tries_.all().size();
}

void Scene::check_try(const Try& each) {
    ++tally[static_cast<std::size_t>(each.outcome)];
    const auto wrong = [&each](const char* what) {
        fail(std::string(what) + ": try-" + std::to_string(each.number) + "\nlog: " + each.line);
    };
    if (each.outcome == Outcome::open) wrong("a try without an outcome");
    // A gateway that stands still may see a server that ended only when it is there again.
    if (!lossy_ && each.ended > 3) wrong("more than three servers ended under it");
    if (!lossy_ && each.ended > 2 && each.alone) wrong("it was alone, and a third server ended");
    if (each.deadly) ++by_ends[std::min(each.ended, 3U)];
    if (each.arrivals > 8) wrong("it reached backends more than eight times");
    if (each.logged > 0 && each.arrivals > count_of(each.line, "retries") + 1)
        wrong("it reached backends more often than the log says");
    if (each.outcome == Outcome::left || each.outcome == Outcome::cut) return;
    // Who is turned away for want of a descriptor has no exchange.
    if (each.logged == 0 && (!lossy_ || each.outcome == Outcome::right))
        wrong("an answer that is not in the log");
    const auto hops = member(each.line, "hops");
    if (each.outcome == Outcome::right) {
        rescued += hops.empty() ? 0 : 1;
        return;
    }
    if (each.touched || !variation_.one_is_steady || lossy_ || each.deadly) return;
    ++excused;
    const auto error = member(each.line, "error");
    const auto says = [&error](std::string_view text) {
        return error.find(text) != std::string_view::npos;
    };
    // Who was refused before it found the line full hears of the refusal.
    const bool slots = std::ranges::any_of(backends_, [](const auto& b) { return b->slots > 0; });
    const bool may_be_full =
        slots && !hops.empty() && settings_.models.front().queue.length < variation_.tries;
    const bool in_line = says("queue is full") || says("(queue)") || says("(load)") || may_be_full;
    // Of those that stood beside a deadly one, some cannot be told from it.
    const bool stopped = says(stopped_text);
    // What two servers answer so, now or a moment ago, may be the request's own doing.
    const bool blamed = hops.ends_with(" doubtful");
    if (each.refusals == 0 && !in_line && !stopped && !blamed)
        wrong("a try fails although a backend is well");
}

std::uint64_t fail_over(const Run& run) {
    return Scene(run).play();
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
    using namespace sluice::sim;
    const int status = drive(argc, argv, "tries", fail_over);
    const auto wide = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    const auto count = [&](Outcome outcome) { return wide(tally[static_cast<int>(outcome)]); };
    std::printf(
        "right %llu (%llu of them after a failure), failed %llu (%llu within the rules "
        "although a backend was well), cut %llu, left %llu\n",
        count(Outcome::right), wide(rescued), count(Outcome::failed), wide(excused),
        count(Outcome::cut), count(Outcome::left));
    std::printf("breakers opened %llu, closed %llu; answers by mood:", wide(openings),
                wide(closings));
    for (const auto each : answers)
        std::printf(" %llu", wide(each));
    std::printf("\n%llu, %llu, %llu and %llu tries ended 0, 1, 2 and 3 servers\n", wide(by_ends[0]),
                wide(by_ends[1]), wide(by_ends[2]), wide(by_ends[3]));
    return status;
}
