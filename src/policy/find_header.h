// The value of a field of a request, by its name.
#pragma once

#include "sluice/http/head.h"

#include <optional>
#include <span>
#include <string_view>

namespace sluice::policy {

// Of several fields of that name the first.
inline std::optional<std::string_view> find_header(std::span<const http::Field> headers,
                                                   std::string_view name) {
    for (const http::Field& field : headers)
        if (http::same_name(field.name, name)) return field.value;
    return {};
}

}  // namespace sluice::policy
