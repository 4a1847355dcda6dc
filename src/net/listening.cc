#include "sluice/net/listening.h"

#include <dirent.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::net {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

Address ip4(in_addr_t address, std::uint16_t port) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = address;
    sockaddr_storage storage{};
    std::memcpy(&storage, &in, sizeof(in));
    return Address(storage, sizeof(in));
}

in_addr_t bits4(const Address& address) {
    SLUICE_ASSERT(address.family() == AF_INET);
    return reinterpret_cast<const sockaddr_in*>(address.raw())->sin_addr.s_addr;
}

const in6_addr& bits6(const Address& address) {
    SLUICE_ASSERT(address.family() == AF_INET6);
    return reinterpret_cast<const sockaddr_in6*>(address.raw())->sin6_addr;
}

bool is_any(const Address& address) {
    return address.family() == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&bits6(address)) != 0
                                        : bits4(address) == htonl(INADDR_ANY);
}

// IPv4 within IPv6 is IPv4.
Address plain(const Address& address) {
    if (address.family() != AF_INET6 || IN6_IS_ADDR_V4MAPPED(&bits6(address)) == 0) return address;
    in_addr_t last = 0;
    std::memcpy(&last, &bits6(address).s6_addr[12], sizeof(last));
    return ip4(last, address.port());
}

bool same_host(const Address& a, const Address& b) {
    if (a.family() != b.family()) return false;
    return a.family() == AF_INET6 ? IN6_ARE_ADDR_EQUAL(&bits6(a), &bits6(b)) != 0
                                  : bits4(a) == bits4(b);
}

// Nobody can bind what is another machine's.
bool is_of_this_machine(const Address& address) {
    SLUICE_ASSERT(!address.is_unix());
    if (address.is_loopback() || is_any(address)) return true;
    sockaddr_storage name{};
    std::memcpy(&name, address.raw(), address.size());
    if (name.ss_family == AF_INET6)
        reinterpret_cast<sockaddr_in6*>(&name)->sin6_port = 0;
    else
        reinterpret_cast<sockaddr_in*>(&name)->sin_port = 0;
    const int fd = ::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&name), address.size()) == 0;
    ::close(fd);
    return bound;
}

// The folder that relative paths begin at.
std::string working_folder() {
    std::array<char, 4096> text;
    return ::getcwd(text.data(), text.size()) != nullptr ? text.data() : "";
}

// What a path names, also where nothing is there yet: without links and detours.
std::string plain_path(const std::string& path) {
    constexpr int links_max = 40;  // as the kernel follows
    std::string rest = path.starts_with('/') ? path : working_folder() + "/" + path;
    std::string plain;
    int links = 0;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('/'), rest.size());
        const std::string part = rest.substr(0, end);
        rest.erase(0, std::min(end + 1, rest.size()));
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            plain.erase(plain.empty() ? 0 : plain.rfind('/'));
            continue;
        }
        std::array<char, 4096> target;
        const std::string next = plain + "/" + part;
        const ssize_t size = ::readlink(next.c_str(), target.data(), target.size());
        if (size <= 0 || ++links > links_max) {
            plain = next;
            continue;
        }
        const std::string_view link(target.data(), static_cast<std::size_t>(size));
        if (link.starts_with('/')) plain.clear();
        rest = std::string(link) + "/" + rest;
    }
    return plain;
}

bool same_file(const std::string& a, const std::string& b) {
    struct stat first{};
    struct stat second{};
    if (::stat(a.c_str(), &first) != 0 || ::stat(b.c_str(), &second) != 0)
        return plain_path(a) == plain_path(b);
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

// The inode of the socket that listens on that port; 0: none.
unsigned long listening_inode(const char* table, std::uint16_t port) {
    const File file(std::fopen(table, "re"), std::fclose);
    if (file == nullptr) return 0;
    constexpr unsigned listening = 0x0A;
    std::array<char, 512> line;
    while (std::fgets(line.data(), line.size(), file.get()) != nullptr) {
        unsigned found = 0;
        unsigned state = 0;
        unsigned long inode = 0;
        const int read = std::sscanf(
            line.data(), " %*u: %*32[0-9A-F]:%x %*32[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %lu",
            &found, &state, &inode);
        if (read == 3 && found == port && state == listening && inode != 0) return inode;
    }
    return 0;
}

bool has_socket(const std::string& descriptors, const std::string& socket) {
    const Folder folder(::opendir(descriptors.c_str()), ::closedir);
    if (folder == nullptr) return false;
    while (const dirent* entry = ::readdir(folder.get())) {
        std::array<char, 64> target;
        const std::string path = descriptors + "/" + entry->d_name;
        const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
        if (size > 0 && socket == std::string_view(target.data(), static_cast<std::size_t>(size)))
            return true;
    }
    return false;
}

std::string describe(const std::string& pid) {
    std::array<char, 64> name{};
    const File file(std::fopen(("/proc/" + pid + "/comm").c_str(), "re"), std::fclose);
    if (file == nullptr || std::fgets(name.data(), name.size(), file.get()) == nullptr)
        return "process " + pid;
    const std::string_view text(name.data());
    return "process " + pid + " (" + std::string(text.substr(0, text.find('\n'))) + ")";
}

std::string holder_of_port(std::uint16_t port) {
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    if (inode == 0) inode = listening_inode("/proc/net/tcp6", port);
    const Folder processes(::opendir("/proc"), ::closedir);
    if (inode == 0 || processes == nullptr) return {};
    const std::string socket = "socket:[" + std::to_string(inode) + "]";
    while (const dirent* entry = ::readdir(processes.get())) {
        const std::string pid = entry->d_name;
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        if (has_socket("/proc/" + pid + "/fd", socket)) return describe(pid);
    }
    return {};
}

std::string holder_of_path(const Address& address) {
    SLUICE_ASSERT(address.is_unix());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return {};
    ucred peer{};
    socklen_t size = sizeof(peer);
    const bool known = ::connect(fd, address.raw(), address.size()) == 0 &&
                       ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    ::close(fd);
    return known && peer.pid > 0 ? describe(std::to_string(peer.pid)) : std::string();
}

}  // namespace

bool leads_to(const Address& target, const Address& listener) {
    if (target.family() == AF_UNSPEC || listener.family() == AF_UNSPEC) return false;
    if (target.is_unix() != listener.is_unix()) return false;
    if (target.is_unix()) return same_file(target.path(), listener.path());
    if (target.port() != listener.port() || target.port() == 0) return false;
    const Address to = plain(target);
    const Address at = plain(listener);
    if (to.family() != at.family()) return false;
    if (is_any(at)) return is_of_this_machine(to);
    // To connect to any address is to connect to the loopback.
    return same_host(to, at) || (is_any(to) && at.is_loopback());
}

std::string holder_of(const Address& address) {
    return address.is_unix() ? holder_of_path(address) : holder_of_port(address.port());
}

}  // namespace sluice::net
