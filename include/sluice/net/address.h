// Address: where a socket listens or connects: IPv4, IPv6 or a Unix socket.
//
// Written as "127.0.0.1:8642", "[::1]:8642", "localhost:8642" or "unix:/path/to.sock".
#pragma once

#include "sluice/base/result.h"

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::net {

class Address {
public:
    Address() = default;
    Address(const sockaddr_storage& storage, socklen_t size) : storage_(storage), size_(size) {}

    // Reads host:port or unix:/path. Names are looked up (blocking: start-up only).
    static Result<Address> parse(std::string_view text);

    const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t size() const { return size_; }
    int family() const { return storage_.ss_family; }
    bool is_unix() const { return family() == AF_UNIX; }
    // 127.0.0.0/8, ::1 or a Unix socket: reachable from this machine only.
    bool is_loopback() const;
    std::uint16_t port() const;  // 0 for a Unix socket

    // The path of a Unix socket.
    std::string path() const;
    bool operator==(const Address& other) const;
    // As parse() reads it, with the name looked up.
    std::string to_string() const;
    // Without the port: for X-Forwarded-For and logs. "unix" for a Unix socket.
    std::string host() const;

private:
    sockaddr_storage storage_{};
    socklen_t size_ = 0;
};

// An http:// URL of a model server, cut into its parts.
struct Url {
    std::string host;  // name or literal, as written, with the port: the Host field to send
    std::string path;  // prefix of every path; empty or begins with '/' and does not end with one
    Address address;   // of family AF_UNSPEC where `name` has to be looked up
    std::string name;  // empty: the address is known
    std::uint16_t port = 0;
};

// Reads http://host[:port][/prefix] or unix:/path. The error says what is wrong with it. Looks no
// name up but localhost.
Result<Url> parse_url(std::string_view text);

// Asks the system for it, which may block for long.
Result<Address> look_up(const std::string& name, std::uint16_t port);

}  // namespace sluice::net
