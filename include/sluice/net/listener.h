// Listener: takes connections from one listening socket and hands their descriptors over.
//
// Runs out of descriptors with an answer: one connection is told 503 and closed with the spare
// descriptor, accepting pauses, and resumes by itself. stop() first takes what already waits in the
// kernel's queue, so that a connection is never reset for having come late.
#pragma once

#include <cstdint>
#include <vector>

#include "sluice/io/loop.h"

namespace sluice::net {

class Listener final : public io::Actor {
public:
    // What is called with each accepted descriptor, which then belongs to it.
    using Sink = void (*)(void* owner, int fd);

    // Takes over `listen_fd`.
    Listener(io::Loop& loop, int listen_fd, void* owner, Sink sink);
    ~Listener();  // asserts stopped()

    void start();
    // No further connection after the ones that wait already. Then stopped(), some turns later.
    void stop();
    bool stopped() const { return fd_ < 0; }

    std::uint64_t accepted() const { return accepted_; }
    std::uint64_t paused() const { return paused_; }  // how often descriptors or memory ran out

    void advance() override;
    void bury() override {}

private:
    void on_accept(io::Completion&& completion);
    void run_short(int error);

    io::Loop& loop_;
    int fd_;
    int spare_fd_;
    void* owner_;
    Sink sink_;
    io::Operation accept_;
    io::Timer resume_;
    std::vector<int> waiting_;  // accepted in this turn
    int error_ = 0;
    bool stopping_ = false;
    std::uint64_t accepted_ = 0;
    std::uint64_t paused_ = 0;
};

}  // namespace sluice::net
