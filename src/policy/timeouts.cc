#include "sluice/policy/timeouts.h"

#include "decimal.h"
#include "sluice/base/assert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace sluice::policy {

namespace {

std::optional<Duration> read_seconds(std::string_view value) {
    const auto span = parse_decimal(value, Duration::seconds(1), client_timeout_max);
    if (!span || span->ns == 0) return std::nullopt;
    return span;
}

Deadline phase_deadline(const PhaseTimeouts& timeouts, Phase phase, const PhaseTimes& times) {
    const auto at = [&times](DeadlineName name, Duration limit) {
        return limit.ns == 0 ? Deadline{} : Deadline{name, times.began + limit, limit};
    };
    const auto put_off = [&times](DeadlineName name, Duration limit) {
        if (limit.ns == 0) return Deadline{};
        const Instant last = times.began + std::max(limit, comments_max);
        return Deadline{name, std::min(times.heard + limit, last), limit};
    };
    switch (phase) {
        case Phase::connect:
            return at(DeadlineName::connect, timeouts.connect);
        case Phase::queue:
            return at(DeadlineName::queue, timeouts.queue);
        case Phase::load:
            return at(DeadlineName::load, timeouts.load);
        case Phase::first_byte:
            return put_off(DeadlineName::first_byte, timeouts.first_byte);
        case Phase::gap:
            return put_off(DeadlineName::gap, timeouts.gap);
    }
    return {};
}

// `other` only where it is earlier.
void take_earlier(Deadline& deadline, DeadlineName name, Instant from, Duration limit) {
    const Instant at = from + limit;
    if (!deadline || at < deadline.at) deadline = {name, at, limit};
}

// "5m", "1m30s", "1.5s", "0.3s", "20ms": to two digits behind the point. Never three digits on end,
// which some client would take for a status.
std::string text_of(Duration span) {
    constexpr std::int64_t second_ns = 1'000'000'000;
    if (span < Duration::millis(100))
        return fmt::format("{:.2g}ms", static_cast<double>(span.ns) / 1e6);
    if (span < Duration::seconds(60))
        return fmt::format("{}s", std::round(static_cast<double>(span.ns) / 1e7) / 100);
    const std::int64_t seconds = span.ns / second_ns;
    const std::int64_t hours = seconds / 3600;
    std::string text = hours > 0 ? fmt::format("{}h", hours) : std::string();
    if (seconds / 60 % 60 > 0) text += fmt::format("{}m", seconds / 60 % 60);
    if (seconds % 60 > 0) text += fmt::format("{}s", seconds % 60);
    return text;
}

}  // namespace

ClientTimeouts read_client_timeouts(const http::Head& head) {
    return {read_seconds(head.find(http::FieldId::x_stainless_read_timeout)),
            read_seconds(head.find(http::FieldId::x_request_timeout))};
}

Deadline next_deadline(const PhaseTimeouts& timeouts, const ClientTimeouts& client, Phase phase,
                       const PhaseTimes& times) {
    SLUICE_ASSERT(times.began >= times.received && times.last_sent >= times.received);
    SLUICE_ASSERT(times.heard >= times.began);
    Deadline deadline = phase_deadline(timeouts, phase, times);
    const bool answers = phase == Phase::first_byte || phase == Phase::gap;
    if (answers && times.alive != Instant{} && timeouts.silence.ns != 0) {
        take_earlier(deadline, DeadlineName::silence, std::max(times.heard, times.alive),
                     timeouts.silence);
    }
    if (timeouts.total.ns != 0) {
        take_earlier(deadline, DeadlineName::total, times.received, timeouts.total);
    }
    if (client.read) {
        take_earlier(deadline, DeadlineName::client_read, times.last_sent, *client.read);
    }
    if (client.total) {
        take_earlier(deadline, DeadlineName::client_total, times.received, *client.total);
    }
    return deadline;
}

std::string describe(const Deadline& deadline, std::string_view model) {
    SLUICE_ASSERT(deadline.name != DeadlineName::none);
    const std::string limit = text_of(deadline.limit);
    const std::string_view name = name_of(deadline.name);
    switch (deadline.name) {
        case DeadlineName::none:
            break;
        case DeadlineName::connect:
            return fmt::format("The backend took no connection within {} ({}).", limit, name);
        case DeadlineName::queue:
            return fmt::format("The model '{}' had no free slot within {} ({}).", model, limit,
                               name);
        case DeadlineName::load:
            return fmt::format("The model '{}' was not loaded within {} ({}).", model, limit, name);
        case DeadlineName::first_byte:
            return fmt::format("The backend sent no answer within {} ({}).", limit, name);
        case DeadlineName::gap:
            return fmt::format("The backend sent nothing more for {} ({}).", limit, name);
        case DeadlineName::silence:
            return fmt::format("The backend showed no sign of life for {} ({}).", limit, name);
        case DeadlineName::total:
            return fmt::format("The answer was not complete within {} ({}).", limit, name);
        case DeadlineName::client_read:
            return fmt::format("Nothing was sent for {}, the time that the client waits ({}).",
                               limit, name);
        case DeadlineName::client_total:
            return fmt::format(
                "The answer was not complete within {}, the time that the client waits ({}).",
                limit, name);
    }
    return {};
}

int status_of(DeadlineName name) {
    const bool asked_nobody = name == DeadlineName::queue || name == DeadlineName::load;
    return asked_nobody ? 503 : 504;
}

std::string_view name_of(DeadlineName name) {
    static constexpr std::array<std::string_view, 10> names{"none",
                                                            "connect",
                                                            "queue",
                                                            "load",
                                                            "first_byte",
                                                            "gap",
                                                            "silence",
                                                            "total",
                                                            "x-stainless-read-timeout",
                                                            "x-request-timeout"};
    const auto index = static_cast<std::size_t>(name);
    SLUICE_ASSERT(index < names.size());
    return names[index];
}

}  // namespace sluice::policy
