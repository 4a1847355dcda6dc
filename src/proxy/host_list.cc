#include "sluice/proxy/host_list.h"

#include <algorithm>
#include <array>

namespace sluice::proxy {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

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
constexpr Alphabet of_ipv4{"0123456789."};
constexpr Alphabet of_ipv6{"[]0123456789abcdefABCDEF:."};
constexpr Alphabet of_no_address{"[]:0."};
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

// An address: brackets, or digits and dots only.
bool is_literal(std::string_view host) {
    if (host.starts_with('[')) return only(host, of_ipv6);
    return std::ranges::count(host, '.') == 3 && only(host, of_ipv4);
}

// 0.0.0.0 and ::, which lead to this machine; also written as an IPv4-mapped address.
bool is_unspecified(std::string_view literal) {
    if (!literal.starts_with('[')) return only(literal, of_no_address);
    std::string text = lower(literal);
    if (const auto mapped = text.find("ffff:"); mapped != std::string::npos) text.erase(mapped, 4);
    return only(text, of_no_address);
}

}  // namespace

HostList::HostList(const std::vector<std::string>& allowed) : names_{"localhost"} {
    for (const auto& host : allowed)
        if (const auto name = without_port(host); !name.empty()) names_.insert(lower(name));
}

Status HostList::check(std::string_view name) {
    const std::string_view host = without_port(name);
    if (!host.empty() && (is_literal(host) || only(host, of_names))) return Done{};
    std::string message = "'";
    message.append(name).append("' is no host name: write it like box.local, without http://");
    return Error::gateway(std::move(message));
}

bool HostList::allows_host(std::string_view host) const {
    const std::string_view name = without_port(host);
    if (name.empty()) return false;
    if (is_literal(name)) return !is_unspecified(name);
    return names_.contains(lower(name));
}

bool HostList::allows_origin(std::string_view origin) const {
    const auto scheme_end = origin.find("://");
    if (scheme_end == std::string_view::npos) return false;
    const std::string_view scheme = origin.substr(0, scheme_end);
    if (scheme != "http" && scheme != "https") return false;
    const std::string_view name = without_port(origin.substr(scheme_end + 3));
    // An address that is not loopback is another machine's page, unless it was allowed.
    if (is_literal(name) && (name.starts_with("127.") || name == "[::1]")) return true;
    return names_.contains(lower(name));
}

}  // namespace sluice::proxy
