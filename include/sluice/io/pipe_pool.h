// Pipe: bytes on their way from one socket to another inside the kernel (splice(2), tee(2));
// PipePool: the pipes of one shard.
//
// Neither call blocks: both sockets are non-blocking. Chosen at link time together with the ring:
// src/io/pipe_pool.cc talks to the kernel, tests/sim to the simulated network. A pipe takes two
// descriptors; a process without privileges gets only so many large ones, and a small one is better
// than none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice::io {

class Pipe {
public:
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe();

    // Bytes that are in it.
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // Moves up to `most` bytes that have arrived at the socket into the pipe, which must be empty.
    // How many; 0: the stream has ended; -errno, where -EAGAIN says that nothing has arrived.
    std::ptrdiff_t fill(int fd, std::size_t most);
    // Moves what is in the pipe, up to `most` bytes of it, to the socket, as much as that takes.
    // -EAGAIN: nothing now.
    std::ptrdiff_t drain(int fd, std::size_t most = SIZE_MAX);
    // Duplicates what `other` holds, from its begin, into this pipe, which must be empty: how many
    // bytes (fewer where this one has less room), or -errno. `other` keeps them.
    std::ptrdiff_t copy(const Pipe& other);
    // Takes bytes out into memory; how many. There must be some.
    std::size_t read(char* to, std::size_t most);

private:
    friend class PipePool;
    Pipe(int read_fd, int write_fd) : read_fd_(read_fd), write_fd_(write_fd) {}

    int read_fd_;
    int write_fd_;
    std::size_t size_ = 0;
};

class PipePool {
public:
    // At most `pipes_max` are lent at a time.
    explicit PipePool(std::size_t pipes_max) : pipes_max_(pipes_max) {}
    ~PipePool();  // asserts that every pipe is back

    // Null: no further pipe is to be had.
    Pipe* lease();
    // One that still holds bytes is closed, and they are lost.
    void give_back(Pipe& pipe);

    std::size_t lent() const { return lent_; }

private:
    static std::unique_ptr<Pipe> open();

    std::size_t pipes_max_;
    std::size_t lent_ = 0;
    std::vector<std::unique_ptr<Pipe>> free_;
};

}  // namespace sluice::io
