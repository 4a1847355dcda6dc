#include "sluice/config/settings.h"

#include "sluice/config/wildcard.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace sluice::config {
namespace {

// A moment that far away is still a moment on the clock.
constexpr Duration duration_max = Duration::seconds(100LL * 365 * 24 * 3600);

struct Unit {
    std::string_view suffix;
    std::int64_t factor;
};

Error bad_value(std::string_view text, const char* what, const char* example) {
    // Appended: g++ 12 warns of text + std::string where there is nothing to warn of.
    std::string message = "'";
    message.append(text).append("' is no ").append(what);
    message.append(": write it like ").append(example);
    return Error::gateway(std::move(message));
}

// A whole number followed by one of the units.
Result<std::int64_t> read_with_unit(std::string_view text, std::span<const Unit> units,
                                    const char* what, const char* example) {
    std::int64_t number = 0;
    const char* last = text.data() + text.size();
    const auto [end, code] = std::from_chars(text.data(), last, number);
    if (code != std::errc{} || number < 0) return bad_value(text, what, example);
    const std::string_view suffix(end, static_cast<std::size_t>(last - end));
    if (number == 0 && suffix.empty()) return std::int64_t{0};
    for (const Unit& unit : units) {
        if (unit.suffix != suffix) continue;
        if (number > std::numeric_limits<std::int64_t>::max() / unit.factor)
            return bad_value(text, what, example);
        return number * unit.factor;
    }
    return bad_value(text, what, example);
}

constexpr const char* size_example = "512B, 64KiB or 16MiB, with its unit";

// A name that a request could carry: what is longer or holds a line end never comes from one.
Status check_name(std::string_view name) {
    if (name.empty())
        return Error::gateway(
            "a model's name is missing: write it like "
            "NAME=http://127.0.0.1:8080 or ALIAS=NAME");
    if (name.size() > limits::model_name_bytes_max)
        return Error::gateway("a model's name has at most " +
                              std::to_string(limits::model_name_bytes_max) + " bytes");
    const bool plain = std::ranges::none_of(
        name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (!plain) return Error::gateway("a model's name holds no control characters");
    return Done{};
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
    static constexpr Unit units[] = {
        {"us", 1'000},         {"ms", 1'000'000},        {"s", 1'000'000'000},
        {"m", 60'000'000'000}, {"h", 3'600'000'000'000}, {"d", 86'400'000'000'000}};
    auto ns = read_with_unit(text, units, "duration", "250ms, 10s or 5m");
    if (!ns) return ns.error();
    if (*ns > duration_max.ns)
        return bad_value(text, "duration below 100 years", "250ms, 10s or 5m");
    return Duration{*ns};
}

Result<std::size_t> parse_size(std::string_view text) {
    static constexpr Unit units[] = {
        {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    // A number alone is mostly meant in a unit that was forgotten.
    auto bytes = read_with_unit(text, units, "size", size_example);
    if (!bytes) return bytes.error();
    return static_cast<std::size_t>(*bytes);
}

Result<ModelSetting> parse_model(std::string_view text) {
    constexpr const char* example = "NAME=http://127.0.0.1:8080";
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) return bad_value(text, "model", example);
    ModelSetting model;
    BackendSetting backend;
    model.name = text.substr(0, equals);
    backend.url = text.substr(equals + 1);
    if (const auto hash = backend.url.find('#'); hash != std::string::npos) {
        backend.model = backend.url.substr(hash + 1);
        backend.url.resize(hash);
        if (auto named = check_name(backend.model); !named) return named.error();
    }
    if (backend.url.empty()) return bad_value(text, "model", example);
    if (auto named = check_name(model.name); !named) return named.error();
    model.backends.push_back(std::move(backend));
    return model;
}

Result<std::string> parse_origin(std::string_view text) {
    const auto refuse = [text](std::string_view why) {
        std::string message = "'";
        message.append(text).append("' is no origin: ").append(why);
        return Error::gateway(std::move(message));
    };
    std::string origin(text);
    for (char& c : origin) {
        if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f)
            return refuse("it has no spaces and no letters but ASCII's");
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    if (auto pattern = Wildcard::compile(origin); !pattern) return refuse(pattern.error().message);
    if (origin == "*" || origin == "null") return origin;
    const std::size_t colon = origin.find("://");
    if (colon == origin.npos || colon == 0)
        return refuse("write it with its scheme, like http://app.example or app://obsidian.md");
    const std::string_view scheme = std::string_view(origin).substr(0, colon);
    const std::string_view host = std::string_view(origin).substr(colon + 3);
    if (host.find_first_of("/?#@") != host.npos)
        return refuse("it ends behind the host and the port, without a '/'");
    if (host.empty() && scheme != "file") return refuse("its host is missing");
    const std::string_view port = scheme == "http" ? ":80" : scheme == "https" ? ":443" : "";
    if (!port.empty() && host.ends_with(port))
        return refuse("browsers leave " + std::string(port) + " out: do the same");
    return origin;
}

Result<AliasSetting> parse_alias(std::string_view text) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) return bad_value(text, "alias", "gpt-4o-mini=qwen-small");
    AliasSetting setting{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
    for (const auto* name : {&setting.alias, &setting.model})
        if (auto named = check_name(*name); !named) return named.error();
    return setting;
}

}  // namespace sluice::config
