#include "sluice/shard/log_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace sluice::shard {
namespace {

// People watch the log; twenty looks a second are soon enough and cost nothing.
constexpr long look_ns = 50'000'000;

void write_all(int fd, const char* data, std::size_t size) {
    while (size > 0) {
        const auto n = ::write(fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;  // a full disk or a closed terminal: the lines are lost, we are not
        data += n;
        size -= static_cast<std::size_t>(n);
    }
}

}  // namespace

LogWriter::Channel::Channel(bool enabled) {
    if (enabled) bytes_ = std::make_unique_for_overwrite<char[]>(capacity);
}

void LogWriter::Channel::write(std::string_view line) {
    if (bytes_ == nullptr) return;
    const auto written = written_.load(std::memory_order_relaxed);
    const auto taken = taken_.load(std::memory_order_acquire);
    if (capacity - (written - taken) < line.size()) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    const std::size_t at = written & (capacity - 1);
    const std::size_t first = std::min(line.size(), capacity - at);
    std::memcpy(bytes_.get() + at, line.data(), first);
    std::memcpy(bytes_.get(), line.data() + first, line.size() - first);
    written_.store(written + line.size(), std::memory_order_release);
}

Result<std::unique_ptr<LogWriter>> LogWriter::open(const std::string& target,
                                                   std::size_t channels) {
    if (target == "off") return std::unique_ptr<LogWriter>(new LogWriter(-1, false, channels));
    if (target == "stderr")
        return std::unique_ptr<LogWriter>(new LogWriter(STDERR_FILENO, false, channels));
    const int fd = ::open(target.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return Error::gateway("--access-log " + target + ": " + std::strerror(errno));
    return std::unique_ptr<LogWriter>(new LogWriter(fd, true, channels));
}

LogWriter::LogWriter(int fd, bool owns_fd, std::size_t channels) : fd_(fd), owns_fd_(owns_fd) {
    for (std::size_t i = 0; i < channels; ++i)
        channels_.push_back(std::make_unique<Channel>(fd >= 0));
    if (fd >= 0) thread_ = std::thread([this] { run(); });
}

LogWriter::~LogWriter() {
    stopping_.store(true, std::memory_order_release);
    if (thread_.joinable()) thread_.join();
    if (owns_fd_) ::close(fd_);
}

void LogWriter::run() {
    while (!stopping_.load(std::memory_order_acquire)) {
        bool busy = false;
        for (auto& channel : channels_) busy |= drain(*channel);
        const timespec pause{0, look_ns};
        if (!busy) ::nanosleep(&pause, nullptr);
    }
    for (auto& channel : channels_) drain(*channel);
}

// What a channel holds ends with a whole line, so lines of several shards never mix.
bool LogWriter::drain(Channel& channel) {
    const auto taken = channel.taken_.load(std::memory_order_relaxed);
    const auto written = channel.written_.load(std::memory_order_acquire);
    if (taken == written) return false;
    const std::size_t at = taken & (Channel::capacity - 1);
    const std::size_t size = written - taken;
    const std::size_t first = std::min(size, Channel::capacity - at);
    write_all(fd_, channel.bytes_.get() + at, first);
    write_all(fd_, channel.bytes_.get(), size - first);
    channel.taken_.store(written, std::memory_order_release);
    return size > Channel::capacity / 2;
}

}  // namespace sluice::shard
