// RetryAdvice: when a server lets itself be asked again, from the fields of its answer.
//
// Read as the SDKs read them: `retry-after-ms` before `retry-after`, which is a number of seconds
// or a date; `x-should-retry` is true or false. What cannot be read is as if it were not there;
// a span is held to retry_after_max, and a date that has passed is now.
#pragma once

#include "sluice/base/clock.h"
#include "sluice/http/head.h"

#include <optional>
#include <string_view>

namespace sluice::policy {

// Nobody waits longer on the word of one answer: by then a probe costs less than the wait.
inline constexpr Duration retry_after_max = Duration::seconds(3600);

struct RetryAdvice {
    std::optional<Duration> after;     // at least so long, from now
    std::optional<bool> should_retry;  // what the server thinks of trying at all
};

// Of a response. `now` is for dates only.
RetryAdvice read_retry_advice(const http::Head& head, WallTime now);

// The value of a Retry-After.
std::optional<Duration> parse_retry_after(std::string_view value, WallTime now);

}  // namespace sluice::policy
