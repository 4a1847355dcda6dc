#include "sluice/net/listener.h"

#include "sluice/io/socket.h"

#include <cerrno>
#include <string_view>
#include <utility>

namespace sluice::net {
namespace {

// Long enough that a shard without descriptors does not spin, short enough that nobody notices.
constexpr Duration pause = Duration::millis(100);

constexpr std::string_view farewell =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n";

}  // namespace

Listener::Listener(io::Loop& loop, int listen_fd, void* owner, Sink sink)
    : loop_(loop),
      fd_(listen_fd),
      spare_fd_(io::open_spare()),
      owner_(owner),
      sink_(sink),
      accept_(this,
              [](void* self, io::Completion&& completion) {
                  static_cast<Listener*>(self)->on_accept(std::move(completion));
              }),
      resume_(this, [](void* self) {
          auto& listener = *static_cast<Listener*>(self);
          listener.loop_.make_ready(listener);
      }) {
    SLUICE_ASSERT(listen_fd >= 0);
    SLUICE_ASSERT(sink != nullptr);
}

Listener::~Listener() {
    SLUICE_ASSERT(stopped());
    SLUICE_ASSERT(!accept_.in_flight());
}

void Listener::start() {
    SLUICE_ASSERT(!stopping_);
    SLUICE_ASSERT(!stopped());
    loop_.ring().accept(accept_, fd_);
}

void Listener::stop() {
    if (stopping_) return;
    stopping_ = true;
    loop_.timers().disarm(resume_);
    loop_.ring().cancel(accept_);
    loop_.make_ready(*this);
}

void Listener::on_accept(io::Completion&& completion) {
    SLUICE_ASSERT(!stopped());  // the socket stays as long as it is waited at
    if (completion.result >= 0)
        waiting_.push_back(completion.result);
    else if (completion.result != -ECANCELED)
        error_ = -completion.result;
    loop_.make_ready(*this);
}

void Listener::advance() {
    for (const int fd : std::exchange(waiting_, {})) {
        ++accepted_;
        sink_(owner_, fd);
    }
    if (const int error = std::exchange(error_, 0); error != 0) return run_short(error);
    if (accept_.in_flight()) return;
    if (!stopping_) {
        if (!resume_.armed()) start();
        return;
    }
    if (stopped()) return;
    for (int fd = io::accept_now(fd_); fd >= 0; fd = io::accept_now(fd_)) {
        ++accepted_;
        sink_(owner_, fd);
    }
    io::close_socket(std::exchange(fd_, -1));
    if (spare_fd_ >= 0) io::close_socket(std::exchange(spare_fd_, -1));
}

void Listener::run_short(int error) {
    SLUICE_ASSERT(error > 0 && !stopped());
    ++paused_;
    if ((error == EMFILE || error == ENFILE) && spare_fd_ >= 0) {
        io::close_socket(spare_fd_);
        const int fd = io::accept_now(fd_);
        if (fd >= 0) io::close_with_farewell(fd, farewell.data(), farewell.size());
        spare_fd_ = io::open_spare();
    }
    if (!stopping_)
        loop_.timers().arm(resume_, loop_.now() + pause);
    else
        loop_.make_ready(*this);
}

}  // namespace sluice::net
