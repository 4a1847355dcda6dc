// Field lines of a head that were written down, each with its CRLF.
#pragma once

#include "sluice/http/head.h"

#include <string_view>

namespace sluice::proxy {

// The value of the first field of that name; empty where there is none.
inline std::string_view value_in(std::string_view lines, std::string_view name) {
    while (!lines.empty()) {
        const auto end = lines.find("\r\n");
        const auto line = lines.substr(0, end);
        const auto colon = line.find(':');
        if (colon != line.npos && http::same_name(line.substr(0, colon), name)) {
            const auto begin = line.find_first_not_of(" \t", colon + 1);
            return begin == line.npos ? std::string_view() : line.substr(begin);
        }
        lines.remove_prefix(end == lines.npos ? lines.size() : end + 2);
    }
    return {};
}

}  // namespace sluice::proxy
