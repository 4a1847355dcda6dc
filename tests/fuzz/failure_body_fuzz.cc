// No error body may harm its reader, and what is read keeps its bounds.
//
// Input: an error body. It is read whole, and cut at some byte of it.
#include "sluice/llm/failure_body.h"

#include "sluice/base/assert.h"

#include <cstdint>
#include <string>
#include <string_view>

using namespace sluice;
using namespace sluice::llm;

namespace {

void check_bounds(const ErrorFacts& facts) {
    SLUICE_ASSERT(facts.type.size() <= failure_code_bytes_max);
    SLUICE_ASSERT(facts.code.size() <= failure_code_bytes_max);
    SLUICE_ASSERT(facts.message.size() <= failure_message_bytes_max);
    SLUICE_ASSERT(facts.status == 0 || (facts.status >= 400 && facts.status <= 599));
    for (const char c : facts.message)
        SLUICE_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_bounds(read_failure_body(text));
    if (size == 0) return 0;
    // In memory of exactly its size.
    const std::string begin(text.substr(0, data[size / 2] * size / 256));
    check_bounds(read_failure_body(begin));
    return 0;
}
