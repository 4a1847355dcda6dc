// The key of a request: whatever the fields are, a key that is presented stands in one of them as
// it is, and nothing beside it says another one.
#include "sluice/base/assert.h"
#include "sluice/http/parser.h"
#include "sluice/policy/consumers.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

using namespace sluice;

namespace {

void check(const http::Head& head) {
    const auto key = policy::presented_key(head);
    const std::size_t bearers = head.occurrences("authorization");
    const std::size_t keys = head.occurrences("x-api-key");
    if (bearers + keys == 0 || bearers > 1 || keys > 1) return SLUICE_ASSERT(!key);
    if (!key) return;
    SLUICE_ASSERT(!key->empty() && key->size() <= policy::key_bytes_max);
    SLUICE_ASSERT(std::ranges::all_of(*key, [](char c) { return c > ' ' && c < 0x7f; }));
    for (const http::Field& field : head.fields()) {
        if (http::same_name(field.name, "authorization"))
            SLUICE_ASSERT(field.value == "Bearer " + std::string(*key));
        if (http::same_name(field.name, "x-api-key")) SLUICE_ASSERT(field.value == *key);
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
