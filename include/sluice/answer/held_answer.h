// HeldAnswer: a backend's answer that is not passed on before it is known that no other will do.
//
// Of a refusal: its head as it goes to the client, and its body, decoded, up to a bound; past the
// bound it is passed on as it is. Rare and small, so it is copied.
#pragma once

#include "sluice/base/limits.h"
#include "sluice/http/head.h"
#include "sluice/policy/retry_after.h"

#include <cstdint>
#include <string>

namespace sluice::answer {

struct HeldAnswer {
    static constexpr std::size_t bytes_max = 64 * limits::KiB;

    int status = 0;
    std::string reason;
    std::string fields;  // end-to-end lines, each with its CRLF; without framing
    std::string body;
    http::Framing framing = http::Framing::none;  // as it came
    policy::RetryAdvice advice;
    bool of_gateway = false;  // one like this one made it
};

}  // namespace sluice::answer
