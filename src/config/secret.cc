#include "sluice/config/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace sluice::config {
namespace {

// Keys of providers have some hundred bytes at most, tokens a few thousand.
constexpr std::size_t secret_bytes_max = 8 * 1024;
constexpr mode_t others = S_IRWXG | S_IRWXO;

struct File {
    explicit File(const std::string& path)
        : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}
    ~File() {
        if (fd >= 0) ::close(fd);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    int fd;
};

Result<std::string> read_file(const std::string& path) {
    const auto wrong = [&](const std::string& what) {
        return Error::gateway("the key file " + path + " " + what);
    };
    const File file(path);
    if (file.fd < 0) return wrong(std::string("cannot be read: ") + std::strerror(errno));
    struct stat status{};
    if (::fstat(file.fd, &status) != 0 || !S_ISREG(status.st_mode))
        return wrong("is no regular file");
    if ((status.st_mode & others) != 0) return wrong("can be read by others: chmod 600 " + path);
    std::string text(secret_bytes_max + 1, '\0');
    std::size_t length = 0;
    while (length < text.size()) {
        const ssize_t got = ::read(file.fd, text.data() + length, text.size() - length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return wrong(std::string("cannot be read: ") + std::strerror(errno));
        if (got == 0) break;
        length += static_cast<std::size_t>(got);
    }
    if (length > secret_bytes_max)
        return wrong("has more than " + std::to_string(secret_bytes_max) + " bytes");
    text.resize(length);
    return text;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view white = " \t\r\n";
    const auto first = text.find_first_not_of(white);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(white) - first + 1);
}

Result<std::string> read_reference(std::string_view reference) {
    constexpr std::string_view variable = "env:";
    constexpr std::string_view file = "file:";
    if (reference.starts_with(variable)) {
        const std::string name(reference.substr(variable.size()));
        const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
        if (value == nullptr) return Error::gateway("there is no environment variable " + name);
        return std::string(value);
    }
    if (reference.starts_with(file)) return read_file(std::string(reference.substr(file.size())));
    return Error::gateway(
        "a key is not written here, only where it is: env:NAME or file:PATH "
        "(a file that only its owner can read)");
}

}  // namespace

Result<Secret> Secret::from_reference(std::string_view reference) {
    auto text = read_reference(reference);
    if (!text) return text.error();
    const std::string_view value = trimmed(*text);
    if (value.empty()) return Error::gateway("the key at " + std::string(reference) + " is empty");
    // It goes into a header: a line end in it would begin another one.
    const bool plain = std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!plain)
        return Error::gateway("the key at " + std::string(reference) +
                              " has characters that a header cannot carry");
    return Secret(std::string(value));
}

}  // namespace sluice::config
