#include "script.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

namespace sluice::model_sim {
namespace {

// More would only be a mistake: a token a millisecond for three hours, a token of a mebibyte.
constexpr std::uint64_t tokens_most = 10'000'000;
constexpr std::uint64_t token_bytes_most = 1 << 20;
constexpr std::uint64_t any_32_bits = UINT32_MAX;

constexpr std::array<std::pair<std::string_view, Failure>, 21> failure_names = {{
    {"none", Failure::none},
    {"refuse", Failure::refuse},
    {"reset", Failure::reset},
    {"stall", Failure::stall},
    {"malformed-chunk", Failure::malformed_chunk},
    {"malformed-json", Failure::malformed_json},
    {"loading", Failure::loading},
    {"429", Failure::rate_limited},
    {"context", Failure::context},
    {"slow-read", Failure::slow_read},
    {"close", Failure::close},
    {"error-event", Failure::error_event},
    {"no-done", Failure::no_done},
    {"html", Failure::html},
    {"headers", Failure::headers},
    {"extra", Failure::extra},
    {"short-length", Failure::short_length},
    {"500", Failure::broken},
    {"529", Failure::overloaded},
    {"401", Failure::unauthorized},
    {"policy", Failure::policy},
}};

template <Duration Script::* member>
Status set_duration(Script& script, std::string_view value) {
    const auto duration = parse_duration(value);
    if (!duration.ok()) return duration.error();
    script.*member = duration.value();
    return Done{};
}

template <std::uint32_t Script::* member, std::uint64_t least, std::uint64_t most>
Status set_count(Script& script, std::string_view value) {
    const auto count = parse_count(value, most);
    if (!count.ok()) return count.error();
    if (count.value() < least) return Error::client(400, fmt::format("at least {}", least));
    script.*member = static_cast<std::uint32_t>(count.value());
    return Done{};
}

Status set_seed(Script& script, std::string_view value) {
    const auto seed = parse_count(value, UINT64_MAX);
    if (!seed.ok()) return seed.error();
    script.seed = seed.value();
    return Done{};
}

Status set_failure(Script& script, std::string_view value) {
    for (const auto& [name, failure] : failure_names) {
        if (name != value) continue;
        script.failure = failure;
        return Done{};
    }
    std::string names;
    for (const auto& [name, failure] : failure_names) {
        if (!names.empty()) names += ' ';
        names += name;
    }
    return Error::client(400, fmt::format("\"{}\" is no failure; there are: {}", value, names));
}

constexpr std::array<Setting, 11> all_settings = {{
    {"ttft", "D", "time to the first token (20ms)", set_duration<&Script::ttft>},
    {"itl", "D", "time from one token to the next (10ms); 0: as fast as the reader takes them",
     set_duration<&Script::itl>},
    {"tokens", "N", "tokens of the answer's text (32); the request's max_tokens may cut it",
     set_count<&Script::tokens, 0, tokens_most>},
    {"token-bytes", "N", "bytes of every token's text; 0: words as they come (0)",
     set_count<&Script::token_bytes, 0, token_bytes_most>},
    {"events-per-chunk", "N", "token events that share one HTTP chunk (1)",
     set_count<&Script::events_per_chunk, 1, any_32_bits>},
    {"split", "N", "write answers in pieces of N bytes, one send each; 0: no bound (0)",
     set_count<&Script::split, 0, any_32_bits>},
    {"cached-tokens", "N", "prompt tokens reported as cached, at most all but one (0)",
     set_count<&Script::cached_tokens, 0, any_32_bits>},
    {"seed", "N", "seed of the text: same seed, same text (1)", set_seed},
    {"fail", "NAME",
     "what goes wrong (none): refuse reset stall malformed-chunk malformed-json loading 429 "
     "context slow-read close error-event no-done html headers extra short-length 500 529 401 "
     "policy",
     set_failure},
    {"fail-after", "N", "events that are sent before it goes wrong; 0: nothing at all (3)",
     set_count<&Script::fail_after, 0, any_32_bits>},
    {"read-pause", "D", "pause of --fail slow-read between two reads (50ms)",
     set_duration<&Script::read_pause>},
}};

Status apply_override(Script& script, std::string_view name, std::string_view value) {
    for (const auto& setting : all_settings) {
        if (setting.name != name) continue;
        const auto status = setting.set(script, value);
        if (status.ok()) return Done{};
        return Error::client(400, fmt::format("x-sim: {}: {}", name, status.error().message));
    }
    return Error::client(400, fmt::format("x-sim: there is no setting \"{}\"", name));
}

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

std::span<const Setting> settings() {
    return all_settings;
}

Status apply_overrides(Script& script, std::string_view field) {
    while (!field.empty()) {
        const auto comma = field.find(',');
        const auto part = trimmed(field.substr(0, comma));
        field = comma == std::string_view::npos ? std::string_view{} : field.substr(comma + 1);
        if (part.empty()) continue;
        const auto equals = part.find('=');
        if (equals == std::string_view::npos)
            return Error::client(400, fmt::format("x-sim: \"{}\" is not name=value", part));
        auto status = apply_override(script, trimmed(part.substr(0, equals)),
                                     trimmed(part.substr(equals + 1)));
        if (!status.ok()) return status;
    }
    return Done{};
}

Result<Duration> parse_duration(std::string_view text) {
    double number = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
    constexpr std::array<std::pair<std::string_view, double>, 5> units = {
        {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};
    if (failure == std::errc{} && number >= 0) {
        if (unit.empty() && number == 0) return Duration{0};
        for (const auto& [name, nanoseconds] : units)
            if (unit == name && number * nanoseconds < 1e18)
                return Duration{static_cast<std::int64_t>(number * nanoseconds)};
    }
    return Error::client(
        400, fmt::format("\"{}\" is no duration; write 250us, 20ms, 1.5s, 5m or 0", text));
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t most) {
    std::uint64_t number = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc{} || stop != end || number > most)
        return Error::client(400,
                             fmt::format("\"{}\" is no whole number from 0 to {}", text, most));
    return number;
}

}  // namespace sluice::model_sim
