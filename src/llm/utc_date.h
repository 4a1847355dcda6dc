// Dates as JSON has them. Internal.
#pragma once

#include "sluice/base/assert.h"

#include <cstdint>
#include <ctime>
#include <string>

namespace sluice::llm {

// RFC 3339 in UTC, of seconds since 1970 up to the year 9999.
inline std::string utc_date(std::int64_t seconds) {
    const std::time_t moment = seconds;
    std::tm parts{};
    char text[sizeof("2026-11-30T12:34:56Z")];
    const bool known = gmtime_r(&moment, &parts) != nullptr;
    SLUICE_ASSERT(known);
    const std::size_t length = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text, length};
}

}  // namespace sluice::llm
