#include "sluice/proxy/host_list.h"

#include "ip_literal.h"
#include "sluice/http/value.h"

#include <algorithm>
#include <array>
#include <optional>

namespace sluice::proxy {
namespace {

// Which bytes a text may be made of; every request asks.
class Alphabet {
public:
    consteval explicit Alphabet(std::string_view letters) {
        for (const char c : letters)
            has_[static_cast<unsigned char>(c)] = true;
    }
    constexpr bool has(char c) const { return has_[static_cast<unsigned char>(c)]; }

private:
    std::array<bool, 256> has_{};
};

constexpr Alphabet digits{"0123456789"};
constexpr Alphabet of_names{"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."};

bool only(std::string_view text, const Alphabet& allowed) {
    return std::ranges::all_of(text, [&allowed](char c) { return allowed.has(c); });
}

// The name in host[:port]; empty when it is not well formed.
std::string_view without_port(std::string_view host) {
    const bool bracketed = host.starts_with('[');
    const auto end = bracketed ? host.find(']') + 1 : std::min(host.find(':'), host.size());
    const std::string_view name = host.substr(0, end);
    const std::string_view port = host.substr(end);
    const bool has_port = port.size() > 1 && port.front() == ':' && only(port.substr(1), digits);
    return port.empty() || has_port ? name : std::string_view{};
}

// What is between brackets, which are there.
std::optional<Ipv6> address_in_brackets(std::string_view name) {
    return read_ipv6(name.substr(1, name.size() - 2));
}

// An address that means itself and nothing else. One that stands for any leads to this machine from
// everywhere, and one that hides an IPv4 address is to a browser no address of this machine: it
// would not say that a foreign page asks.
bool is_plain_address(std::string_view name) {
    if (!name.starts_with('[')) return is_ipv4(name) && !name.starts_with("0.");
    const auto address = address_in_brackets(name);
    return address && !holds_ipv4(*address);
}

}  // namespace

HostList::HostList(const std::vector<std::string>& allowed) : names_{"localhost"} {
    for (const auto& host : allowed)
        if (const auto name = without_port(host); !name.empty())
            names_.insert(http::lower_case(name));
}

Status HostList::check(std::string_view name) {
    const std::string_view host = without_port(name);
    const bool is_address = host.starts_with('[') && address_in_brackets(host).has_value();
    if (is_address || (!host.empty() && only(host, of_names))) return Done{};
    std::string message = "'";
    message.append(name).append("' is no host name: write it like box.local, without http://");
    return Error::gateway(std::move(message));
}

bool HostList::allows_host(std::string_view host) const {
    // The port may be left out behind its colon (RFC 3986 section 3.2.3); an Origin never has that.
    if (host.ends_with(':')) host.remove_suffix(1);
    const std::string_view name = without_port(host);
    if (name.empty()) return false;
    return is_plain_address(name) || names_.contains(http::lower_case(name));
}

bool HostList::allows_origin(std::string_view origin) const {
    const auto scheme_end = origin.find("://");
    if (scheme_end == std::string_view::npos) return false;
    const std::string_view scheme = origin.substr(0, scheme_end);
    if (scheme != "http" && scheme != "https") return false;
    const std::string_view name = without_port(origin.substr(scheme_end + 3));
    // An address that is not loopback is another machine's page, unless it was allowed.
    if (name == "[::1]" || (name.starts_with("127.") && is_ipv4(name))) return true;
    return names_.contains(http::lower_case(name));
}

}  // namespace sluice::proxy
