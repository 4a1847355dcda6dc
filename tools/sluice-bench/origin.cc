#include "origin.h"

#include "origin_connection.h"
#include "sluice/io/socket.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::bench {
namespace {

constexpr std::string_view stream_end_data =
    R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
    "\n\ndata: [DONE]\n\n";

constexpr std::size_t flood_bytes = 16 * 1024;

std::string make_document(std::size_t bytes) {
    constexpr std::string_view begin =
        R"({"id":"chatcmpl-bench","object":"chat.completion","model":"sim","choices":[{"index":0,)"
        R"("finish_reason":"stop","message":{"role":"assistant","content":")";
    constexpr std::string_view end =
        R"("}}],"usage":{"prompt_tokens":256,"completion_tokens":64,"total_tokens":320}})";
    const std::size_t rest = begin.size() + end.size();
    const std::string body =
        std::string(begin) + std::string(bytes > rest ? bytes - rest : 0, 'a') + std::string(end);
    return fmt::format(
        "HTTP/1.1 200 OK\r\nServer: sluice-bench\r\nContent-Type: application/json\r\n"
        "Content-Length: {}\r\n\r\n{}",
        body.size(), body);
}

// As OpenAI's servers write it; the two members in front are for the bench.
std::string make_event_data(std::size_t bytes) {
    constexpr std::string_view begin =
        R"(data: {"t":1000000000000000000,"n":1000000,"object":"chat.completion.chunk",)"
        R"("model":"sim","choices":[{"index":0,"delta":{"content":")";
    constexpr std::string_view end = "\"},\"finish_reason\":null}]}\n\n";
    constexpr std::size_t framing = 6;  // two digits of length, CRLF, CRLF
    const std::size_t rest = begin.size() + end.size() + framing;
    return std::string(begin) + std::string(bytes > rest ? bytes - rest : 1, 'a') +
           std::string(end);
}

std::string make_chunk(std::string_view data) {
    return fmt::format("{:x}\r\n{}\r\n", data.size(), data);
}

}  // namespace

Origin::Origin(io::Loop& loop, int listen_fd, OriginScript script)
    : loop_(loop),
      script_(script),
      listener_(loop, listen_fd, this,
                [](void* self, int fd) { static_cast<Origin*>(self)->accept(fd); }),
      document_(make_document(script.answer_bytes)),
      event_(make_chunk(make_event_data(script.event_bytes))),
      stamp_at_(event_.find("\"t\":") + 4),
      number_at_(event_.find("\"n\":") + 4),
      end_(make_chunk(stream_end_data) + "0\r\n\r\n") {
    while (flood_.size() < flood_bytes)
        flood_ += event_;
    listener_.start();
}

Origin::~Origin() {
    SLUICE_ASSERT(over());
}

void Origin::accept(int fd) {
    // Events are small and must not wait for one another's acknowledgement.
    io::set_no_delay(fd);
    auto* connection = new Connection(*this, fd);
    connection->position_ = all_.size();
    all_.push_back(connection);
    ++connections_;
}

void Origin::join(Connection& connection, std::uint32_t id) {
    if (streams_.size() <= id) streams_.resize(id + 1);
    streams_[id] = &connection;
    connection.stream_number_ = ++streams_begun_;
    if (script_.lock_step) return;
    // Streams begin together in a bench; their events should not come together.
    const auto phase = prng_.below(static_cast<std::uint64_t>(script_.period.ns) + 1);
    due_.push({loop_.now().ns + static_cast<std::int64_t>(phase), id, connection.stream_number_});
}

void Origin::leave(Connection& connection, std::uint32_t id) {
    if (id < streams_.size() && streams_[id] == &connection) streams_[id] = nullptr;
}

void Origin::received(std::uint32_t id, std::uint32_t events) {
    if (!script_.lock_step || id >= streams_.size() || streams_[id] == nullptr) return;
    for (std::uint32_t i = 0; i < events && streams_[id] != nullptr; ++i)
        streams_[id]->send_event(monotonic_now());
}

Instant Origin::next_due() const {
    return due_.empty() ? io::TimerWheel::never : Instant{due_.top().ns};
}

void Origin::send_due(Instant now) {
    while (!due_.empty() && due_.top().ns <= now.ns) {
        const Due due = due_.top();
        due_.pop();
        Connection* connection = streams_[due.id];
        if (connection == nullptr || connection->stream() != due.stream) continue;
        connection->send_event(monotonic_now());
        if (streams_[due.id] == connection)
            due_.push({due.ns + script_.period.ns, due.id, due.stream});
    }
}

void Origin::stop() {
    listener_.stop();
    for (Connection* connection : all_)
        connection->close();
}

}  // namespace sluice::bench
