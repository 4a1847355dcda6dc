#include "file.h"

#include "sluice/base/assert.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::config {
namespace {

// For somebody to open a named pipe at its other end; then there is all the time to write.
constexpr int writer_wait_ms = 3000;

constexpr mode_t others = S_IRWXG | S_IRWXO;

struct File {
    File(const std::string& path, int flags)
        : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | flags)) {}
    ~File() {
        if (fd >= 0) ::close(fd);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    int fd;
};

Error wrong(std::string what) {
    return Error::gateway(std::move(what));
}

Error not_readable() {
    return wrong(std::string("cannot be read: ") + std::strerror(errno));
}

// Whether somebody writes into the pipe, or did; from here on reading waits. What had to be read to
// find it out is at `text`.
bool has_writer(int pipe, char* text, std::size_t& length) {
    pollfd ready{.fd = pipe, .events = POLLIN, .revents = 0};
    int found = 0;
    do {
        found = ::poll(&ready, 1, writer_wait_ms);
    } while (found < 0 && errno == EINTR);
    if (found == 0) {
        // Nothing to read yet, or nobody at the other end.
        const ssize_t got = ::read(pipe, text, 1);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
        length = got > 0 ? 1 : 0;
    }
    return found >= 0 && ::fcntl(pipe, F_SETFL, 0) == 0;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max, Readers readers) {
    // A pipe is waited for where one is of use: `sluice check <(...)`.
    const bool pipe_will_do = readers == Readers::anyone;
    const File file(path, O_NONBLOCK);
    if (file.fd < 0) return not_readable();
    struct stat status{};
    if (::fstat(file.fd, &status) != 0) return not_readable();
    const bool is_pipe = S_ISFIFO(status.st_mode);
    if (!S_ISREG(status.st_mode) && !(is_pipe && pipe_will_do)) return wrong("is no file");
    // Of the file that is open, so that none can be put in its place in between.
    if (readers == Readers::owner_only && (status.st_mode & others) != 0)
        return wrong("can be read by others: chmod 600 it");
    SLUICE_ASSERT(bytes_max > 0);
    std::string text(bytes_max + 1, '\0');
    std::size_t length = 0;
    if (is_pipe && !has_writer(file.fd, text.data(), length))
        return wrong("is a pipe into which nobody writes");
    while (length < text.size()) {
        const ssize_t got = ::read(file.fd, text.data() + length, text.size() - length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return not_readable();
        if (got == 0) break;
        length += static_cast<std::size_t>(got);
    }
    if (length > bytes_max) return wrong("has more than " + std::to_string(bytes_max) + " bytes");
    text.resize(length);
    return text;
}

}  // namespace sluice::config
