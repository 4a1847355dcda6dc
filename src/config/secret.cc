#include "sluice/config/secret.h"

#include "file.h"
#include "sluice/config/home.h"

#include <algorithm>
#include <cstdlib>

namespace sluice::config {
namespace {

// Keys of providers have some hundred bytes at most, tokens a few thousand.
constexpr std::size_t secret_bytes_max = 8 * 1024;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view white = " \t\r\n";
    const auto first = text.find_first_not_of(white);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(white) - first + 1);
}

Result<std::string> read_reference(const std::string& reference) {
    constexpr std::string_view variable = "env:";
    constexpr std::string_view file = "file:";
    if (reference.starts_with(variable)) {
        const std::string name = reference.substr(variable.size());
        const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
        if (value == nullptr)
            return Error::gateway("there is no environment variable '" + name + "'");
        return std::string(value);
    }
    if (reference.starts_with(file)) {
        const std::string path = with_home(reference.substr(file.size()));
        auto text = read_file(path, secret_bytes_max, Readers::owner_only);
        if (!text) return Error::gateway("the key file '" + path + "' " + text.error().message);
        return text;
    }
    return Error::gateway(
        "expected where the key is, env:NAME or file:PATH, and not the key itself");
}

}  // namespace

Result<Secret> Secret::from_reference(std::string_view text) {
    const std::string reference(text);
    auto read = read_reference(reference);
    if (!read) return read.error();
    const std::string_view value = trimmed(*read);
    if (value.empty()) return Error::gateway("the key at '" + reference + "' is empty");
    // It goes into a header: a line end in it would begin another one.
    const bool plain = std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!plain)
        return Error::gateway("the key at '" + reference +
                              "' has characters that a header cannot carry");
    return Secret(std::string(value));
}

}  // namespace sluice::config
