#include "sluice/upstream/health.h"

#include "sluice/base/limits.h"
#include "sluice/llm/failure_body.h"
#include "sluice/llm/model_list.h"

#include <algorithm>
#include <utility>

namespace sluice::upstream {
namespace {

using Probing = config::HealthSetting::Probe;

constexpr Duration loading_gap = Duration::millis(25);  // somebody waits for it
constexpr Duration down_gap_max = Duration::millis(250);
constexpr Duration left_gap_max = Duration::millis(250);  // somebody may wait for its slot
// An engine answers between two batches, and a batch of a long prompt takes its time.
constexpr int engine_patience = 10;  // times the timeout
constexpr int silences_max = 2;      // in a row, and it is down
constexpr std::size_t answer_bytes_max = 8 * limits::MiB;

std::string_view plain_path(Kind kind) {
    switch (kind) {
        case Kind::llama_server:
        case Kind::vllm:
            return "/health";
        case Kind::ollama:
            return "/api/version";
        case Kind::lm_studio:
        case Kind::unknown:
            return "/v1/models";
    }
    return "/v1/models";
}

}  // namespace

std::string_view health_name(Health health) {
    constexpr std::string_view names[] = {"up", "loading", "down"};
    SLUICE_ASSERT(static_cast<std::size_t>(health) < std::size(names));
    return names[static_cast<std::size_t>(health)];
}

// --- one server -----------------------------------------------------------------------------

class HealthWatch::Probe final : public io::Actor {
public:
    Probe(io::Loop& loop, WatchedServer server, std::uint64_t seed, void* owner, Changed changed,
          TrafficOf traffic_of, Signed has_signed)
        : loop_(loop),
          server_(std::move(server)),
          prng_(seed),
          owner_(owner),
          changed_(changed),
          traffic_of_(traffic_of),
          signed_(has_signed),
          fetch_(loop, *this),
          next_(this, [](void* self) {
              auto& probe = *static_cast<Probe*>(self);
              probe.due_ = true;
              probe.loop_.make_ready(probe);
          }) {
        SLUICE_ASSERT(server_.endpoint != nullptr);
    }

    void follow(Kind kind) {
        kind_ = kind;
        if (std::exchange(followed_, true) || server_.setting.probe == Probing::off) return;
        due_ = true;
        loop_.make_ready(*this);
    }
    // It is not served any more: what was known of it does not count when it comes back.
    void leave() {
        if (!std::exchange(followed_, false)) return;
        loop_.timers().disarm(next_);
        fetch_.stop();
        silences_ = 0;
        engine_in_doubt_ = false;
        become(Health::up, "it is not served any more");
    }
    void stop() {
        stopping_ = true;
        loop_.timers().disarm(next_);
        fetch_.stop();
    }
    bool stopped() const { return !next_.armed() && fetch_.idle(); }

    void suspect(Health seen, const std::string& cause) {
        if (stopping_ || !followed_ || server_.setting.probe == Probing::off) return;
        become(seen, cause);
        engine_in_doubt_ = true;
        due_ = true;
        loop_.make_ready(*this);
    }

    void note_left() {
        const Instant soon = loop_.now() + left_gap_max;
        if (stopping_ || !followed_ || !asks_engine() || !next_.armed() || next_.deadline() <= soon)
            return;
        loop_.timers().arm(next_, soon);
    }

    void advance() override;
    void bury() override {}

private:
    enum class Step : std::uint8_t { none, alive, props, slots };

    bool asks_engine() const {
        return kind_ == Kind::llama_server && (server_.setting.probe == Probing::automatic ||
                                               server_.setting.probe == Probing::slots);
    }
    bool engine_matters();
    bool has_own_path() const {
        return server_.setting.probe == Probing::http && !server_.setting.path.empty();
    }
    bool any_answer_will_do() const { return server_.generic && !has_own_path(); }
    void ask(Step step, std::string_view path, Duration timeout);
    void see(Step step);
    void see_status(Step step, const FetchAnswer& answer);
    void fine();
    void live();
    void see_slots(std::string_view body);
    void well();
    void silent(const std::string& cause);
    void become(Health health, const std::string& cause);
    void schedule();

    io::Loop& loop_;
    WatchedServer server_;
    Prng prng_;
    void* owner_;
    Changed changed_;
    TrafficOf traffic_of_;
    Signed signed_;
    Fetch fetch_;
    io::Timer next_;
    Kind kind_ = Kind::unknown;
    Health health_ = Health::up;
    Step step_ = Step::none;
    int silences_ = 0;
    std::uint32_t left_ = 0;  // requests that nobody waits for, by its last answer
    Instant asked_;           // for its slots; and the time before
    Instant asked_before_;
    std::uint64_t placed_ = 0;      // requests there were when the engine was asked last
    bool engine_in_doubt_ = false;  // it was silent, or traffic has seen something
    bool followed_ = false;
    bool due_ = false;
    bool stopping_ = false;
};

void HealthWatch::Probe::advance() {
    if (stopping_ || !fetch_.idle()) return;
    if (!followed_) {
        step_ = Step::none;
        return;
    }
    if (step_ != Step::none) {
        see(std::exchange(step_, Step::none));
        if (step_ == Step::none) schedule();
        return;
    }
    if (!std::exchange(due_, false)) return;
    const auto& setting = server_.setting;
    std::string_view path = server_.generic ? "/" : plain_path(kind_);
    if (has_own_path()) path = setting.path;
    ask(Step::alive, path, setting.timeout);
}

void HealthWatch::Probe::ask(Step step, std::string_view path, Duration timeout) {
    // One question at a time, and only of one that is served.
    SLUICE_ASSERT(step != Step::none && step_ == Step::none);
    SLUICE_ASSERT(followed_ && !stopping_);
    step_ = step;
    fetch_.start(*server_.endpoint, path, server_.key.value(), timeout, answer_bytes_max,
                 any_answer_will_do() ? Fetch::Until::head : Fetch::Until::end);
}

void HealthWatch::Probe::see(Step step) {
    const auto& outcome = fetch_.outcome();
    SLUICE_ASSERT(outcome.has_value());
    SLUICE_ASSERT(step != Step::none);
    if (outcome->ok()) return see_status(step, outcome->value());
    const std::string& why = outcome->error().message;
    if (fetch_.refused()) return become(Health::down, why);
    if (step != Step::slots) return silent(why);
    // Its /health says nothing of that: it is down until its engine has answered.
    engine_in_doubt_ = true;
    silent("its engine does not answer GET /slots: " + why);
}

void HealthWatch::Probe::see_status(Step step, const FetchAnswer& answer) {
    if (any_answer_will_do()) return fine();
    if (answer.status == 503 && llm::read_failure_body(answer.body).says_loading) {
        live();
        return become(Health::loading, "it is loading its model");
    }
    // Only the first question is about the server's health; it need not serve the others.
    if (step == Step::alive && answer.status >= 500)
        return silent("its health check answered " + std::to_string(answer.status));
    if (step == Step::alive && asks_engine() && engine_matters())
        return ask(Step::props, "/props", server_.setting.timeout);
    if (step == Step::props && answer.status == 200) {
        auto props = llm::parse_server_props(answer.body);
        if (props && props->tells_of_slots && !props->sleeping && !props->router) {
            asked_ = loop_.now();
            return ask(Step::slots, "/slots", server_.setting.timeout * engine_patience);
        }
    }
    if (step != Step::alive) engine_in_doubt_ = false;
    if (step == Step::slots)
        see_slots(answer.body);
    else
        live();
    well();
}

// To ask it costs an idle server its sleep; a hang matters where there is work.
bool HealthWatch::Probe::engine_matters() {
    const Traffic traffic = traffic_of_(owner_, server_.endpoint->id);
    const bool sent = std::exchange(placed_, traffic.placed) != traffic.placed;
    return sent || traffic.in_flight > 0 || traffic.left_running > 0 || engine_in_doubt_ ||
           server_.setting.probe == Probing::slots;
}

void HealthWatch::Probe::fine() {
    live();
    well();
}

void HealthWatch::Probe::live() {
    signed_(owner_, server_.endpoint->id, {.alive = loop_.now()});
}

// One that works on nothing works on nobody's request. Requests are on their way while it answers,
// so what is said of those that were left is the worst of two answers.
void HealthWatch::Probe::see_slots(std::string_view body) {
    // Requests that were left before it was asked the time before are in both answers.
    SLUICE_ASSERT(asked_before_ <= asked_ && asked_ <= loop_.now());
    auto busy = llm::count_busy_slots(body);
    if (!busy) return live();
    const Traffic traffic = traffic_of_(owner_, server_.endpoint->id);
    const auto waited_for = static_cast<std::uint32_t>(traffic.in_flight);
    const std::uint32_t left = *busy > waited_for ? *busy - waited_for : 0;
    const std::uint32_t before = std::exchange(left_, left);
    signed_(owner_, server_.endpoint->id,
            {.alive = *busy > 0 ? loop_.now() : Instant{},
             .since = std::exchange(asked_before_, asked_),
             .left_running = std::max(left, before)});
}

void HealthWatch::Probe::well() {
    silences_ = 0;
    become(Health::up, "it answers");
}

void HealthWatch::Probe::silent(const std::string& cause) {
    if (++silences_ >= silences_max) become(Health::down, cause);
}

void HealthWatch::Probe::become(Health health, const std::string& cause) {
    if (std::exchange(health_, health) != health) changed_(owner_, server_.endpoint, health, cause);
}

void HealthWatch::Probe::schedule() {
    SLUICE_ASSERT(step_ == Step::none && !stopping_);
    const Duration usual = server_.setting.interval;
    SLUICE_ASSERT(usual.ns > 0);
    Duration gap = usual;
    if (health_ == Health::loading) gap = std::min(usual, loading_gap);
    if (health_ == Health::down) gap = std::min(usual, down_gap_max);
    if (health_ == Health::up && asks_engine() &&
        traffic_of_(owner_, server_.endpoint->id).left_running > 0)
        gap = std::min(usual, left_gap_max);
    // A fifth more or less, so that the servers of a pool are not all asked at once.
    const auto spread = static_cast<std::uint64_t>(gap.ns / 5 * 2 + 1);
    const Duration jitter{static_cast<std::int64_t>(prng_.below(spread)) - gap.ns / 5};
    loop_.timers().arm(next_, loop_.now() + gap + jitter);
}

// --- all of them ----------------------------------------------------------------------------

HealthWatch::HealthWatch(io::Loop& loop, std::vector<WatchedServer> servers, std::uint64_t seed,
                         void* owner, Changed changed, TrafficOf traffic_of, Signed has_signed) {
    SLUICE_ASSERT(changed != nullptr && traffic_of != nullptr && has_signed != nullptr);
    for (auto& server : servers) {
        const std::uint32_t id = server.endpoint->id;
        if (id >= probes_.size()) probes_.resize(id + 1);
        SLUICE_ASSERT(probes_[id] == nullptr);  // a server is in the plan once
        probes_[id] = std::make_unique<Probe>(loop, std::move(server), seed + id, owner, changed,
                                              traffic_of, has_signed);
    }
}

HealthWatch::~HealthWatch() {
    SLUICE_ASSERT(stopped());
}

void HealthWatch::follow(const Catalog& catalog) {
    std::vector<const Target*> served(probes_.size());
    // Of a server with both, the models tell what it is.
    for (const auto* all : {&catalog.routes(), &catalog.models()})
        for (const auto& model : *all)
            for (const auto& target : model->targets)
                if (target.endpoint->id < served.size()) served[target.endpoint->id] = &target;
    for (std::size_t id = 0; id < probes_.size(); ++id) {
        if (probes_[id] == nullptr) continue;
        // It is being asked already.
        if (served[id] != nullptr && catalog.awaits(*served[id]->endpoint)) continue;
        if (served[id] != nullptr)
            probes_[id]->follow(served[id]->kind);
        else
            probes_[id]->leave();
    }
}

void HealthWatch::stop() {
    for (auto& probe : probes_)
        if (probe != nullptr) probe->stop();
}

bool HealthWatch::stopped() const {
    return std::ranges::all_of(
        probes_, [](const auto& probe) { return probe == nullptr || probe->stopped(); });
}

void HealthWatch::note_left(std::uint32_t endpoint) {
    if (endpoint < probes_.size() && probes_[endpoint] != nullptr) probes_[endpoint]->note_left();
}

void HealthWatch::suspect(std::uint32_t endpoint, Health seen, const std::string& cause) {
    if (endpoint < probes_.size() && probes_[endpoint] != nullptr)
        probes_[endpoint]->suspect(seen, cause);
}

}  // namespace sluice::upstream
