#include "sluice/config/settings.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace sluice::config {
namespace {

struct Unit {
    std::string_view suffix;
    std::int64_t factor;
};

Error bad_value(std::string_view text, const char* what, const char* example) {
    return Error::gateway("'" + std::string(text) + "' is no " + what + ": write it like " +
                          example);
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

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
    static constexpr Unit units[] = {{"us", 1'000},
                                     {"ms", 1'000'000},
                                     {"s", 1'000'000'000},
                                     {"m", 60'000'000'000},
                                     {"h", 3'600'000'000'000}};
    auto ns = read_with_unit(text, units, "duration", "250ms, 10s or 5m");
    if (!ns) return ns.error();
    return Duration{*ns};
}

Result<std::size_t> parse_size(std::string_view text) {
    static constexpr Unit units[] = {
        {"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    auto bytes = read_with_unit(text, units, "size", "512, 64KiB or 16MiB");
    if (!bytes) return bytes.error();
    return static_cast<std::size_t>(*bytes);
}

Result<ModelSetting> parse_model(std::string_view text) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
        return bad_value(text, "model", "NAME=http://127.0.0.1:8080");
    ModelSetting model;
    model.name = text.substr(0, equals);
    if (model.name.size() > limits::model_name_bytes_max)
        return Error::gateway("a model name has at most " +
                              std::to_string(limits::model_name_bytes_max) + " bytes");
    model.url = text.substr(equals + 1);
    if (const auto hash = model.url.find('#'); hash != std::string::npos) {
        model.upstream = model.url.substr(hash + 1);
        model.url.resize(hash);
    }
    return model;
}

Result<AliasSetting> parse_alias(std::string_view text) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
        return bad_value(text, "alias", "gpt-4o-mini=qwen-small");
    return AliasSetting{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

}  // namespace sluice::config
