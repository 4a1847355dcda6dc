// Verdict: what a check says about a piece of a message: fine, or refused with a status and words.
//
// The status is the one for a faulty request; a faulty response is always the backend's 502.
// Words are string literals, so that a check never allocates.
#pragma once

#include <cstdint>

namespace sluice::http {

struct [[nodiscard]] Verdict {
    std::uint16_t status = 0;     // 0: fine
    const char* words = nullptr;  // what was wrong and what to do

    bool refused() const { return status != 0; }
};

inline constexpr Verdict fine{};

constexpr Verdict bad_request(const char* words) {
    return {400, words};
}

}  // namespace sluice::http
