#include "ip_literal.h"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace sluice::proxy {
namespace {

// A number that is the whole text.
std::optional<std::uint16_t> number(std::string_view text, int base, std::size_t digits_max) {
    std::uint16_t value = 0;
    const char* const last = text.data() + text.size();
    const auto [end, failure] = std::from_chars(text.data(), last, value, base);
    if (failure != std::errc{} || end != last || text.size() > digits_max) return std::nullopt;
    return value;
}

// Cuts off what stands in front of the first separator.
std::string_view next_part(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

// Four parts of up to 255 without zeros in front. Every request asks: one pass.
std::optional<std::uint32_t> read_ipv4(std::string_view text) {
    std::uint32_t bits = 0;
    std::uint32_t part = 0;
    int parts = 1;
    bool empty = true;  // the part at hand
    for (const char c : text) {
        if (c == '.') {
            if (empty || ++parts > 4) return std::nullopt;
            bits = bits << 8 | part;
            part = 0;
            empty = true;
            continue;
        }
        const auto digit = static_cast<std::uint32_t>(c) - '0';
        if (digit > 9 || (part == 0 && !empty)) return std::nullopt;
        part = part * 10 + digit;
        if (part > 255) return std::nullopt;
        empty = false;
    }
    return empty || parts < 4 ? std::nullopt : std::optional(bits << 8 | part);
}

struct Groups {
    Ipv6 values{};
    std::size_t count = 0;
};

// Groups between colons, the last of which may be an IPv4 address; none in an empty text.
std::optional<Groups> read_groups(std::string_view text, bool at_end) {
    Groups groups;
    if (text.empty()) return groups;
    if (text.ends_with(':')) return std::nullopt;
    while (!text.empty()) {
        const std::string_view part = next_part(text, ':');
        const bool dotted = at_end && text.empty() && part.find('.') != part.npos;
        if (groups.count + (dotted ? 2 : 1) > groups.values.size()) return std::nullopt;
        if (dotted) {
            const auto bits = read_ipv4(part);
            if (!bits) return std::nullopt;
            groups.values[groups.count++] = static_cast<std::uint16_t>(*bits >> 16);
            groups.values[groups.count++] = static_cast<std::uint16_t>(*bits);
            continue;
        }
        const auto value = number(part, 16, 4);
        if (!value) return std::nullopt;
        groups.values[groups.count++] = *value;
    }
    return groups;
}

}  // namespace

bool is_ipv4(std::string_view text) {
    return read_ipv4(text).has_value();
}

std::optional<Ipv6> read_ipv6(std::string_view text) {
    const std::size_t gap = text.find("::");
    const bool has_gap = gap != text.npos;
    const auto front = read_groups(text.substr(0, gap), !has_gap);
    if (!front) return std::nullopt;
    if (!has_gap) return front->count == 8 ? std::optional(front->values) : std::nullopt;
    const auto back = read_groups(text.substr(gap + 2), true);
    // The gap stands for one group at least.
    if (!back || front->count + back->count > 7) return std::nullopt;
    Ipv6 address = front->values;
    std::copy_n(back->values.begin(), back->count,
                address.end() - static_cast<std::ptrdiff_t>(back->count));
    return address;
}

bool holds_ipv4(const Ipv6& address) {
    constexpr std::array<std::array<std::uint16_t, 6>, 4> prefixes = {{
        {0, 0, 0, 0, 0, 0},          // compatible (RFC 4291 section 2.5.5.1), and ::
        {0, 0, 0, 0, 0, 0xffff},     // mapped (section 2.5.5.2)
        {0, 0, 0, 0, 0xffff, 0},     // translated (RFC 2765 section 2.1)
        {0x64, 0xff9b, 0, 0, 0, 0},  // by a translator of the network (RFC 6052)
    }};
    if (address == Ipv6{0, 0, 0, 0, 0, 0, 0, 1}) return false;
    return std::ranges::any_of(prefixes, [&address](const auto& prefix) {
        return std::equal(prefix.begin(), prefix.end(), address.begin());
    });
}

}  // namespace sluice::proxy
