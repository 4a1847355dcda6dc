#include "sluice/io/socket.h"

#include "sluice/base/assert.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::io {

Result<int> open_listener(const sockaddr* address, socklen_t size, ListenOptions options) {
    SLUICE_ASSERT(address != nullptr && options.backlog > 0);
    const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return Error::gateway(std::strerror(errno));
    const int on = 1;
    // A restart must not wait for connections of the last run to time out.
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (options.reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (address->sa_family == AF_INET6)
        ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (::bind(fd, address, size) != 0 || ::listen(fd, options.backlog) != 0) {
        const int code = errno;
        ::close(fd);
        Error error = Error::gateway(std::strerror(code));
        if (code == EADDRINUSE) error.retry = Retry::yes;
        return error;
    }
    return fd;
}

Status remove_stale_socket(const std::string& path) {
    struct stat file{};
    if (::lstat(path.c_str(), &file) != 0)
        return errno == ENOENT ? Status(Done{}) : Error::gateway(std::strerror(errno));
    if (!S_ISSOCK(file.st_mode))
        return Error::gateway("there is a file at this path that is no socket; it is left alone");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) return Error::gateway("the path is too long");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return Error::gateway(std::strerror(errno));
    const bool refused =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
        errno == ECONNREFUSED;
    ::close(fd);
    if (!refused)
        return Error{Source::gateway, Retry::yes, 500, "another program listens on this socket"};
    if (::unlink(path.c_str()) != 0) return Error::gateway(std::strerror(errno));
    return Done{};
}

int open_stream(int family) {
    const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (family != AF_UNIX) set_no_delay(fd);
    return fd;
}

void set_no_delay(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void set_receive_buffer(int fd, int bytes) {
    SLUICE_ASSERT(fd >= 0 && bytes > 0);
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

void set_send_buffer(int fd, int bytes) {
    SLUICE_ASSERT(fd >= 0 && bytes > 0);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

void set_segment_max(int fd, int bytes) {
    ::setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &bytes, sizeof(bytes));
}

std::size_t unread_bytes(int fd) {
    int bytes = 0;
    return ::ioctl(fd, SIOCINQ, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

std::size_t unacknowledged_bytes(int fd) {
    int bytes = 0;
    return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

int local_name(int fd, sockaddr_storage& name, socklen_t& size) {
    size = sizeof(name);
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0 ? 0 : -errno;
}

int peer_name(int fd, sockaddr_storage& name, socklen_t& size) {
    size = sizeof(name);
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0 ? 0 : -errno;
}

Hangup hangup(int fd) {
    pollfd socket{.fd = fd, .events = POLLRDHUP, .revents = 0};
    if (::poll(&socket, 1, 0) <= 0) return Hangup::none;
    if ((socket.revents & (POLLERR | POLLHUP)) != 0) return Hangup::gone;
    return (socket.revents & POLLRDHUP) != 0 ? Hangup::ended : Hangup::none;
}

void shut_down(int fd) {
    SLUICE_ASSERT(fd >= 0);
    ::shutdown(fd, SHUT_RDWR);
}

void shut_down_sending(int fd) {
    SLUICE_ASSERT(fd >= 0);
    ::shutdown(fd, SHUT_WR);
}

void close_socket(int fd) {
    SLUICE_ASSERT(fd >= 0);
    ::close(fd);
}

void reset_socket(int fd) {
    SLUICE_ASSERT(fd >= 0);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    ::close(fd);
}

int accept_now(int listen_fd) {
    SLUICE_ASSERT(listen_fd >= 0);
    const int fd = ::accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

void close_with_farewell(int fd, const char* farewell, std::size_t size) {
    SLUICE_ASSERT(fd >= 0 && size > 0);
    [[maybe_unused]] const auto sent = ::send(fd, farewell, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    ::close(fd);
}

bool nobody_listens(const sockaddr* address, socklen_t size) {
    const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    int code = ::connect(fd, address, size) == 0 ? 0 : errno;
    // On the loopback the answer is here when the call returns, but the call does not say so.
    socklen_t code_size = sizeof(code);
    if (code == EINPROGRESS) ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &code_size);
    ::close(fd);
    return code == ECONNREFUSED || code == ENOENT;
}

int open_spare() {
    return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace sluice::io
