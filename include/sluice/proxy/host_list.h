// HostList: the Host and Origin values that may reach the gateway.
//
// Exact: a web page on any other name that resolves to this machine (DNS rebinding) is refused, and
// so is a page of a foreign origin. Loopback names and plain addresses are allowed, because a
// browser cannot be made to send them for a foreign name; other forms of addresses are not: the
// unspecified ones, IPv4 within IPv6, and numbers that only resolvers take for an address (127.1,
// 2130706433).
#pragma once

#include "sluice/base/result.h"

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace sluice::proxy {

class HostList {
public:
    // Each as check() takes it.
    explicit HostList(const std::vector<std::string>& allowed);
    // Whether this is a name that could be allowed: host[:port], the port is of no meaning.
    static Status check(std::string_view name);

    // `host` is the Host field: host[:port].
    bool allows_host(std::string_view host) const;
    // `origin` is the Origin field: scheme://host[:port]; "null" is never allowed.
    bool allows_origin(std::string_view origin) const;

private:
    std::unordered_set<std::string> names_;  // lower case
};

}  // namespace sluice::proxy
