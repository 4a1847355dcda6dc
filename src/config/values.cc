#include "values.h"

#include "sluice/base/assert.h"

#include <charconv>

namespace sluice::config {
namespace {

// Only plain texts are numbers: "4" in quotes is meant as a text.
template <class Number>
std::optional<Number> number_in(const Node& node) {
    if (node.kind != Node::Kind::text || node.quoted) return std::nullopt;
    Number number{};
    const char* last = node.text.data() + node.text.size();
    const auto [end, code] = std::from_chars(node.text.data(), last, number);
    if (code != std::errc{} || end != last) return std::nullopt;
    return number;
}

std::string show_in_units(std::uint64_t amount,
                          std::initializer_list<std::pair<std::uint64_t, const char*>> units) {
    for (const auto& [factor, name] : units)
        if (amount != 0 && amount % factor == 0) return std::to_string(amount / factor) + name;
    return std::to_string(amount);
}

}  // namespace

std::optional<std::int64_t> read_whole(Reader& reader, const Node& node, std::int64_t min,
                                       std::int64_t max) {
    SLUICE_ASSERT(min <= max);
    const auto number = number_in<std::int64_t>(node);
    if (number && min <= *number && *number <= max) return number;
    reader.expected(node,
                    "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    return std::nullopt;
}

void Time::read(Reader& reader, const Node& node, Duration& value) const {
    auto read = node.kind == Node::Kind::text ? parse_duration(node.text)
                                              : Result<Duration>(Error::gateway({}));
    if (!read) return reader.expected(node, "a duration like 250ms, 10s or 5m");
    if (*read < min || max < *read)
        return reader.expected(node, "a duration from " + show(min) + " to " + show(max));
    value = *read;
}

std::string Time::show(Duration value) const {
    return show_in_units(static_cast<std::uint64_t>(value.ns), {{3'600'000'000'000, "h"},
                                                                {60'000'000'000, "m"},
                                                                {1'000'000'000, "s"},
                                                                {1'000'000, "ms"},
                                                                {1'000, "us"}});
}

void Size::read(Reader& reader, const Node& node, std::size_t& value) const {
    auto read = node.kind == Node::Kind::text ? parse_size(node.text)
                                              : Result<std::size_t>(Error::gateway({}));
    if (!read) return reader.expected(node, "a size like 512B, 64KiB or 16MiB");
    if (*read < min || max < *read)
        return reader.expected(node, "a size from " + show(min) + " to " + show(max));
    value = *read;
}

std::string Size::show(std::size_t value) const {
    return show_in_units(value, {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}});
}

void Share::read(Reader& reader, const Node& node, double& value) const {
    const auto number = number_in<double>(node);
    // Said so that what is no number at all (nan) does not fit either.
    if (!number || !(*number >= 0 && *number <= 1))
        return reader.expected(node, "a number from 0 to 1");
    value = *number;
}

std::string Share::show(double value) const {
    char text[32];
    const auto [end, code] = std::to_chars(text, text + sizeof(text), value);
    SLUICE_ASSERT(code == std::errc{});
    return std::string(text, end);
}

void Truth::read(Reader& reader, const Node& node, bool& value) const {
    std::optional<bool> said;
    read(reader, node, said);
    value = said.value_or(value);
}

void Truth::read(Reader& reader, const Node& node, std::optional<bool>& value) const {
    const bool plain = node.kind == Node::Kind::text && !node.quoted;
    if (plain && node.text == "true")
        value = true;
    else if (plain && node.text == "false")
        value = false;
    else
        reader.expected(node, "true or false");
}

}  // namespace sluice::config
