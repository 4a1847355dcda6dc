#include "origin_connection.h"

#include "sluice/io/socket.h"

#include <charconv>
#include <cstring>

namespace sluice::bench {
namespace {

constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nServer: sluice-bench\r\nContent-Type: text/event-stream\r\n"
    "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
// A peer that takes nothing is sent nothing more.
constexpr std::size_t unsent_bytes_max = 64 * 1024;
constexpr int flood_send_buffer = 32 * 1024;

void write_digits(char* at, std::uint64_t number, std::size_t digits) {
    for (std::size_t i = digits; i-- > 0; number /= 10)
        at[i] = static_cast<char>('0' + number % 10);
}

}  // namespace

Origin::Connection::Connection(Origin& origin, int fd)
    : origin_(origin), stream_(origin.loop_, *this) {
    stream_.attach(fd);
    stream_.start_receiving();
}

void Origin::Connection::advance() {
    if (stream_.closed()) return origin_.loop_.retire(*this);
    while (read_request())
        answer();
    if (stream_.error() != 0 || stream_.ended()) return stream_.close();
    if (flooding_) return flood();
    stream_.flush();
}

void Origin::Connection::bury() {
    origin_.leave(*this, id_);
    origin_.all_.back()->position_ = position_;
    std::swap(origin_.all_[position_], origin_.all_.back());
    origin_.all_.pop_back();
    --origin_.connections_;
    delete this;
}

// Whether a whole request was read.
bool Origin::Connection::read_request() {
    mem::Chain& received = stream_.received();
    if (reading_ == Reading::head) {
        http::Head head;
        const auto progress = head_reader_.read(received, parser_, head);
        if (progress == http::Progress::failed) stream_.close();
        if (progress != http::Progress::complete) return false;
        const auto id = head.find(stream_field);
        id_ = 0;
        std::from_chars(id.data(), id.data() + id.size(), id_);
        flood_wanted_ = !head.find(flood_field).empty();
        head_reader_.consume(received, head);
        reading_ = Reading::body;
    }
    while (true) {
        pieces_.clear();
        std::size_t consumed = 0;
        const auto run = received.empty() ? std::string_view() : received.front().text();
        const auto progress = parser_.parse_body(run, pieces_, consumed);
        if (progress == http::Progress::failed) {
            stream_.close();
            return false;
        }
        received.consume(consumed);
        if (progress == http::Progress::complete) break;
        if (received.empty()) return false;
    }
    reading_ = Reading::head;
    return true;
}

void Origin::Connection::answer() {
    if (flood_wanted_) return begin_flood();
    if (id_ != 0) return begin_stream();
    stream_.send(mem::Slice::of_static(origin_.document_));
}

void Origin::Connection::begin_stream() {
    SLUICE_ASSERT(!streaming_);
    streaming_ = true;
    sent_ = 0;
    origin_.join(*this, id_);
    stream_.send(mem::Slice::of_static(stream_head));
    send_event(monotonic_now());
}

// What waits for a client that reads nothing shall wait in the gateway, not in this kernel.
void Origin::Connection::begin_flood() {
    SLUICE_ASSERT(!streaming_ && !flooding_);
    flooding_ = true;
    io::set_send_buffer(stream_.fd(), flood_send_buffer);
    stream_.send(mem::Slice::of_static(stream_head));
}

void Origin::Connection::flood() {
    while (stream_.open() && stream_.unsent() < unsent_bytes_max)
        stream_.send(mem::Slice::of_static(origin_.flood_));
    stream_.flush();
}

bool Origin::Connection::send_event(Instant now) {
    SLUICE_ASSERT(streaming_);
    if (!stream_.open() || stream_.unsent() > unsent_bytes_max) return false;
    std::string& event = origin_.event_;
    write_digits(event.data() + origin_.stamp_at_ + 1, static_cast<std::uint64_t>(now.ns), 18);
    write_digits(event.data() + origin_.number_at_ + 1, sent_, 6);
    stream_.send(origin_.loop_.buffers().write(event));
    ++sent_;
    if (sent_ == origin_.script_.events) {
        end_stream();
        return false;
    }
    stream_.flush();
    return true;
}

void Origin::Connection::end_stream() {
    stream_.send(mem::Slice::of_static(origin_.end_));
    stream_.flush();
    streaming_ = false;
    origin_.leave(*this, id_);
}

}  // namespace sluice::bench
