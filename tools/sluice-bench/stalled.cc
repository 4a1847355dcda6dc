#include "stalled.h"

#include "sluice/base/assert.h"
#include "sluice/io/socket.h"
#include "text.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace sluice::bench {
namespace {

constexpr int receive_buffer_bytes = 4096;
constexpr int segment_bytes = 536;  // what a TCP assumes that is told nothing (RFC 9293 3.7.1)
constexpr std::string_view probe_text = "\r\n";

bool is_open(int fd) {
    return io::hangup(fd) == io::Hangup::none;
}

}  // namespace

StalledClients::~StalledClients() {
    for (const Client& client : clients_)
        io::reset_socket(client.fd);
}

Status StalledClients::open(const net::Address& address) {
    SLUICE_ASSERT(clients_.empty());
    on_tcp_ = !address.is_unix();
    count_.asked = load_.count;
    clients_.reserve(load_.count);
    for (std::uint32_t i = 0; i < load_.count; ++i) {
        const int fd = io::open_stream(address.family());
        if (fd < 0)
            return Error::gateway(fmt::format(
                "only {} of {} stalled clients have a socket: {}; raise the limit (ulimit -n) or "
                "ask for fewer",
                i, load_.count, std::strerror(-fd)));
        clients_.push_back({.fd = fd});
        if (on_tcp_) {
            io::set_receive_buffer(fd, receive_buffer_bytes);
            io::set_segment_max(fd, segment_bytes);
        }
        // Where it fails at once, the socket is not open and is counted so.
        [[maybe_unused]] const int begun = ::connect(fd, address.raw(), address.size());
    }
    send();
    return Done{};
}

void StalledClients::send() {
    for (Client& client : clients_) {
        if (client.sent == load_.text.size()) continue;
        const std::string_view rest = std::string_view(load_.text).substr(client.sent);
        const auto sent = ::send(client.fd, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) client.sent += static_cast<std::size_t>(sent);
    }
}

void StalledClients::probe() {
    if (!on_tcp_) return;
    for (const Client& client : clients_)
        if (client.sent == load_.text.size())
            ::send(client.fd, probe_text.data(), probe_text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool StalledClients::settled() const {
    if (!on_tcp_) return true;
    for (const Client& client : clients_)
        if (is_open(client.fd) && io::unacknowledged_bytes(client.fd) > 0) return false;
    return true;
}

void StalledClients::count_begin() {
    count_.at_begin = count_open();
    for (Client& client : clients_)
        look_at_answer(client);
}

void StalledClients::count_end() {
    count_.at_end = count_open();
    count_.unread = 0;
    for (Client& client : clients_) {
        look_at_answer(client);
        count_.unread += io::unread_bytes(client.fd);
    }
}

// One that is not connected hangs up, one that connects still does not.
std::uint32_t StalledClients::count_open() const {
    std::uint32_t open = 0;
    for (const Client& client : clients_)
        if (client.sent > 0 && is_open(client.fd)) ++open;
    return open;
}

// The status line, without reading it.
void StalledClients::look_at_answer(Client& client) {
    if (client.answer != Client::Answer::none) return;
    char text[128];
    const auto size = ::recv(client.fd, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT);
    constexpr std::string_view version = "HTTP/1.1 ";
    if (size <= static_cast<std::ptrdiff_t>(version.size())) return;
    const std::string_view begin(text, static_cast<std::size_t>(size));
    const char status = begin[version.size()];
    if (begin.starts_with("HTTP/1.") && (status == '1' || status == '2')) {
        client.answer = Client::Answer::good;
        ++count_.answered;
        return;
    }
    client.answer = Client::Answer::bad;
    ++count_.refused;
    if (count_.first_refusal.empty())
        count_.first_refusal =
            shown_text(begin.substr(0, begin.find_first_of("\r\n")), begin.size());
}

}  // namespace sluice::bench
