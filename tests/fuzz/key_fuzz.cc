// The key of a request: whatever the fields are, a key that is presented stands in one of them as
// it is (behind "Bearer" in one of them), and nothing beside it says another one, but for what
// stands for no key.
#include "sluice/base/assert.h"
#include "sluice/http/parser.h"
#include "sluice/policy/consumers.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

using namespace sluice;

namespace {

constexpr std::string_view names[] = {"authorization", "x-api-key", "api-key", "x-goog-api-key",
                                      "apikey"};

// Nothing behind the scheme, or what tools fill in where no key is needed: it gives way.
bool stands_for_none(std::string_view value) {
    constexpr std::string_view scheme = "bearer";
    if (http::same_name(value.substr(0, scheme.size()), scheme)) value.remove_prefix(scheme.size());
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    constexpr std::string_view dummies[] = {"",      "none",   "empty",     "null",
                                            "dummy", "ollama", "lm-studio", "sk-no-key-required"};
    return std::ranges::any_of(
        dummies, [value](std::string_view dummy) { return http::same_name(value, dummy); });
}

void check(const http::Head& head) {
    const auto key = policy::presented_key(head);
    std::size_t most = 0;  // of one name
    for (const std::string_view name : names)
        most = std::max(most, head.occurrences(name));
    if (most != 1) return SLUICE_ASSERT(!key);
    if (!key) return;
    SLUICE_ASSERT(!key->empty() && key->size() <= policy::key_bytes_max);
    SLUICE_ASSERT(std::ranges::all_of(*key, [](char c) { return c > ' ' && c < 0x7f; }));
    for (const http::Field& field : head.fields()) {
        const auto* const name = std::ranges::find_if(
            names, [&](std::string_view each) { return http::same_name(field.name, each); });
        if (name == std::end(names)) continue;
        if (!field.value.ends_with(*key)) {
            SLUICE_ASSERT(stands_for_none(field.value));
            continue;
        }
        const std::string_view before = field.value.substr(0, field.value.size() - key->size());
        if (name != std::begin(names)) SLUICE_ASSERT(before.empty());
        if (name == std::begin(names)) {
            SLUICE_ASSERT(http::same_name(before.substr(0, 6), "bearer") && before.size() > 6);
            SLUICE_ASSERT(before.find_first_not_of(" \t", 6) == before.npos);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text =
        "GET / HTTP/1.1\r\nHost: x\r\n" + std::string(data, data + size) + "\r\n\r\n";
    http::Parser parser(http::Parser::Side::request);
    static http::Head head;
    if (parser.parse_head(text, head) == http::Progress::complete) check(head);
    return 0;
}
