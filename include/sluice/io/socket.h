// The one door to socket calls that are not I/O: open, listen, options, shut down, close.
//
// None of them blocks. Chosen at link time together with the ring: src/io/socket.cc talks to the
// kernel, tests/sim to the simulated network. Descriptors are non-blocking and close-on-exec.
#pragma once

#include "sluice/base/result.h"

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::io {

struct ListenOptions {
    bool reuse_port = false;  // several shards listen on one port (SO_REUSEPORT)
    int backlog = 1024;
};

// A bound, listening socket. The error's text names the cause, not the address.
Result<int> open_listener(const sockaddr* address, socklen_t size, ListenOptions options);
// Removes the socket file of a program that is gone, so that its path can be listened on. An error
// where anything else is at the path: another kind of file, or a socket that is listened on.
Status remove_stale_socket(const std::string& path);
// A stream socket of that family, with Nagle's algorithm off where there is one. -errno on failure.
int open_stream(int family);
// For a socket that was accepted: TCP_NODELAY. Unix sockets are left as they are.
void set_no_delay(int fd);
// For a connection that shall hold little, on either side. The kernel doubles the bytes of a
// buffer; the receiving one, and the largest segment that the peer may send (by which the peer's
// kernel sizes its buffer), count where they are set before it is connected. Not for Unix sockets.
void set_receive_buffer(int fd, int bytes);
void set_send_buffer(int fd, int bytes);
void set_segment_max(int fd, int bytes);
// Received and not read; sent and not acknowledged by the peer's kernel.
std::size_t unread_bytes(int fd);
std::size_t unacknowledged_bytes(int fd);
// Where a listener is really bound (port 0), or where a connection comes from. 0, or -errno.
int local_name(int fd, sockaddr_storage& name, socklen_t& size);
int peer_name(int fd, sockaddr_storage& name, socklen_t& size);
// What is known of a peer without reading: nothing, that it will send no more, or that it is gone.
enum class Hangup : std::uint8_t { none, ended, gone };
Hangup hangup(int fd);
// Ends both directions: what is in flight on the socket completes soon.
void shut_down(int fd);
// Ends the sending direction after what was sent (FIN).
void shut_down_sending(int fd);
void close_socket(int fd);
// The same with a reset: what was sent is not whole, and the peer shall know.
void reset_socket(int fd);
// Accepts one connection that waits: its descriptor, or -errno (-EAGAIN: none waits).
int accept_now(int listen_fd);
// Writes a few last bytes if they fit at once, and closes.
void close_with_farewell(int fd, const char* farewell, std::size_t size);
// A descriptor that stands for nothing but itself: given up when descriptors run out.
int open_spare();

// Whether a connection to that address would be refused: true only where that is certain at once,
// as on this machine. Takes some microseconds; for what went wrong, not for every request.
bool nobody_listens(const sockaddr* address, socklen_t size);

}  // namespace sluice::io
