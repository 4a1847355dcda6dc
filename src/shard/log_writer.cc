#include "sluice/shard/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace sluice::shard {
namespace {

// People watch the log; twenty looks a second are soon enough and cost nothing.
constexpr long look_ns = 50'000'000;

// A pipe that can be written to takes this much without blocking (PIPE_BUF).
constexpr std::size_t write_bytes_max = 4096;
// How often a reader that takes nothing is looked at.
constexpr int patience_ms = 100;

constexpr int open_flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
constexpr mode_t open_mode = 0640;

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
    if (target == "off") return std::unique_ptr<LogWriter>(new LogWriter(-1, {}, channels));
    if (target == "stderr")
        return std::unique_ptr<LogWriter>(new LogWriter(STDERR_FILENO, {}, channels));
    const int fd = ::open(target.c_str(), open_flags, open_mode);
    if (fd < 0) return Error::gateway("--access-log " + target + ": " + std::strerror(errno));
    return std::unique_ptr<LogWriter>(new LogWriter(fd, target, channels));
}

Status LogWriter::check(const std::string& target) {
    if (target == "off" || target == "stderr") return Done{};
    const auto refuse = [&target](const std::string& why) {
        return Error::gateway("'" + target + "' cannot be written: " + why);
    };
    struct ::stat found{};
    if (::stat(target.c_str(), &found) == 0) {
        if (S_ISDIR(found.st_mode)) return refuse("it is a folder: name a file in it");
        if (::access(target.c_str(), W_OK) != 0) return refuse(std::strerror(errno));
        return Done{};
    }
    if (errno != ENOENT) return refuse(std::strerror(errno));
    const std::size_t slash = target.rfind('/');
    const std::string folder = slash == target.npos ? "." : target.substr(0, slash + 1);
    if (::access(folder.c_str(), F_OK) != 0) return refuse("there is no folder " + folder);
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
        return refuse("the folder " + folder + ": " + std::strerror(errno));
    return Done{};
}

LogWriter::LogWriter(int fd, std::string path, std::size_t channels)
    : fd_(fd), path_(std::move(path)) {
    for (std::size_t i = 0; i < channels; ++i)
        channels_.push_back(std::make_unique<Channel>(fd >= 0));
    if (fd >= 0) thread_ = std::thread([this] { run(); });
}

LogWriter::~LogWriter() {
    stopping_.store(true, std::memory_order_release);
    if (thread_.joinable()) thread_.join();
    if (!path_.empty()) ::close(fd_);
}

void LogWriter::run() {
    while (!stopping_.load(std::memory_order_acquire)) {
        bool busy = false;
        if (reopen_.exchange(false, std::memory_order_acq_rel)) open_anew();
        for (auto& channel : channels_)
            busy |= drain(*channel);
        const timespec pause{0, look_ns};
        if (!busy) ::nanosleep(&pause, nullptr);
    }
    for (auto& channel : channels_)
        drain(*channel);
}

// What was written so far ends with a whole line, unless one was cut: then that one stays behind.
void LogWriter::open_anew() {
    if (path_.empty()) return;
    // A pipe that nobody reads is no place to wait at.
    const int fd = ::open(path_.c_str(), open_flags | O_NONBLOCK, open_mode);
    if (fd < 0) return;
    ::close(std::exchange(fd_, fd));
    torn_ = mid_line_ = false;
}

// What a channel holds ends with a whole line, so lines of several shards never mix.
bool LogWriter::drain(Channel& channel) {
    const auto taken = channel.taken_.load(std::memory_order_relaxed);
    const auto written = channel.written_.load(std::memory_order_acquire);
    if (taken == written) return false;
    const std::size_t at = taken & (Channel::capacity - 1);
    const std::size_t size = written - taken;
    const std::size_t first = std::min(size, Channel::capacity - at);
    auto lost = write_all({channel.bytes_.get() + at, first});
    lost += write_all({channel.bytes_.get(), size - first});
    channel.dropped_.fetch_add(lost, std::memory_order_relaxed);
    channel.taken_.store(written, std::memory_order_release);
    return size > Channel::capacity / 2;
}

// Returns how many lines were lost: to a full disk, a closed terminal, or a reader that is stuck
// while we stop.
std::size_t LogWriter::write_all(std::string_view text) {
    while (!text.empty() && wait_until_writable()) {
        // Behind a line that was cut the next one begins on its own.
        const bool repair = torn_ && text.front() != '\n';
        const std::string_view part = repair ? "\n" : text.substr(0, write_bytes_max);
        const auto n = ::write(fd_, part.data(), part.size());
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) break;
        const auto size = static_cast<std::size_t>(n);
        mid_line_ = part[size - 1] != '\n';
        torn_ = false;
        if (!repair) text.remove_prefix(size);
    }
    if (text.empty()) return 0;
    torn_ = mid_line_;
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

bool LogWriter::wait_until_writable() {
    pollfd target{fd_, POLLOUT, 0};
    for (;;) {
        // An error of the descriptor is for write() to tell.
        if (::poll(&target, 1, looks_left_ > 0 ? patience_ms : 0) > 0) return true;
        if (!stopping_.load(std::memory_order_acquire)) continue;
        if (looks_left_ == 0) return false;
        --looks_left_;
    }
}

}  // namespace sluice::shard
