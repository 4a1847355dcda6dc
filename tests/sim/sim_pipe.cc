// io/pipe_pool.h on the simulated network: what is in a pipe is a string.
#include "network.h"
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"
#include "sluice/io/pipe_pool.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

namespace sluice::io {
namespace {

// By the pipe's number, which stands for its descriptors.
std::map<int, std::string> contents;
int numbers = 0;

sim::Simulation& simulation() {
    return sim::Simulation::current();
}

// Sometimes less moves than could.
std::size_t some_of(std::size_t most, unsigned permille) {
    return most > 1 && simulation().happens(permille) ? simulation().prng().between(1, most) : most;
}

}  // namespace

Pipe::~Pipe() {
    contents.erase(read_fd_);
}

std::ptrdiff_t Pipe::fill(int fd, std::size_t most) {
    SLUICE_ASSERT(empty());
    sim::Endpoint& end = *simulation().network().socket(fd).endpoint;
    if (end.arrived.empty()) {
        if (end.error != 0) return -end.error;
        return end.end_arrived || end.reading_shut ? 0 : -EAGAIN;
    }
    std::size_t size = std::min({most, end.arrived.size(), limits::pipe_bytes});
    size = some_of(size, simulation().faults().short_receives);
    contents[read_fd_] = end.arrived.substr(0, size);
    simulation().network().consume(end, size);
    size_ = size;
    return static_cast<std::ptrdiff_t>(size);
}

std::ptrdiff_t Pipe::drain(int fd, std::size_t most) {
    SLUICE_ASSERT(!empty());
    sim::Endpoint& end = *simulation().network().socket(fd).endpoint;
    if (end.error != 0) return -end.error;
    if (end.other->end_sent) return -EPIPE;
    std::size_t size = std::min({size_, most, sim::Network::room(end)});
    if (size == 0) return -EAGAIN;
    size = some_of(size, simulation().faults().short_sends);
    std::string& text = contents[read_fd_];
    simulation().network().write(end, std::string_view(text).substr(0, size));
    text.erase(0, size);
    size_ -= size;
    return static_cast<std::ptrdiff_t>(size);
}

std::ptrdiff_t Pipe::copy(const Pipe& other) {
    SLUICE_ASSERT(empty() && !other.empty());
    if (simulation().happens(simulation().faults().no_copy)) return -ENOMEM;
    size_ = some_of(other.size_, simulation().faults().short_copies);
    contents[read_fd_] = contents[other.read_fd_].substr(0, size_);
    return static_cast<std::ptrdiff_t>(size_);
}

std::size_t Pipe::read(char* to, std::size_t most) {
    SLUICE_ASSERT(!empty());
    const std::size_t size = std::min(size_, most);
    std::string& text = contents[read_fd_];
    SLUICE_ASSERT(text.size() == size_);
    text.copy(to, size);
    text.erase(0, size);
    size_ -= size;
    return size;
}

PipePool::~PipePool() {
    SLUICE_ASSERT(lent_ == 0);
}

Pipe* PipePool::lease() {
    if (lent_ == pipes_max_ || simulation().happens(simulation().faults().no_pipe)) return nullptr;
    if (free_.empty()) free_.push_back(open());
    ++lent_;
    Pipe* pipe = free_.back().release();
    free_.pop_back();
    return pipe;
}

void PipePool::give_back(Pipe& pipe) {
    SLUICE_ASSERT(lent_ > 0);
    --lent_;
    std::unique_ptr<Pipe> owned(&pipe);
    if (pipe.empty()) free_.push_back(std::move(owned));
}

std::unique_ptr<Pipe> PipePool::open() {
    const int number = ++numbers;
    return std::unique_ptr<Pipe>(new Pipe(number, number));
}

}  // namespace sluice::io
