#include "disk_posts.h"

#include "sluice/base/limits.h"
#include "sluice/proxy/event_log.h"
#include "sluice/shard/shard.h"

#include <utility>

namespace sluice::shard {

DiskPosts::DiskPosts(std::string path, LineSink& log, const std::vector<int>& rings)
    : path_(std::move(path)), log_(log), begun_(static_cast<std::ptrdiff_t>(rings.size())) {
    for (const int ring_fd : rings)
        posts_.emplace_back(*this, ring_fd);
}

std::vector<state::DiskAsker*> DiskPosts::askers() {
    std::vector<state::DiskAsker*> all;
    for (Post& post : posts_)
        all.push_back(&post);
    return all;
}

Status DiskPosts::begun() {
    begun_.wait();
    if (!failure_.empty()) return Error::gateway(failure_);
    return Done{};
}

void DiskPosts::make_ring() {
    buffers_ =
        std::make_unique<mem::BufferPool>(limits::buffer_bytes, 2 * limits::buffers_provided);
    auto ring = io::Ring::create(*buffers_);
    if (ring.ok())
        ring_ = std::move(ring).value();
    else
        failure_ = ring.error().message;
}

void DiskPosts::log_trouble(const std::string& what) {
    proxy::write_event(log_, "cache_disk",
                       {{"path", path_},
                        {"cause", what},
                        {"advice",
                         "answers are kept in memory meanwhile; make room there and see that it "
                         "can be written, or name another file as 'cache.disk' and start again"}});
}

// --- the disk's thread ---

void DiskPosts::Post::on_disk_begin() {
    if (all_.ring_ == nullptr && all_.failure_.empty()) all_.make_ring();
    all_.begun_.count_down();
}

void DiskPosts::Post::on_disk_end() {
    all_.ring_ = nullptr;
}

void DiskPosts::Post::on_disk_answer(std::uint64_t ticket, state::KeptAnswer kept) {
    auto found = std::make_unique<proxy::FlightMessage>();
    found->kind = proxy::FlightMessage::Kind::found;
    found->ticket = ticket;
    found->on_disk = std::move(kept);
    send(std::move(found));
}

void DiskPosts::Post::on_disk_purged(std::uint64_t ticket, std::uint64_t gone) {
    auto cleared = std::make_unique<proxy::FlightMessage>();
    cleared->kind = proxy::FlightMessage::Kind::cleared;
    cleared->ticket = ticket;
    cleared->answer.purged.disk = gone;
    send(std::move(cleared));
}

void DiskPosts::Post::send(std::unique_ptr<proxy::FlightMessage> what) {
    auto message = std::make_unique<Message>();
    message->kind = Message::Kind::flight;
    message->flight = std::move(what);
    post(*all_.ring_, ring_fd_, std::move(message));
    all_.ring_->turn({}, {});
}

}  // namespace sluice::shard
