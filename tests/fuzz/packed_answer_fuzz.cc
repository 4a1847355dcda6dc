// Whatever lies on a disk: it is no answer, or one that is sound and packs to the same bytes.
//
// Input: the bytes.
#include "sluice/cache/packed_answer.h"

#include "sluice/base/assert.h"

#include <cstdint>
#include <string_view>

using namespace sluice;
using namespace sluice::cache;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto answer = unpack_answer(bytes);
    if (answer == nullptr) return 0;
    const std::string packed = pack_answer(*answer);
    SLUICE_ASSERT(packed.size() == bytes.size());
    // But for bits that mean nothing.
    const auto again = unpack_answer(packed);
    SLUICE_ASSERT(again != nullptr && pack_answer(*again) == packed);
    SLUICE_ASSERT(again->body() == answer->body() && again->bytes() == answer->bytes());
    return 0;
}
