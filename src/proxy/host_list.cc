#include "sluice/proxy/host_list.h"

#include <algorithm>

namespace sluice::proxy {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

std::string_view without_port(std::string_view host) {
    if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
    return host.substr(0, host.find(':'));
}

// What the strict parser let through as an address: brackets, or digits and dots only.
bool is_literal(std::string_view host) {
    if (host.starts_with('[')) return host.ends_with(']');
    return std::ranges::count(host, '.') == 3 &&
           host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool is_unspecified(std::string_view literal) {
    return literal.find_first_not_of("[]:0.") == std::string_view::npos;
}

}  // namespace

HostList::HostList(const std::vector<std::string>& allowed) : names_{"localhost"} {
    for (const auto& name : allowed) names_.insert(lower(without_port(name)));
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
    const std::string_view host = origin.substr(scheme_end + 3);
    const std::string_view name = without_port(host);
    // An address that is not loopback is another machine's page.
    if (is_literal(name)) return name.starts_with("127.") || name == "[::1]";
    return !name.empty() && names_.contains(lower(name));
}

}  // namespace sluice::proxy
