#include "sluice/io/pipe_pool.h"

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice::io {
namespace {

std::ptrdiff_t move(int from, int to, std::size_t most) {
    for (;;) {
        const auto moved =
            ::splice(from, nullptr, to, nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (moved >= 0) return moved;
        if (errno != EINTR) return -errno;
    }
}

}  // namespace

Pipe::~Pipe() {
    ::close(read_fd_);
    ::close(write_fd_);
}

std::ptrdiff_t Pipe::fill(int fd, std::size_t most) {
    SLUICE_ASSERT(empty());
    SLUICE_ASSERT(most > 0);
    const auto moved = move(fd, write_fd_, most);
    SLUICE_ASSERT(std::cmp_less_equal(moved, most) || moved < 0);
    if (moved > 0) size_ += static_cast<std::size_t>(moved);
    return moved;
}

std::ptrdiff_t Pipe::drain(int fd, std::size_t most) {
    SLUICE_ASSERT(!empty());
    SLUICE_ASSERT(most > 0);
    const auto moved = move(read_fd_, fd, std::min(size_, most));
    SLUICE_ASSERT(moved != 0);
    SLUICE_ASSERT(moved < 0 || std::cmp_less_equal(moved, size_));
    if (moved > 0) size_ -= static_cast<std::size_t>(moved);
    return moved;
}

std::ptrdiff_t Pipe::copy(const Pipe& other) {
    SLUICE_ASSERT(empty() && !other.empty());
    for (;;) {
        const auto copied = ::tee(other.read_fd_, write_fd_, other.size_, SPLICE_F_NONBLOCK);
        if (copied < 0 && errno == EINTR) continue;
        if (copied < 0) return -errno;
        SLUICE_ASSERT(std::cmp_less_equal(copied, other.size_));
        size_ = static_cast<std::size_t>(copied);
        return copied;
    }
}

std::size_t Pipe::read(char* to, std::size_t most) {
    SLUICE_ASSERT(!empty());
    SLUICE_ASSERT(most > 0);
    for (;;) {
        const auto taken = ::read(read_fd_, to, std::min(size_, most));
        if (taken < 0 && errno == EINTR) continue;
        SLUICE_ASSERT(taken > 0);  // what is in it cannot be refused
        SLUICE_ASSERT(std::cmp_less_equal(taken, size_));
        size_ -= static_cast<std::size_t>(taken);
        return static_cast<std::size_t>(taken);
    }
}

PipePool::~PipePool() {
    SLUICE_ASSERT(lent_ == 0);
}

Pipe* PipePool::lease() {
    if (lent_ == pipes_max_) return nullptr;
    if (free_.empty()) {
        auto pipe = open();
        if (pipe == nullptr) return nullptr;
        free_.push_back(std::move(pipe));
    }
    ++lent_;
    Pipe* pipe = free_.back().release();
    SLUICE_ASSERT(pipe->empty());  // else somebody would send another one's bytes
    free_.pop_back();
    return pipe;
}

void PipePool::give_back(Pipe& pipe) {
    SLUICE_ASSERT(lent_ > 0);
    --lent_;
    SLUICE_ASSERT(lent_ < pipes_max_);
    std::unique_ptr<Pipe> owned(&pipe);
    if (pipe.empty()) free_.push_back(std::move(owned));
}

std::unique_ptr<Pipe> PipePool::open() {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
    std::unique_ptr<Pipe> pipe(new Pipe(ends[0], ends[1]));
    // Refused to a process without privileges that has many: then it stays as large as it is, but
    // with less than the usual 64 KiB it would be slower than no pipe.
    const int size = ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(limits::pipe_bytes));
    const int usual = size < 0 ? ::fcntl(ends[1], F_GETPIPE_SZ) : size;
    return usual >= static_cast<int>(limits::pipe_bytes_min) ? std::move(pipe) : nullptr;
}

}  // namespace sluice::io
