#include "sluice/shard/shards.h"

#include "disk_posts.h"
#include "sluice/base/limits.h"
#include "sluice/io/socket.h"
#include "sluice/net/listening.h"
#include "sluice/shard/listen_plan.h"

#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice::shard {
namespace {

// The run before was killed, and the kernel has yet to take its sockets away.
constexpr Duration address_patience = Duration::seconds(3);
constexpr int address_look_ms = 20;
// Whoever starts the gateway wants to see what it serves; a server that is silent is seen later.
constexpr std::chrono::milliseconds answers_patience{500};

std::uint64_t random_seed() {
    std::uint64_t seed = 0;
    if (::getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = static_cast<std::uint64_t>(monotonic_now().ns);
    return seed;
}

std::size_t buffer_count(const config::Settings& settings) {
    return std::clamp(settings.buffer_memory / limits::buffer_bytes, 2 * limits::buffers_provided,
                      limits::buffers_max);
}

}  // namespace

Shards::Shards(const config::Settings& settings, LogWriter& log, MetricsWriter metrics)
    : settings_(settings),
      log_(log),
      metrics_(metrics),
      workers_(settings.shards),
      prefix_seed_(random_seed()),
      rings_ready_(static_cast<std::ptrdiff_t>(settings.shards)),
      may_serve_(1),
      all_done_(static_cast<std::ptrdiff_t>(settings.shards)),
      hop_(proxy::hop_of(random_seed())) {}

// The disk's thread has one, too.
std::size_t Shards::log_channels(const config::Settings& settings) {
    return settings.shards + (settings.cache_disk.empty() ? 0 : 1);
}

Shards::~Shards() {
    if (may_serve_.try_wait() == false) may_serve_.count_down();
    join();
    for (auto& worker : workers_)
        for (const auto& each : worker.listening)
            io::close_socket(each.fd);
}

// --- before anything is served --------------------------------------------------------------

Status Shards::prepare() {
    if (auto bound = bind_addresses(); !bound) return bound;
    if (auto made = make_caller(); !made) return made;
    for (std::size_t i = 0; i < workers_.size(); ++i)
        workers_[i].thread = std::thread([this, i] { run(i); });
    rings_ready_.wait();
    for (const auto& worker : workers_)
        if (!worker.failure.empty()) return Error::gateway(worker.failure);
    return settings_.cache_disk.empty() ? Done{} : open_disk();
}

Status Shards::open_disk() {
    std::vector<int> rings;
    for (const auto& worker : workers_)
        rings.push_back(worker.ring_fd);
    disk_posts_ =
        std::make_unique<DiskPosts>(settings_.cache_disk, log_.channel(workers_.size()), rings);
    auto disk = state::AnswerDisk::open(settings_.cache_disk, {settings_.cache_disk_bytes},
                                        disk_posts_->askers());
    if (!disk) return Error::gateway("cache.disk: " + disk.error().message);
    disk_ = std::move(disk).value();
    return disk_posts_->begun();
}

Status Shards::make_caller() {
    caller_buffers_ =
        std::make_unique<mem::BufferPool>(limits::buffer_bytes, 2 * limits::buffers_provided);
    auto ring = io::Ring::create(*caller_buffers_);
    if (!ring) return ring.error();
    caller_ = std::move(ring).value();
    return Done{};
}

Status Shards::bind_addresses() {
    const auto planned = plan_listeners(settings_);
    const auto& addresses = planned.addresses;
    if (!planned.trouble.empty())
        return Error::gateway("--listen " + settings_.listen[addresses.size()].address + ": " +
                              planned.trouble);
    for (std::size_t number = 0; number < addresses.size(); ++number) {
        auto bound = bind(addresses[number], number);
        if (!bound)
            return Error::gateway("--listen " + settings_.listen[number].address + ": " +
                                  bound.error().message);
    }
    return Done{};
}

// The first socket on an address, which does not share it: another program there is found out. One
// that is about to end is waited for.
Result<int> Shards::open_first(const net::Address& asked) {
    const Instant last = monotonic_now() + address_patience;
    std::string holder;
    for (;;) {
        Status free = Done{};
        if (asked.is_unix()) free = io::remove_stale_socket(asked.path());
        auto first = free.ok() ? io::open_listener(asked.raw(), asked.size(), {})
                               : Result<int>(free.error());
        if (first.ok() || first.error().retry == Retry::no) return first;
        // Asked at once: to look fills a Unix socket's queue, if its holder takes nobody.
        if (holder.empty() && asked.is_unix()) holder = net::holder_of(asked);
        if (monotonic_now() < last) {
            ::poll(nullptr, 0, address_look_ms);
            continue;
        }
        if (!asked.is_unix()) holder = net::holder_of(asked);
        return Error::gateway(first.error().message +
                              (holder.empty() ? "" : ": " + holder + " listens there") +
                              ". Stop it, or listen somewhere else.");
    }
}

// A socket for each shard on one address.
Result<int> Shards::bind(const net::Address& asked, std::size_t number) {
    auto first = open_first(asked);
    if (!first) return first;
    sockaddr_storage name{};
    socklen_t size = 0;
    if (const int code = io::local_name(*first, name, size); code < 0)
        return Error::gateway("its address cannot be read");
    const net::Address actual = asked.is_unix() ? asked : net::Address(name, size);
    addresses_.push_back(actual);
    // A Unix socket has one listener; the first shard serves it.
    if (workers_.size() == 1 || actual.is_unix()) {
        workers_.front().listening.push_back({*first, number});
        return 0;
    }
    io::close_socket(*first);
    for (auto& worker : workers_) {
        auto shared = io::open_listener(actual.raw(), actual.size(), {.reuse_port = true});
        if (!shared) return shared;
        worker.listening.push_back({*shared, number});
    }
    return 0;
}

// --- the threads ----------------------------------------------------------------------------

void Shards::run(std::size_t index) {
    mem::BufferPool buffers(limits::buffer_bytes, buffer_count(settings_));
    mem::NodePool nodes;
    auto ring = io::Ring::create(buffers);
    if (ring.ok())
        workers_[index].ring_fd = (*ring)->fd();
    else
        workers_[index].failure = ring.error().message;
    rings_ready_.count_down();
    may_serve_.wait();
    if (serve_.load()) serve(index, **ring, buffers, nodes);
}

void Shards::serve(std::size_t index, io::Ring& ring, mem::BufferPool& buffers,
                   mem::NodePool& nodes) {
    Shard shard(ring, buffers, nodes, settings_, log_.channel(index), random_seed());
    for (const auto& each : std::exchange(workers_[index].listening, {}))
        shard.listen(each.fd, each.number);
    shard.set_metrics_writer(metrics_);
    shard.set_hop(hop_);
    shard.on_serving(this, [](void* self) {
        auto& shards = *static_cast<Shards*>(self);
        const std::scoped_lock lock(shards.mutex_);
        ++shards.serving_;
        shards.found_.notify_one();
    });
    if (disk_ != nullptr) shard.keep_on_disk(*disk_, index);
    std::vector<int> peers;
    for (std::size_t i = 0; i < workers_.size(); ++i)
        if (i != index) peers.push_back(workers_[i].ring_fd);
    shard.join_peers(index, std::move(peers), prefix_seed_);
    if (index == 0) {
        shard.watch(std::move(plan_), this,
                    [](void* self, const upstream::Catalog& catalog, const upstream::Watch& watch) {
                        static_cast<Shards*>(self)->found(catalog, watch);
                    });
    }
    while (!shard.done())
        shard.turn();
    shard.close();
    // What was posted goes out, and what came meanwhile is taken: the messages are their
    // receiver's. The rings stay until all are done: a message to one that is gone would be lost.
    shard.turn(Instant{});
    all_done_.arrive_and_wait();
    shard.turn(Instant{});
}

void Shards::found(const upstream::Catalog& catalog, const upstream::Watch& watch) {
    auto findings = std::make_unique<Findings>();
    for (const auto& model : catalog.models()) {
        findings->models.push_back({model->name, {}});
        for (const auto& target : model->targets)
            findings->models.back().urls.push_back(target.endpoint->url);
    }
    findings->complaints = watch.complaints();
    findings->hints = watch.hints();
    findings->refusals = watch.refusals();
    if (!catalog.awaits_any()) findings->idle_names = watch.idle_names();
    for (const auto& seen : watch.sightings())
        if (seen.origin == upstream::WatchPlan::Origin::configured)
            findings->asked.push_back(seen.asked);
    findings->awaited = catalog.awaited();
    const std::scoped_lock lock(mutex_);
    findings_ = std::move(findings);
    found_.notify_one();
}

// --- control --------------------------------------------------------------------------------

Findings Shards::start(upstream::WatchPlan plan) {
    plan_ = std::move(plan);
    plan_.hop_line = "CDN-Loop: " + hop_ + "\r\n";
    std::vector<std::shared_ptr<const upstream::Endpoint>> named;
    for (const auto& server : plan_.servers)
        if (!server.endpoint->target.name.empty()) named.push_back(server.endpoint);
    names_.start(std::move(named));
    serve_.store(true);
    may_serve_.count_down();
    std::unique_lock lock(mutex_);
    found_.wait(lock, [this] { return findings_ != nullptr && serving_ == workers_.size(); });
    found_.wait_for(lock, answers_patience, [this] { return findings_->awaited.empty(); });
    return *findings_;
}

void Shards::drain() {
    SLUICE_ASSERT(caller_ != nullptr);
    for (const auto& worker : workers_)
        post(*caller_, worker.ring_fd, std::make_unique<Message>());
    caller_->turn({}, {});
}

void Shards::join() {
    if (std::exchange(joined_, true)) return;
    for (auto& worker : workers_)
        if (worker.thread.joinable()) worker.thread.join();
    disk_ = nullptr;  // writes what it has taken
    for (const auto& address : addresses_)
        if (address.is_unix()) ::unlink(address.path().c_str());
}

}  // namespace sluice::shard
