#include "sluice/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace sluice::net {
namespace {

constexpr std::string_view unix_prefix = "unix:";

Result<Address> unix_address(std::string_view path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(name.sun_path))
        return Error::gateway("a Unix socket path has 1 to " +
                              std::to_string(sizeof(name.sun_path) - 1) + " bytes, not " +
                              std::to_string(path.size()));
    std::memcpy(name.sun_path, path.data(), path.size());
    sockaddr_storage storage{};
    std::memcpy(&storage, &name, sizeof(name));
    return Address(storage,
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1));
}

Result<std::uint16_t> read_port(std::string_view text) {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || port > 65535)
        return Error::gateway("'" + std::string(text) + "' is no port (0 to 65535)");
    return static_cast<std::uint16_t>(port);
}

Result<Address> ask_system(const std::string& host, std::uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    const std::string service = std::to_string(port);
    if (const int code = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found); code != 0)
        return Error::gateway("'" + host + "' does not resolve: " + ::gai_strerror(code));
    // IPv4 first where a name has both: local model servers listen there by default.
    const addrinfo* chosen = found;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        if (at->ai_family != AF_INET) continue;
        chosen = at;
        break;
    }
    SLUICE_ASSERT(found != nullptr);  // the system found at least one
    SLUICE_ASSERT(chosen->ai_addrlen <= sizeof(sockaddr_storage));
    sockaddr_storage storage{};
    std::memcpy(&storage, chosen->ai_addr, chosen->ai_addrlen);
    const Address address(storage, chosen->ai_addrlen);
    ::freeaddrinfo(found);
    return address;
}

struct HostPort {
    std::string host;  // without brackets
    std::uint16_t port = 0;
};

Result<HostPort> split(std::string_view text) {
    const auto colon = text.rfind(':');
    const bool is_port = !text.empty() && text.size() <= 5 &&
                         text.find_first_not_of("0123456789") == std::string_view::npos;
    if (is_port)
        return Error::gateway("'" + std::string(text) + "' is a port alone: write 127.0.0.1:" +
                              std::string(text) + ", for this machine only, or host:port");
    if (colon == std::string_view::npos || text.ends_with(']'))
        return Error::gateway("'" + std::string(text) +
                              "' has no port: write host:port, [ipv6]:port or unix:/path");
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (host.empty() || (!bracketed && host.find(':') != std::string_view::npos))
        return Error::gateway("'" + std::string(text) +
                              "' is no address: write host:port, [ipv6]:port or unix:/path");
    // The system takes it for this machine alone.
    if (host == "*")
        return Error::gateway("'" + std::string(text) +
                              "' is no address: all of this machine's are 0.0.0.0 or [::]");
    auto port = read_port(text.substr(colon + 1));
    if (!port) return port.error();
    return HostPort{std::string(host), *port};
}

bool is_host_name(std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    });
}

}  // namespace

Result<Address> look_up(const std::string& name, std::uint16_t port) {
    return ask_system(name, port, 0);
}

Result<Address> Address::parse(std::string_view text) {
    if (text.starts_with(unix_prefix)) return unix_address(text.substr(unix_prefix.size()));
    const auto parts = split(text);
    if (!parts) return parts.error();
    return look_up(parts.value().host, parts.value().port);
}

bool Address::operator==(const Address& other) const {
    return size_ == other.size_ && std::memcmp(&storage_, &other.storage_, size_) == 0;
}

bool Address::is_loopback() const {
    switch (family()) {
        case AF_UNIX:
            return true;
        case AF_INET: {
            const auto* in = reinterpret_cast<const sockaddr_in*>(&storage_);
            return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
        }
        case AF_INET6: {
            const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage_);
            return IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
        }
        default:
            return false;
    }
}

std::uint16_t Address::port() const {
    switch (family()) {
        case AF_INET:
            return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
        case AF_INET6:
            return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
        default:
            return 0;
    }
}

std::string Address::host() const {
    char text[INET6_ADDRSTRLEN] = {};
    switch (family()) {
        case AF_INET: {
            const auto* in = reinterpret_cast<const sockaddr_in*>(&storage_);
            return ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        }
        case AF_INET6: {
            const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage_);
            return ::inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
        }
        default:
            return "unix";
    }
}

std::string Address::path() const {
    SLUICE_ASSERT(is_unix());
    return reinterpret_cast<const sockaddr_un*>(&storage_)->sun_path;
}

std::string Address::to_string() const {
    switch (family()) {
        case AF_UNIX:
            return std::string(unix_prefix) + path();
        case AF_INET6:
            return "[" + host() + "]:" + std::to_string(port());
        default:
            return host() + ":" + std::to_string(port());
    }
}

Result<Url> parse_url(std::string_view text) {
    // Not repeated in the error: what stands before the '@' may be a password.
    if (text.find('@') != std::string_view::npos)
        return Error::gateway(
            "a backend's URL carries no user or password: write http://host:port");
    const std::string quoted = "'" + std::string(text) + "'";
    Url url;
    if (text.starts_with(unix_prefix)) {
        auto address = Address::parse(text);
        if (!address) return address.error();
        url.host = "localhost";
        url.address = *address;
        return url;
    }
    constexpr std::string_view scheme = "http://";
    if (text.starts_with("https://"))
        return Error::gateway(quoted + ": TLS to a backend is not supported; use http://");
    if (!text.starts_with(scheme))
        return Error::gateway(quoted + " is no URL: write http://host:port or unix:/path");
    text.remove_prefix(scheme.size());
    const auto slash = text.find('/');
    url.host = text.substr(0, slash);
    if (slash != std::string_view::npos) url.path = text.substr(slash);
    while (url.path.ends_with('/'))
        url.path.pop_back();
    if (url.path.find_first_of("?# ") != std::string::npos)
        return Error::gateway(quoted + ": a backend is http://host:port with a path at most");
    const auto last_colon = url.host.rfind(':');
    const bool has_port = last_colon != std::string::npos && !url.host.ends_with(']');
    const auto parts = split(has_port ? url.host : url.host + ":80");
    if (!parts) return parts.error();
    url.port = parts.value().port;
    if (url.port == 0)
        return Error::gateway(quoted + ": nobody listens on port 0: name the server's own");
    const std::string& host = parts.value().host;
    // A file of this machine says what localhost is; other names may take their time.
    const int flags = host == "localhost" ? 0 : AI_NUMERICHOST;
    if (auto address = ask_system(host, url.port, flags); address.ok()) {
        url.address = *address;
    } else if (is_host_name(host)) {
        url.name = host;
    } else {
        return Error::gateway(quoted + ": '" + host + "' is no name of a machine");
    }
    // One of both says where it is.
    SLUICE_ASSERT((url.address.family() == AF_UNSPEC) == !url.name.empty());
    return url;
}

}  // namespace sluice::net
