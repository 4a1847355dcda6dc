#include "worker.h"

#include "sluice/io/socket.h"

#include <algorithm>

namespace sluice::bench {
namespace {

constexpr std::size_t buffers_count = limits::buffers_max;

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create() {
    auto worker = std::unique_ptr<Worker>(
        new Worker(std::make_unique<mem::BufferPool>(limits::buffer_bytes, buffers_count)));
    auto ring = io::Ring::create(*worker->buffers_);
    if (!ring) return ring.error();
    worker->ring_ = std::move(ring).value();
    worker->loop_.emplace(*worker->ring_, *worker->buffers_, worker->nodes_);
    return worker;
}

Worker::Worker(std::unique_ptr<mem::BufferPool> buffers) : buffers_(std::move(buffers)) {}

Worker::~Worker() {
    if (lane_ != nullptr) close_lane();
    if (origin_ != nullptr) {
        origin_->stop();
        while (!origin_->over())
            loop_->turn();
        origin_.reset();
    }
    loop_.reset();
    ring_.reset();  // gives its buffers back to the pool
}

Status Worker::open_origin(const net::Address& address, OriginScript script) {
    const auto fd = io::open_listener(address.raw(), address.size(), {});
    if (!fd) return fd.error();
    origin_ = std::make_unique<Origin>(*loop_, fd.value(), script);
    return Done{};
}

Lane& Worker::begin(const Load& load, bool with_origin, Instant now) {
    SLUICE_ASSERT(lane_ == nullptr);
    lane_ = std::make_unique<Lane>(*loop_, load, with_origin ? origin_.get() : nullptr);
    lane_->start(now);
    return *lane_;
}

void Worker::turn(Instant until, bool spin) {
    Instant due = until;
    if (lane_ != nullptr) due = std::min(due, lane_->next_due());
    if (origin_ != nullptr) due = std::min(due, origin_->next_due());
    loop_->turn(spin ? loop_->now() : due);
    const Instant now = monotonic_now();
    if (lane_ != nullptr) lane_->send_due(now);
    if (origin_ != nullptr) origin_->send_due(now);
}

void Worker::close_lane() {
    lane_->stop(monotonic_now());
    while (!lane_->over())
        loop_->turn();
    lane_.reset();
}

}  // namespace sluice::bench
