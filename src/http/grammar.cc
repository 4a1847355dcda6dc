#include "grammar.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace sluice::http {

namespace {

constexpr std::size_t name_bytes_max = 255;  // RFC 1035 section 2.3.4

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > name_bytes_max || text.front() == '.') return false;
    return all(host_char, text) && text.find("..") == text.npos;
}

bool is_ipv6(std::string_view text) {
    std::array<char, INET6_ADDRSTRLEN> copy{};
    if (text.size() >= copy.size()) return false;
    std::ranges::copy(text, copy.begin());
    in6_addr address;
    // A NUL inside would end the copy early; the caller's characters are checked here, not there.
    return std::strlen(copy.data()) == text.size() &&
           inet_pton(AF_INET6, copy.data(), &address) == 1;
}

bool is_port(std::string_view text) {
    if (text.empty() || text.size() > 5 || text.front() == '0') return false;
    unsigned port = 0;
    for (const char c : text) {
        if (!is_digit(c)) return false;
        port = port * 10 + static_cast<unsigned>(c - '0');
    }
    return port <= 65535;
}

}  // namespace

bool is_authority(std::string_view text) {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == text.npos || !is_ipv6(text.substr(1, close - 1))) return false;
        port = text.substr(close + 1);
    } else {
        const std::size_t colon = std::min(text.find(':'), text.size());
        if (!is_name(text.substr(0, colon))) return false;
        port = text.substr(colon);
    }
    return port.empty() || (port.front() == ':' && is_port(port.substr(1)));
}

}  // namespace sluice::http
