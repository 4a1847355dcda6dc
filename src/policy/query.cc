#include "sluice/policy/query.h"

#include <algorithm>
#include <charconv>

namespace sluice::policy {

namespace {

// None: it does not fit, or has an escape that is none.
std::optional<std::string_view> decode(std::string_view text, QueryRoom& room) {
    if (text.find_first_of("%+") == std::string_view::npos) return text;
    std::size_t size = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (size == room.size()) return {};
        unsigned char c = static_cast<unsigned char>(text[at]);
        if (c == '+') c = ' ';
        if (c == '%') {
            if (text.size() - at < 3) return {};
            const char* end = text.data() + at + 3;
            const auto read = std::from_chars(text.data() + at + 1, end, c, 16);
            if (read.ec != std::errc{} || read.ptr != end) return {};
            at += 2;
        }
        room[size++] = static_cast<char>(c);
    }
    return std::string_view(room.data(), size);
}

}  // namespace

std::optional<std::string_view> find_parameter(std::string_view query, std::string_view name,
                                               QueryRoom& room) {
    while (!query.empty()) {
        const std::string_view parameter = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(parameter.size() + 1, query.size()));
        const std::size_t equals = std::min(parameter.find('='), parameter.size());
        const auto its_name = decode(parameter.substr(0, equals), room);
        if (!its_name || *its_name != name) continue;
        return decode(parameter.substr(std::min(equals + 1, parameter.size())), room);
    }
    return {};
}

}  // namespace sluice::policy
