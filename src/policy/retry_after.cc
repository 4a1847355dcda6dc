#include "sluice/policy/retry_after.h"

#include "decimal.h"
#include "sluice/base/assert.h"
#include "sluice/http/date.h"

#include <algorithm>
#include <cstdint>

namespace sluice::policy {

namespace {

std::optional<bool> parse_bool(std::string_view value) {
    if (value == "true") return true;
    if (value == "false") return false;
    return std::nullopt;
}

}  // namespace

std::optional<Duration> parse_retry_after(std::string_view value, WallTime now) {
    if (const auto span = parse_decimal(value, Duration::seconds(1), retry_after_max)) return span;
    const auto date = http::parse_date(value, now);
    if (!date) return std::nullopt;
    const std::int64_t us =
        std::clamp<std::int64_t>(date->us - now.us, 0, retry_after_max.as_micros());
    return Duration::micros(us);
}

RetryAdvice read_retry_advice(const http::Head& head, WallTime now) {
    RetryAdvice advice;
    advice.after = parse_decimal(head.find(http::FieldId::retry_after_ms), Duration::millis(1),
                                 retry_after_max);
    if (!advice.after) advice.after = parse_retry_after(head.find(http::FieldId::retry_after), now);
    advice.should_retry = parse_bool(head.find(http::FieldId::x_should_retry));
    SLUICE_ASSERT(!advice.after || (advice.after->ns >= 0 && *advice.after <= retry_after_max));
    return advice;
}

}  // namespace sluice::policy
